"""The ledger on a real disk: who may read it, what survives, what is gone for good, and what a broken one says."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from syncd import ledger as ledgers
from syncd.errors import LedgerDamaged, LedgerFault, NotPrivate, SyncdError
from syncd.identity import credential_of
from syncd.ledger import FILE, LAYOUT, Change, Ledger, intact, set_aside
from syncd.model import Credential, Holds, Refused, Seen, Slot, Unknown, Vacant
from tests import fake

NOW = 1_000.0

# A process of its own that records one change.
ROOT = Path(__file__).parent.parent
RECORD_A = "from tests.test_ledger import *; Ledger.create(Path(sys.argv[1])).record(change('a'), NOW)"


def credential(name: str, iat: float = 1.0) -> Credential:
    return credential_of("openai-codex", fake.jwt(iat), fake.refresh(name), fake.jwt(iat, 7_200))


def print_of(name: str) -> str:
    return credential(name).token.fingerprint or ""


def sighting(name: str) -> Seen:
    return Seen(Slot("codex", "main"), Holds(credential(name).token), f"etag {name}")


def change(name: str) -> Change:
    return Change([sighting(name)], [credential(name)])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def ledger(state: Path) -> Iterator[Ledger]:
    with closing(Ledger.create(state)) as ledger:
        yield ledger


@contextmanager
def reading(state: Path) -> Iterator[Ledger]:
    """The ledger as `syncd status` opens it."""
    found = Ledger.open(state)
    assert found is not None
    with closing(found):
        yield found


def rows(state: Path) -> list[tuple[object, ...]]:
    """The facts as another program finds them."""
    with closing(sqlite3.connect(state / FILE)) as connection:
        return connection.execute("SELECT * FROM fact ORDER BY seq").fetchall()


def everything(state: Path) -> bytes:
    """All bytes of the ledger, its write-ahead log too."""
    return b"".join(path.read_bytes() for path in sorted(state.glob(f"{FILE}*")))


class TestPrivacy:
    def test_all_files_are_for_their_owner_alone_whatever_the_umask(self, state: Path) -> None:
        old = os.umask(0)
        try:
            with closing(Ledger.create(state)) as ledger:
                ledger.record(change("a"), NOW)
                modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
        finally:
            os.umask(old)
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert modes == dict.fromkeys([FILE, f"{FILE}-wal", f"{FILE}-shm"], 0o600)

    @pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
    def test_a_folder_that_is_open_to_others_is_refused_and_not_mended(self, state: Path, mode: int) -> None:
        state.mkdir()
        state.chmod(mode)
        with pytest.raises(NotPrivate) as caught:
            Ledger.create(state)
        assert caught.value.hint == f"chmod 700 {state}"
        assert stat.S_IMODE(state.stat().st_mode) == mode

    def test_a_file_that_is_open_to_others_is_refused(self, state: Path) -> None:
        Ledger.create(state).close()
        (state / FILE).chmod(0o640)
        with pytest.raises(NotPrivate):
            Ledger.create(state)

    def test_facts_hold_no_secret(self, state: Path, ledger: Ledger) -> None:
        ledger.record(Change([sighting("a")]), NOW)
        whole = everything(state)
        assert fake.refresh("a").encode() not in whole
        assert fake.jwt(1.0).encode() not in whole


class TestDurability:
    def test_it_is_written_ahead_and_fsynced_and_overwrites_what_it_deletes(self, ledger: Ledger) -> None:
        pragma = {
            name: ledger._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete")
        }
        assert pragma == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}

    def test_what_was_recorded_is_there_for_others_at_once(self, state: Path, ledger: Ledger) -> None:
        recorded = ledger.record(Change([sighting("a"), sighting("b")], [credential("b")]), NOW)
        with reading(state) as other:
            assert list(other.facts()) == recorded
            assert other.vault() == {print_of("b"): credential("b")}

    def test_and_after_the_process_was_killed(self, state: Path) -> None:
        script = f"{RECORD_A}; os.kill(os.getpid(), 9)"
        assert subprocess.run([sys.executable, "-c", script, str(state)], cwd=ROOT, check=False).returncode == -9
        with closing(Ledger.create(state)) as ledger:
            assert [fact.body for fact in ledger.facts()] == [sighting("a")]
            assert set(ledger.vault()) == {print_of("a")}

    def test_facts_are_only_ever_added(self, state: Path, ledger: Ledger) -> None:
        ledger.record(change("a"), NOW)
        before = rows(state)
        ledger.record(Change([Refused("a", "expired")], [credential("a", 2.0)], [print_of("a")]), NOW + 1)
        assert rows(state)[: len(before)] == before
        assert [fact.seq for fact in ledger.facts()] == [1, 2]
        assert [fact.seq for fact in ledger.facts(after=1)] == [2]

    def test_a_place_in_the_record_is_never_given_twice(self, ledger: Ledger) -> None:
        """Not after its fact was forgotten either: a syncd that remembers it would skip the new one."""
        ledger.record(change("a"), NOW)
        ledger.forget([1], [])
        recorded = ledger.record(change("b"), NOW)
        assert recorded is not None
        assert [fact.seq for fact in recorded] == [2]

    def test_a_change_is_whole_or_not_at_all(self, ledger: Ledger) -> None:
        unkept = credential_of("openai-codex", fake.jwt(), None)
        with pytest.raises(SyncdError):
            ledger.record(Change([sighting("a")], [unkept]), NOW)
        assert list(ledger.facts()) == []
        assert ledger.record(change("b"), NOW)

    def test_a_mark_lasts(self, state: Path, ledger: Ledger) -> None:
        assert ledger.mark("enabled") is None
        ledger.set_mark("enabled", "no")
        ledger.set_mark("enabled", "yes")
        with reading(state) as other:
            assert other.mark("enabled") == "yes"


class TestForgetting:
    def test_a_dropped_token_is_in_no_byte_of_it(self, state: Path, ledger: Ledger) -> None:
        ledger.record(Change([sighting("gone"), sighting("kept")], [credential("gone"), credential("kept")]), NOW)
        ledger.record(Change(keep=[credential("gone", 2.0)]), NOW)
        assert fake.refresh("gone").encode() in everything(state)

        ledger.forget([1], [print_of("gone")])

        whole = everything(state)
        for secret in (fake.refresh("gone"), fake.jwt(2.0), print_of("gone")):
            assert secret.encode() not in whole
        assert fake.refresh("kept").encode() in whole
        assert [fact.body for fact in ledger.facts()] == [sighting("kept")]

    def test_nor_is_one_that_left_the_vault_before(self, state: Path, ledger: Ledger) -> None:
        ledger.record(change("gone"), NOW)
        ledger.record(Change(drop=[print_of("gone")]), NOW)
        ledger.forget([], [])
        assert fake.refresh("gone").encode() not in everything(state)

    def test_while_another_program_reads_it_the_promise_is_not_made(
        self, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledgers, "PATIENCE", 0.01)
        with closing(Ledger.create(state)) as ledger, closing(sqlite3.connect(state / FILE)) as other:
            ledger.record(change("a"), NOW)
            other.execute("BEGIN")
            other.execute("SELECT * FROM fact").fetchall()  # its snapshot stays open
            with pytest.raises(LedgerFault, match="still in its write-ahead log"):
                ledger.forget([1], [print_of("a")])
            other.rollback()
            ledger.forget([1], [print_of("a")])
        assert fake.refresh("a").encode() not in everything(state)


class TestOpening:
    def test_to_look_creates_nothing(self, state: Path) -> None:
        assert Ledger.open(state) is None
        assert not state.exists()

    @pytest.mark.parametrize("made", ["not at all", "empty"])
    def test_a_folder_without_a_ledger_stays_without_one(self, state: Path, made: str) -> None:
        state.mkdir(mode=0o700)
        if made == "empty":
            (state / FILE).touch(0o600)
        before = sorted(state.iterdir())
        assert Ledger.open(state) is None
        assert sorted(state.iterdir()) == before

    def test_who_only_looks_cannot_record(self, state: Path, ledger: Ledger) -> None:
        with reading(state) as other:
            assert not other.writable
            with pytest.raises(LedgerFault, match="readonly"):
                other.record(change("a"), NOW)
            with pytest.raises(LedgerFault, match="readonly"):
                other.set_mark("enabled", "yes")

    def test_looking_changes_no_byte_of_it(self, state: Path) -> None:
        """SQLite leaves the two files beside it that it needs to read one that is written ahead: private too."""
        with closing(Ledger.create(state)) as ledger:
            ledger.record(change("a"), NOW)
        before = (state / FILE).read_bytes()
        with reading(state) as other:
            assert len(list(other.facts())) == 1
        assert (state / FILE).read_bytes() == before
        assert {path.name for path in state.iterdir()} <= {FILE, f"{FILE}-wal", f"{FILE}-shm"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}

    @pytest.mark.parametrize("opening", [Ledger.create, Ledger.open])
    def test_a_ledger_of_a_newer_syncd_is_left_alone(
        self, state: Path, opening: Callable[[Path], Ledger | None]
    ) -> None:
        Ledger.create(state).close()
        with closing(sqlite3.connect(state / FILE)) as connection:
            connection.execute(f"PRAGMA user_version={LAYOUT + 1}")
        with pytest.raises(LedgerFault, match="made by a newer syncd") as caught:
            opening(state)
        assert not isinstance(caught.value, LedgerDamaged)
        assert caught.value.hint == "install the newer syncd again"
        with closing(sqlite3.connect(state / FILE)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (LAYOUT + 1,)

    def test_facts_of_a_newer_version_are_kept(self, state: Path, ledger: Ledger) -> None:
        newer = [(7.0, "invented", 1, '{"a": 1}'), (8.0, "sighting", 2, '{"b": 2}'), (9.0, "sighting", 1, "not JSON")]
        with closing(sqlite3.connect(state / FILE)) as connection, connection:
            connection.executemany("INSERT INTO fact (at, kind, version, body) VALUES (?, ?, ?, ?)", newer)
        ledger.record(change("a"), NOW)
        bodies = [fact.body for fact in ledger.facts()]
        assert bodies == [Unknown("invented"), Unknown("sighting"), Unknown("sighting"), sighting("a")]
        assert [row[1:] for row in rows(state)][:3] == newer


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database, and longer than the header of one would be" * 100)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def a_stump(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def a_broken_page(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4_096:] = os.urandom(len(whole) - 4_096)
    path.write_bytes(whole)


def not_json(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE vault SET body = 'not JSON'")


class TestDamage:
    @pytest.fixture
    def full(self, state: Path) -> Path:
        """The state folder of a ledger of many pages."""
        with closing(Ledger.create(state)) as ledger:
            for number in range(50):
                ledger.record(change(f"t{number}"), NOW)
        return state

    @pytest.mark.parametrize("harm", [garbage, half, a_broken_page, not_json])
    @pytest.mark.parametrize("opening", [Ledger.create, Ledger.open])
    def test_is_one_sentence(
        self, full: Path, harm: Callable[[Path], None], opening: Callable[[Path], Ledger | None]
    ) -> None:
        harm(full / FILE)
        with pytest.raises(LedgerDamaged) as caught:
            found = opening(full)
            assert found is not None
            with closing(found):
                list(found.facts())
                found.vault()
        assert str(caught.value).startswith(f"{full / FILE}: ")
        assert "\n" not in str(caught.value)
        assert not str(caught.value).endswith(".")
        assert caught.value.hint

    def test_less_than_a_page_of_it_is_damage_too(self, full: Path) -> None:
        a_stump(full / FILE)
        with pytest.raises(LedgerDamaged):
            Ledger.create(full)

    @pytest.mark.parametrize("harm", [garbage, half, a_stump, a_broken_page, not_json])
    def test_is_found_before_a_turn(self, full: Path, harm: Callable[[Path], None]) -> None:
        assert intact(full)
        harm(full / FILE)
        assert not intact(full)

    def test_no_ledger_is_intact(self, state: Path) -> None:
        assert intact(state)

    @pytest.mark.parametrize("opening", [Ledger.create, Ledger.open])
    def test_a_folder_in_its_place(self, state: Path, opening: Callable[[Path], Ledger | None]) -> None:
        (state / FILE).mkdir(parents=True)
        state.chmod(0o700)
        with pytest.raises((LedgerFault, NotPrivate)) as caught:
            opening(state)
        assert caught.value.hint
        assert (state / FILE).is_dir()

    def test_an_empty_file_is_a_new_ledger(self, state: Path) -> None:
        """syncd was killed after it had made the file."""
        state.mkdir(mode=0o700)
        (state / FILE).touch(0o600)
        with closing(Ledger.create(state)) as ledger:
            assert ledger.record(change("a"), NOW)

    def test_set_aside_keeps_every_byte_and_makes_room(self, full: Path) -> None:
        garbage(full / FILE)
        (full / f"{FILE}-wal").write_bytes(b"a log")
        before = everything(full)

        aside = set_aside(full, lambda form: "20260102-030405")

        assert aside == full / f"{FILE}.damaged-20260102-030405"
        assert everything(full) == before
        assert not (full / FILE).exists()
        with closing(Ledger.create(full)) as ledger:
            assert list(ledger.facts()) == []

    def test_set_aside_twice_in_one_second_keeps_both(self, full: Path) -> None:
        asides = []
        for content in (b"one", b"other"):
            (full / FILE).write_bytes(content)
            asides.append(set_aside(full, lambda form: "20260102-030405"))
        assert [aside.read_bytes() for aside in asides] == [b"one", b"other"]


class TestFullDisk:
    def test_what_does_not_fit_is_not_recorded_and_later_it_is(self, state: Path, ledger: Ledger) -> None:
        ledger.record(change("a"), NOW)
        pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
        ledger._connection.execute(f"PRAGMA max_page_count={pages}")
        before = rows(state)
        many = Change([sighting(f"t{number}") for number in range(200)], [credential("new")])

        with pytest.raises(LedgerFault, match="full") as caught:
            ledger.record(many, NOW)
        assert caught.value.hint
        assert rows(state) == before
        assert set(ledger.vault()) == {print_of("a")}

        ledger._connection.execute("PRAGMA max_page_count=100000")
        recorded = ledger.record(many, NOW)
        assert recorded is not None
        assert len(recorded) == 200
        assert intact(state)

    def test_nor_is_what_fails_at_the_very_commit(self, state: Path) -> None:
        """A file size limit, in a process of its own: the write-ahead log cannot grow."""
        script = """
