"""The Codex adapter: the conformance suite, and what is Codex's own. The races are forced, never slept for."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from syncd import files
from syncd.errors import StoreFault
from syncd.model import Alien, Holds, Unreadable, Vacant
from syncd.ports import Busy, Changed, Failed, Ignored, ReadOnly, Store, Surroundings, Used, WriteOutcome, Written
from syncd_adapters.codex import CodexAdapter, document
from tests import fake
from tests.adapters.codex_home import CodexHome, auth, held, text
from tests.adapters.conformance import Conformance, let_go, login, put

ONE, TWO, THREE = login("one"), login("two", 2_000.0), login("three", 3_000.0)


KEYS = ("auth_mode", "tokens", "last_refresh", "OPENAI_API_KEY")
TOKENS = ("access_token", "refresh_token", "id_token", "account_id")


def strange(dice: random.Random) -> object:
    """Something that JSON can hold."""
    many = [strange(dice) for _ in range(dice.randrange(3))] if dice.random() < 0.2 else []
    tokens = {key: strange(dice) if dice.random() < 0.1 else ONE.access for key in TOKENS if dice.random() < 0.9}
    plain = [None, True, 0, -1.5, 10**30, "", "\ud800", "chatgpt", "apikey", "2026-11-21T00:15:37Z", ONE.access]
    return dice.choice([*plain, many, {"x": many}, tokens, tokens])


@pytest.fixture
def sample(tmp_path: Path) -> CodexHome:
    return CodexHome(tmp_path)


@pytest.fixture
def store(sample: CodexHome) -> Store:
    sample.plant(ONE)
    return sample.store()


@pytest.fixture
def before_swap(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Something happens between the last look and the rename."""

    def arrange(happens: Callable[[], object]) -> None:
        real = files.swap

        def swap(kept: files.Kept, data: bytes) -> bytes | None:
            happens()
            return real(kept, data)

        monkeypatch.setattr(files, "swap", swap)

    return arrange