import json, resource, sys
from pathlib import Path
from syncd.errors import LedgerFault
from tests.test_ledger import *
state = Path(sys.argv[1])
ledger = Ledger.create(state)
ledger.record(change("a"), NOW)
size = (state / (FILE + "-wal")).stat().st_size
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
said = ""
try:
    ledger.record(change("b"), NOW)
except LedgerFault as fault:
    said = str(fault)
between = [fact.seq for fact in ledger.facts()]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
ledger.record(change("c"), NOW)
print(json.dumps([said, between, sorted(ledger.vault()), intact(state)]))
"""
        command = [sys.executable, "-c", script, str(state)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        said, between, vault, sound = json.loads(done.stdout)
        assert said.startswith(f"{state / FILE}: the ledger cannot be used: ")
        assert (between, vault, sound) == ([1], sorted([print_of("a"), print_of("c")]), True)


class TestTwoAtOnce:
    def test_both_record_and_see_the_same_record(self, state: Path, ledger: Ledger) -> None:
        with closing(Ledger.create(state)) as other:
            for number in range(10):
                assert (ledger, other)[number % 2].record(change(f"t{number}"), NOW)
            assert list(ledger.facts()) == list(other.facts())
            assert [fact.seq for fact in ledger.facts()] == list(range(1, 11))

    def test_a_change_in_view_of_the_past_is_not_recorded(self, state: Path, ledger: Ledger) -> None:
        """It could put an older credential over the newer one that the other just kept."""
        with closing(Ledger.create(state)) as other:
            other.record(Change([sighting("a")], [credential("a", 2.0)]), NOW)
            stale = Change([sighting("a")], [credential("a", 1.0)])
            assert ledger.record(stale, NOW, after=0) is None
            assert ledger.vault()[print_of("a")] == credential("a", 2.0)
            assert len(rows(state)) == 1
            assert ledger.record(stale, NOW, after=1) is not None

    def test_one_that_holds_it_too_long_is_a_fault_and_not_a_hang(
        self, state: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledgers, "PATIENCE", 0.01)
        with closing(Ledger.create(state)) as ledger, closing(sqlite3.connect(state / FILE)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerFault, match="locked"):
                ledger.record(change("a"), NOW)
            assert list(ledger.facts()) == []
            other.rollback()
            assert ledger.record(change("a"), NOW)

    def test_both_create_it_at_once(self, state: Path) -> None:
        command = [sys.executable, "-c", RECORD_A, str(state)]
        children = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
        assert [child.wait() for child in children] == [0] * 4
        assert [row[0] for row in rows(state)] == [1, 2, 3, 4]


def test_a_deletion_is_filed_under_its_own_word(state: Path, ledger: Ledger) -> None:
    ledger.record(Change([Seen(Slot("codex", "main"), Vacant("logged out"), "")]), NOW)
    assert [row[2] for row in rows(state)] == ["deleted"]