@pytest.fixture
def after_swap(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Something happens right behind the rename."""

    def arrange(happens: Callable[[], object]) -> None:
        real = files.swap

        def swap(kept: files.Kept, data: bytes) -> bytes | None:
            displaced = real(kept, data)
            happens()
            return displaced

        monkeypatch.setattr(files, "swap", swap)

    return arrange


class TestCodex(Conformance):
    @pytest.fixture
    def sample(self, tmp_path: Path) -> CodexHome:
        return CodexHome(tmp_path)


class TestDiscovery:
    def test_codex_home_stands_for_the_default(self, tmp_path: Path) -> None:
        (tmp_path / "work").mkdir()
        (tmp_path / ".codex").mkdir()
        found = CodexAdapter().discover(Surroundings(env={"CODEX_HOME": str(tmp_path / "work")}, home=tmp_path))
        assert [each.info.id for each in found.stores] == ["codex:~/work/auth.json"]
        assert [each.info.label for each in found.stores] == ["codex"]
        assert found.looked == (tmp_path / "work" / "auth.json",)

    def test_an_empty_codex_home_is_none(self, tmp_path: Path) -> None:
        found = CodexAdapter().discover(Surroundings(env={"CODEX_HOME": ""}, home=tmp_path))
        assert found.looked == (tmp_path / ".codex" / "auth.json",)

    def test_a_home_that_is_made_later_is_seen_then(self, tmp_path: Path) -> None:
        adapter, where = CodexAdapter(), Surroundings(env={}, home=tmp_path)
        assert adapter.discover(where).stores == ()
        (tmp_path / ".codex").mkdir()
        (found,) = adapter.discover(where).stores
        (seen,) = found.read().sightings
        assert seen.content == Vacant("no auth.json")

    def test_more_homes_come_from_the_config_and_each_counts_once(self, tmp_path: Path) -> None:
        for name in (".codex", "second"):
            (tmp_path / name).mkdir()
        (tmp_path / "alias").symlink_to(tmp_path / "second")
        extra = {"codex": (tmp_path / "second", tmp_path / "alias", tmp_path / ".codex", tmp_path / "missing")}
        found = CodexAdapter().discover(Surroundings(env={}, home=tmp_path, extra=extra))
        assert [each.info.label for each in found.stores] == ["codex", "codex ~/second"]
        assert [root.path.name for root in found.roots] == [".codex", "second", "missing"]

    def test_a_link_is_watched_at_both_ends_and_followed_when_it_moves(self, tmp_path: Path) -> None:
        adapter, where, link = CodexAdapter(), Surroundings(env={}, home=tmp_path), tmp_path / ".codex" / "auth.json"
        for name in (".codex", "a", "b"):
            (tmp_path / name).mkdir()
        link.symlink_to(tmp_path / "a" / "x.json")
        found = adapter.discover(where)
        assert [(root.path.name, sorted(root.names)) for root in found.roots] == [
            (".codex", ["auth.json", "config.toml"]),
            ("a", ["x.json"]),
        ]
        assert tmp_path / "a" / "x.json" in found.stores[0].info.watched
        link.unlink()
        link.symlink_to(tmp_path / "b" / "x.json")
        again = adapter.discover(where)
        assert again.stores[0] is found.stores[0]
        assert tmp_path / "b" / "x.json" in again.stores[0].info.watched

    def test_a_home_that_is_no_folder_is_no_store(self, tmp_path: Path) -> None:
        (tmp_path / ".codex").write_bytes(b"")
        (tmp_path / "loop").symlink_to("loop")
        where = Surroundings(env={}, home=tmp_path, extra={"codex": (tmp_path / "loop",)})
        assert CodexAdapter().discover(where).stores == ()


class TestSettings:
    @pytest.mark.parametrize(
        ("config", "kind"),
        [
            (None, Used),
            ("", Used),
            ('cli_auth_credentials_store = "file"', Used),
            ('cli_auth_credentials_store = "auto"', Used),
            ('cli_auth_credentials_store = "keyring"', Ignored),
            ('cli_auth_credentials_store = "ephemeral"', Ignored),
            ('cli_auth_credentials_store = "vault"', ReadOnly),
            ("cli_auth_credentials_store = []", ReadOnly),
            ("cli_auth_credentials_store = ", ReadOnly),
            ("\udcff", ReadOnly),
            ("a = " + "[" * 10_000, ReadOnly),
            ('[profiles.x]\ncli_auth_credentials_store = "keyring"', Used),
        ],
    )
    def test_the_file_is_written_only_where_codex_reads_it(
        self, sample: CodexHome, store: Store, config: str | None, kind: type
    ) -> None:
        if config is not None:
            (sample.codex / "config.toml").write_text(config, errors="surrogateescape")
        before = sample.raw()
        assert isinstance(store.read().usage, kind)
        assert isinstance(sample.sighting(store).content, Holds)
        outcome = put(store, sample, TWO)
        let_go(outcome)
        assert isinstance(outcome, Written if kind is Used else Failed)
        assert (sample.raw() == before) == (kind is not Used)

    def test_a_folder_as_config_leaves_the_file_alone(self, sample: CodexHome, store: Store) -> None:
        (sample.codex / "config.toml").mkdir()
        assert store.read().usage == ReadOnly("config.toml cannot be read: a folder where a file belongs")

    def test_auto_without_a_file_says_that_it_may_have_moved(self, sample: CodexHome, store: Store) -> None:
        (sample.codex / "config.toml").write_text('cli_auth_credentials_store = "auto"')
        sample.remove()
        content = sample.sighting(store).content
        assert isinstance(content, Vacant)
        assert "keyring" in content.reason


class TestDocument:
    @pytest.mark.parametrize(
        ("changes", "kind"),
        [
            ({}, Holds),
            ({"auth_mode": None}, Holds),
            ({"OPENAI_API_KEY": "sk-fake"}, Holds),  # with a mode, the key is ignored
            ({"auth_mode": None, "OPENAI_API_KEY": ""}, Alien),
            ({"auth_mode": "chatgptAuthTokens"}, Holds),
            ({"tokens": None}, Vacant),
            ({"last_refresh": "2026-11-21T00:15:37+02:00"}, Holds),
            ({"last_refresh": None}, Holds),
        ],
    )
    def test_what_codex_would_see(
        self, sample: CodexHome, store: Store, changes: dict[str, object], kind: type
    ) -> None:
        sample.put(auth(ONE, **changes))
        assert isinstance(sample.sighting(store).content, kind)

    def test_the_moment_of_the_refresh_is_written_as_codex_does(self, sample: CodexHome, store: Store) -> None:
        let_go(put(store, sample, TWO))
        assert sample.document()["last_refresh"] == "2033-05-18T03:33:20.250000000Z"

    def test_the_etag_is_of_the_login_alone(self, sample: CodexHome, store: Store) -> None:
        etag = sample.sighting(store).etag
        sample.put(auth(ONE, last_refresh="2027-01-01T00:00:00Z", x_unknown="other"))
        assert sample.sighting(store).etag == etag
        let_go(put(store, sample, TWO, etag))
        assert sample.document()["x_unknown"] == "other"

    def test_a_missing_refresh_moment_makes_codex_spend_so_it_is_added(self, sample: CodexHome, store: Store) -> None:
        sample.put(auth(ONE, last_refresh=None))
        let_go(put(store, sample, ONE))
        assert sample.document()["last_refresh"]

    def test_a_missing_mode_is_written_first(self, sample: CodexHome, store: Store) -> None:
        sample.put(auth(ONE, auth_mode=None))
        let_go(put(store, sample, TWO))
        assert next(iter(sample.document().items())) == ("auth_mode", "chatgpt")

    @pytest.mark.parametrize(
        ("found", "incoming", "expected"),
        [
            ("acct-chosen", fake.ACCOUNT, "acct-chosen"),  # the claims agree: a running Codex compares the file's
            (None, fake.ACCOUNT, fake.ACCOUNT),
            ("", fake.ACCOUNT, fake.ACCOUNT),
            (fake.ACCOUNT, "acct-fake-2", "acct-fake-2"),
        ],
    )
    def test_an_account_id_is_always_there(
        self, sample: CodexHome, store: Store, found: str | None, incoming: str, expected: str
    ) -> None:
        sample.plant(replace(ONE, account_id=found))
        let_go(put(store, sample, login("two", 2_000.0, account=incoming)))
        assert sample.tokens()["account_id"] == expected

    def test_without_any_account_id_nothing_is_written(self, sample: CodexHome, store: Store) -> None:
        def nameless(name: str) -> str:
            return fake.jwt(account=None, generation=name)

        sample.plant(replace(ONE, access=nameless("a"), id_token=nameless("b"), account_id=None))
        outcome = put(store, sample, replace(TWO, access=nameless("c"), id_token=nameless("d"), account_id=None))
        assert isinstance(outcome, Failed)
        assert "account id" in outcome.reason

    def test_half_a_login_is_written_only_to_a_follower(self, sample: CodexHome, store: Store) -> None:
        assert isinstance(put(store, sample, replace(TWO, refresh=None)), Failed)

    def test_a_follower_is_told_so_and_made_whole_again(self, sample: CodexHome, store: Store) -> None:
        let_go(put(store, sample, TWO, access_only=True))
        assert sample.document()["auth_mode"] == "chatgptAuthTokens"
        assert sample.tokens()["refresh_token"] == ""
        let_go(put(store, sample, TWO))
        assert sample.document()["auth_mode"] == "chatgpt"
        assert sample.tokens()["refresh_token"] == TWO.refresh

    def test_a_document_without_a_login_is_not_filled(self, sample: CodexHome, store: Store) -> None:
        sample.put({"OPENAI_API_KEY": None, "tokens": None})
        assert isinstance(put(store, sample, TWO), Failed)

    def test_no_document_is_too_strange(self) -> None:
        dice, kinds = random.Random(7), set()
        for _ in range(2_000):
            found = {key: strange(dice) for key in KEYS if dice.random() < 0.7}
            seen = document.sight("codex:x", found)
            assert (seen.credential is not None) == isinstance(seen.content, Holds)
            kinds.add(type(seen.content))
        assert kinds == {Holds, Vacant, Alien, Unreadable}


class TestTorn:
    def test_a_file_that_codex_just_truncated_is_read_again(
        self, sample: CodexHome, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = text(auth(TWO))
        stages = iter([whole[:100], whole])
        monkeypatch.setattr("time.sleep", lambda _: sample.plant_raw(next(stages)))
        sample.plant_raw(b"")
        seen = sample.sighting(store)
        assert seen.credential is not None
        assert seen.credential.refresh is not None
        assert seen.credential.refresh.reveal() == TWO.refresh

    def test_an_old_codex_at_work_under_our_locks_is_not_overwritten(
        self, sample: CodexHome, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        etag, real = sample.sighting(store).etag, files.Kept

        def truncated(path: Path) -> files.Kept:
            sample.plant_raw(b"")
            return real(path)

        monkeypatch.setattr(files, "Kept", truncated)
        assert put(store, sample, TWO, etag) == Changed()
        assert sample.raw() == b""

    def test_what_an_old_codex_writes_into_the_replaced_file_is_seen(
        self, sample: CodexHome, store: Store, before_swap: Callable[[Callable[[], object]], None]
    ) -> None:
        opened: list[int] = []
        before_swap(lambda: opened.append(os.open(sample.path, os.O_WRONLY | os.O_TRUNC)))
        outcome = put(store, sample, TWO)
        assert isinstance(outcome, Written)
        assert outcome.displaced == ()
        assert outcome.look_back is not None
        assert outcome.look_back() == ()  # truncated, not yet written
        os.write(opened[0], text(auth(THREE)))
        os.close(opened[0])
        (seen,) = outcome.look_back(last=True)
        assert seen.credential is not None
        assert seen.credential.access.reveal() == THREE.access
        assert outcome.look_back(last=True) == ()
        assert sample.found().refresh == TWO.refresh

    def test_a_login_that_is_known_is_no_news(
        self, sample: CodexHome, store: Store, before_swap: Callable[[Callable[[], object]], None]
    ) -> None:
        before_swap(lambda: sample.put(auth(ONE, last_refresh="2027-01-01T00:00:00Z")))
        outcome = put(store, sample, TWO)
        assert isinstance(outcome, Written)
        assert outcome.displaced == ()
        assert let_go(outcome) == ()

    def test_what_a_new_codex_renamed_in_between_is_given_back(
        self, sample: CodexHome, store: Store, before_swap: Callable[[Callable[[], object]], None]
    ) -> None:
        def rename() -> None:
            temp = sample.codex / ".auth-Xx"
            temp.write_bytes(text(auth(THREE)))
            temp.replace(sample.path)

        before_swap(rename)
        outcome = put(store, sample, TWO)
        assert isinstance(outcome, Written)
        (seen,) = outcome.displaced
        assert seen.credential is not None
        assert seen.credential.access.reveal() == THREE.access
        let_go(outcome)

    def test_a_logout_in_between_is_not_undone(
        self, sample: CodexHome, store: Store, before_swap: Callable[[Callable[[], object]], None]
    ) -> None:
        before_swap(sample.remove)
        assert put(store, sample, TWO) == Changed()
        assert not sample.path.exists()

    def test_what_is_written_right_behind_us_is_told(
        self, sample: CodexHome, store: Store, after_swap: Callable[[Callable[[], object]], None]
    ) -> None:
        after_swap(lambda: sample.plant(THREE))
        outcome = put(store, sample, TWO)
        assert isinstance(outcome, Written)
        (seen,) = outcome.displaced
        assert seen.etag == sample.sighting(store).etag
        let_go(outcome)


class TestLocks:
    def test_both_locks_are_held_for_the_write_and_stay_as_files(
        self, sample: CodexHome, store: Store, before_swap: Callable[[Callable[[], object]], None]
    ) -> None:
        names, tried = ("auth.lock", "auth.json.lock"), []

        def try_them() -> None:
            for name in names:
                with (sample.codex / name).open("a") as each, pytest.raises(BlockingIOError):
                    fcntl.flock(each, fcntl.LOCK_EX | fcntl.LOCK_NB)
                tried.append(name)

        before_swap(try_them)
        let_go(put(store, sample, TWO))
        assert tuple(tried) == names
        assert (sample.codex / names[1]).stat().st_mode & 0o7777 == 0o600
        with held(*(sample.codex / name for name in names)):  # both are free again
            pass

    def test_the_first_lock_alone_keeps_us_out(self, sample: CodexHome, store: Store) -> None:
        with held(sample.codex / "auth.lock"):
            assert put(store, sample, TWO) == Busy("another program holds auth.lock")

    def test_a_write_of_what_is_there_needs_no_lock(self, sample: CodexHome, store: Store) -> None:
        with held(sample.codex / "auth.lock", sample.codex / "auth.json.lock"):
            assert isinstance(put(store, sample, ONE), Written)
            assert put(store, sample, TWO, "stale") == Changed()

    @pytest.mark.parametrize("name", ["auth.lock", "auth.json.lock"])
    def test_a_folder_in_a_locks_place_is_named_and_left(self, sample: CodexHome, store: Store, name: str) -> None:
        (sample.codex / name).mkdir()
        before = sample.raw()
        outcome = put(store, sample, TWO)
        assert outcome == Failed(f"{name} is a folder where Codex needs a file", f"rmdir {sample.codex / name}")
        assert sample.raw() == before
        assert (sample.codex / name).is_dir()

    def test_of_two_threads_one_writes(self, sample: CodexHome, store: Store) -> None:
        etag, outcomes, gate = sample.sighting(store).etag, [], threading.Barrier(2)

        def run(one: str) -> None:
            mine = sample.store()
            gate.wait()
            outcomes.append(put(mine, sample, login(one, 2_000.0), etag))

        threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(type(each).__name__ for each in outcomes) == ["Changed", "Written"]
        for outcome in outcomes:
            let_go(outcome)


class TestFile:
    def test_a_linked_file_is_replaced_at_its_target(self, sample: CodexHome, store: Store, tmp_path: Path) -> None:
        target = tmp_path / "real" / "a.json"
        target.parent.mkdir()
        sample.path.rename(target)
        sample.path.symlink_to(target)
        let_go(put(store, sample, TWO))
        assert sample.path.readlink() == target
        assert json.loads(target.read_bytes())["tokens"]["refresh_token"] == TWO.refresh
        assert (tmp_path / "real" / "a.json.lock").exists()
        assert not (sample.codex / "auth.json.lock").exists()

    @pytest.mark.parametrize("kind", ["folder", "pipe", "dangling", "loop", "device"])
    def test_what_is_no_file_is_unreadable_and_left(self, sample: CodexHome, store: Store, kind: str) -> None:
        etag = sample.sighting(store).etag
        sample.remove()
        match kind:
            case "folder":
                sample.path.mkdir()
            case "pipe":
                os.mkfifo(sample.path)
            case "dangling":
                sample.path.symlink_to("nowhere")
            case "loop":
                sample.path.symlink_to("auth.json")
            case _:
                sample.path.symlink_to("/dev/zero")
        before = sorted(sample.codex.iterdir())
        seen = sample.sighting(store)
        assert isinstance(seen.content, Unreadable)
        for expected in (etag, seen.etag):
            assert isinstance(put(store, sample, TWO, expected), Changed | Failed)
        assert sorted(sample.codex.iterdir()) == before

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (files.Blocked(Path("x"), "cannot be replaced now"), Busy),
            (StoreFault(Path("x"), "cannot be written: No space left on device"), Failed),
        ],
    )
    def test_a_refused_write_is_a_value(
        self, sample: CodexHome, store: Store, monkeypatch: pytest.MonkeyPatch, fault: StoreFault, kind: type
    ) -> None:
        def swap(kept: files.Kept, data: bytes) -> bytes | None:
            raise fault

        monkeypatch.setattr(files, "swap", swap)
        outcome: WriteOutcome = put(store, sample, TWO)
        assert isinstance(outcome, kind)

    def test_a_folder_where_nothing_can_be_made(
        self, sample: CodexHome, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def refuse(path: object, flags: int, *more: int, **named: object) -> int:
            if flags & os.O_CREAT:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            return real(path, flags, *more, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", refuse)
        outcome = put(store, sample, TWO)
        monkeypatch.undo()
        assert isinstance(outcome, Failed)
        assert "auth.lock cannot be locked" in outcome.reason
