"""The daemon: what appears, goes and comes back while it runs; what it does when its own disk or a store's fails it."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from syncd.cli.compose import Setup
from syncd.config import Config, places
from syncd.files import swapping
from syncd.ledger import Ledger
from syncd.model import Role
from syncd.ports import Busy, Failed, Surroundings
from syncd.retry import BUSY_FOR, Attempt, after
from syncd.shelf import Shelf
from syncd.turn import Keeper
from syncd_adapters import ALL
from tests import fake
from tests.adapters import codex_home, openclaw_state
from tests.adapters.conformance import Login
from tests.sandbox import Sandbox, rewrite_by_rename, rewrite_in_place


def holds(path: Path, name: str) -> bool:
    """Does the store hold this refresh token? Read as a row, where it is a database."""
    token = fake.refresh(name)
    try:
        if path.suffix == ".sqlite":
            return openclaw_state.run(path, "SELECT instr(store_json, ?) > 0 FROM auth_profile_store", token) == [(1,)]
        return f'"{token}"' in path.read_text()
    except OSError:
        return False


def rotate(box: Sandbox, name: str, age: float, rewrite: Callable[[Path, bytes], None] = rewrite_in_place) -> Login:
    one = box.login(name, age)
    rewrite(box.auth, codex_home.text(codex_home.auth(one)))
    return one


class TestWhatAppearsLater:
    """Seen at once by events; every second at the latest by a poll."""

    @pytest.fixture(params=["events", "poll"], autouse=True)
    def mode(self, request: pytest.FixtureRequest, sandbox: Sandbox) -> None:
        interval = "1h" if request.param == "events" else "200ms"
        sandbox.config.write_text(f'[watch]\nmode = "{request.param}"\ninterval = "{interval}"\n')

    def test_a_login_after_the_start_then_agents_then_rotations(self, sandbox: Sandbox) -> None:
        """Nothing is there at the start: no `.codex`, no `.openclaw`."""
        with sandbox.daemon() as daemon:
            assert daemon.status()["accounts"] == []
            sandbox.codex_login(sandbox.login("two", age=60))
            daemon.until_said("first seen bafec6d1")
            late = sandbox.agent("main", sandbox.login("one"))
            daemon.until("the agent is current", lambda: holds(late, "two"))
            row = sandbox.agent_row("nova", sandbox.login("one"), sandbox.home / ".openclaw-six")
            daemon.until("the agent of another profile is current", lambda: holds(row, "two"))
            rotate(sandbox, "three", 30)
            daemon.until("both have it", lambda: holds(late, "three") and holds(row, "three"))
            rotate(sandbox, "four", 5, rewrite_by_rename)
            daemon.until("both have the next", lambda: holds(late, "four") and holds(row, "four"))

    def test_folders_that_are_deleted_and_made_again(self, sandbox: Sandbox) -> None:
        sandbox.codex_login(sandbox.login("two", age=60))
        sandbox.agent("main", sandbox.login("one"))
        with sandbox.daemon() as daemon:
            shutil.rmtree(sandbox.openclaw)
            daemon.until_said("logged out")
            back = sandbox.agent("main", sandbox.login("one"))
            daemon.until("it is current again", lambda: holds(back, "two"))
            shutil.rmtree(sandbox.codex)
            daemon.until("the home is gone", lambda: daemon.said.count("logged out") == 2)
            sandbox.codex_login(sandbox.login("three", age=5))
            daemon.until("the new login is everywhere", lambda: holds(back, "three"))


def test_a_burst_ends_with_the_newest(sandbox: Sandbox) -> None:
    """And costs few reads: the log tells each generation at most once."""
    sandbox.codex_login(sandbox.login("start", age=500))
    agent = sandbox.agent("main", sandbox.login("start", age=500))
    with sandbox.daemon() as daemon:
        for number in range(60):
            rotate(sandbox, f"burst-{number}", 400 - number)
        daemon.until("the last one has arrived", lambda: holds(agent, "burst-59"))
        assert daemon.said.count("mirrored") <= 60


def test_a_torn_write_is_no_logout(sandbox: Sandbox) -> None:
    """Codex to 0.166 leaves the file empty, then half, for a moment; or for longer, when it is killed."""
    sandbox.codex_login(sandbox.login("one"))
    agent = sandbox.agent("main", sandbox.login("one"))
    with sandbox.daemon() as daemon:
        two = codex_home.text(codex_home.auth(sandbox.login("two", age=5)))
        for torn in (b"", two[:200]):
            rewrite_in_place(sandbox.auth, torn)
            daemon.until("it says so", lambda: store_of(daemon.status(), "codex")["state"] == "unreadable")
            assert daemon.status()["accounts"][0]["state"] == "live"
            assert sandbox.auth.read_bytes() == torn
        rewrite_in_place(sandbox.auth, two)
        daemon.until("the whole one is everywhere", lambda: holds(agent, "two"))
        assert "logged out" not in daemon.said


def store_of(status: dict[str, object], label: str) -> dict[str, object]:
    accounts = status["accounts"]
    assert isinstance(accounts, list)
    return next(store for one in accounts for store in one["stores"] if store["label"] == label)


class TestConfiguration:
    def test_a_change_is_taken_up_without_a_restart(self, sandbox: Sandbox) -> None:
        sandbox.codex_login(sandbox.login("two", age=60))
        late = sandbox.codex_login(sandbox.login("one"), sandbox.home / "work")
        sandbox.config.write_text('[watch]\ninterval = "100ms"\n')
        with sandbox.daemon() as daemon:
            sandbox.config.write_text('[watch]\ninterval = "100ms"\n[codex]\nhomes = ["~/work"]\n')
            daemon.until("the other home is current", lambda: holds(late, "two"))

    def test_an_invalid_one_keeps_the_old_and_is_said_once(self, sandbox: Sandbox) -> None:
        sandbox.codex_login(sandbox.login("two", age=60))
        agent = sandbox.agent("main", sandbox.login("one"))
        sandbox.config.write_text('[watch]\ninterval = "100ms"\n[[store]]\nmatch = "openclaw:*"\nrole = "observer"\n')
        with sandbox.daemon() as daemon:
            sandbox.config.write_text('[watch]\nintervall = "1s"\n')
            daemon.until_said("the configuration in force stays: ")
            rotate(sandbox, "three", 5)
            daemon.until_said("rotated 4a87477e")
            for _ in range(5):
                daemon.status()  # each reads the file again
            assert daemon.said.count("the configuration in force stays") == 1
            assert f'{sandbox.config}:2: unknown key "watch.intervall"; did you mean "interval"?' in daemon.said
            assert holds(agent, "one")
            sandbox.config.write_text('[watch]\ninterval = "100ms"\n')
            daemon.until("the valid one counts again", lambda: holds(agent, "three"))
            sandbox.config.write_text("nonsense")
            daemon.until("it is said anew", lambda: daemon.said.count("the configuration in force stays") == 2)


class TestItsOwnDisk:
    def test_a_full_disk_stops_the_writing_is_said_once_and_heals(self, sandbox: Sandbox) -> None:
        """Nothing is written to a store that was not recorded first (docs/rules.md, 1).

        The disk is full for this one process: no file of it may grow, as root too.
        """
        sandbox.codex_login(sandbox.login("two", age=60))
        agent = sandbox.agent("main", sandbox.login("two", age=60))
        with sandbox.daemon() as daemon:
            room = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
            logged = daemon.log.stat().st_size
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (logged + 2_000, room[1]))
            before = agent.read_bytes()
            rotate(sandbox, "three", 5)
            daemon.until_said("nothing is written until the ledger works again: ")
            daemon.status()
            assert agent.read_bytes() == before
            assert daemon.said.count("nothing is written until") == 1
            assert "syncd" not in {path.name.partition("-")[0].strip(".") for path in agent.parent.iterdir()}
            resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, room)
            daemon.until("it goes on", lambda: holds(agent, "three"))
        assert "rotated" in sandbox.run("history").out

    @pytest.mark.parametrize("behind", [0, 4_096])
    def test_a_damaged_ledger_is_set_aside_at_the_start(self, sandbox: Sandbox, behind: int) -> None:
        sandbox.codex_login(sandbox.login("two", age=60))
        assert sandbox.run("run", "--once", "--yes").code == 0
        data = sandbox.ledger.read_bytes()
        sandbox.ledger.write_bytes(data[:behind] + b"\xff" * (len(data) - behind))
        for side in ("-wal", "-shm"):
            sandbox.ledger.with_name(sandbox.ledger.name + side).unlink(missing_ok=True)
        agent = sandbox.agent("main", sandbox.login("one"))
        with sandbox.daemon() as daemon:
            daemon.until("it serves all the same", lambda: holds(agent, "two"))
            assert "the ledger was damaged; it was moved to " in daemon.said
        assert len(list(sandbox.state.glob("ledger.db.damaged-*"))) == 1

    def test_two_of_them_never_share_a_state_folder(self, sandbox: Sandbox) -> None:
        """Killed, it leaves its lock to nobody: the next one starts."""
        sandbox.codex_login(sandbox.login("one"))
        with sandbox.daemon() as daemon:
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.child.wait(30)
            with sandbox.daemon():
                assert sandbox.run("run").code == 75
            daemon.child.returncode = 0  # killed on purpose


# -- faults put into this process -------------------------------------------------------------------------------------


@pytest.fixture
def keeper(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """In this process, at the sandbox's stores: Codex has rotated, an agent and a second home have not heard of it."""
    for name in ("CODEX_HOME", "OPENCLAW_HOME", "OPENCLAW_STATE_DIR", "OPENCLAW_AGENT_DIR", "PI_CODING_AGENT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(sandbox.home))
    sandbox.codex_login(sandbox.login("two", age=60))
    sandbox.agent("main", sandbox.login("one"))
    ledger = Ledger.create(sandbox.state)
    keeper = Setup(places(sandbox.env), Config()).keeper(ledger)
    keeper.shelf.discover()
    yield keeper
    ledger.close()


AGENT = Path(".openclaw/agents/main/agent/auth-profiles.json")


class TestARenameThatIsBlocked:
    """An antivirus, an indexer: EACCES or EBUSY, for a while. Tried again soon, and never by sleeping on it."""

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY])
    @pytest.mark.parametrize("exchange", [True, False])
    def test_it_is_tried_again_until_it_works(
        self, sandbox: Sandbox, keeper: Keeper, monkeypatch: pytest.MonkeyPatch, number: int, exchange: bool
    ) -> None:
        refusals = [number] * 3
        real, replace = swapping._exchange(), Path.replace

        def blocked(one: Path, other: Path) -> int:
            return refusals.pop() if refusals else real(one, other) if real else errno.ENOSYS

        def replaced(self: Path, target: Path) -> Path:
            if refusals:
                raise OSError(refusals.pop(), os.strerror(number))
            return replace(self, target)

        if exchange:
            monkeypatch.setattr(swapping, "_exchange", lambda: blocked)
        else:
            monkeypatch.setattr(swapping, "_exchange", lambda: None)
            monkeypatch.setattr(Path, "replace", replaced)
        before = (sandbox.home / AGENT).read_bytes()
        report = keeper.turn()
        ((_, outcome),) = report.failed
        assert isinstance(outcome, Busy)
        assert os.strerror(number) in outcome.reason
        assert (sandbox.home / AGENT).read_bytes() == before
        (told,) = [one for one in keeper.findings() if one.slot.store.startswith("openclaw")]
        assert (told.state.value, told.reason) == ("busy", f"not written: {outcome.reason}")
        turns = 0
        while keeper.attempts and turns < 50:
            keeper.rest()
            keeper.turn(())
            turns += 1
        assert turns >= 3
        assert holds(sandbox.home / AGENT, "two")
        assert sandbox.litter() == []

    def test_the_others_are_written_meanwhile(
        self, sandbox: Sandbox, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        second = sandbox.agent("second", sandbox.login("one"))
        keeper.shelf.discover()
        real = swapping._exchange()

        def blocked(one: Path, other: Path) -> int:
            return errno.EBUSY if "main" in other.parts or real is None else real(one, other)

        monkeypatch.setattr(swapping, "_exchange", lambda: blocked)
        report = keeper.turn()
        assert [slot.store for slot, _ in report.failed] == [f"openclaw:~/{AGENT}"]
        assert holds(second, "two")
        assert holds(sandbox.home / AGENT, "one")

    def test_the_rhythm(self) -> None:
        """10 to 100 ms for 60 s; then, and for what is not busy at all, from 1 s to 5 min."""
        now, attempt, waits = 0.0, None, []
        while now < BUSY_FOR:
            attempt = after(Busy("blocked"), attempt, now)
            waits.append(attempt.next_at - now)
            now = attempt.next_at
        assert waits[:5] == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.1])
        assert max(waits) <= 0.1 + 1e-9
        later = after(Busy("blocked"), attempt, now)
        assert later.next_at - now >= 1.0
        failed = [after(Failed("no"), Attempt(Failed("no"), count, 0.0, 0.0), 0.0).next_at for count in range(12)]
        assert failed == pytest.approx([min(2.0**count, 300.0) for count in range(12)])

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
    def test_a_disk_that_fails_loses_nothing(
        self, sandbox: Sandbox, keeper: Keeper, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        before = (sandbox.home / AGENT).read_bytes()
        monkeypatch.setattr(swapping, "_exchange", lambda: lambda *_: number)
        ((_, outcome),) = keeper.turn().failed
        assert isinstance(outcome, Failed)
        assert os.strerror(number) in outcome.reason
        assert outcome.hint == f"ls -ld {(sandbox.home / AGENT).parent}"
        assert (sandbox.home / AGENT).read_bytes() == before
        assert sandbox.litter() == []


def test_discovery_names_every_place_it_looks_at(fs: FakeFilesystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that exists in memory alone."""
    home = Path("/home/fake")
    for path in (
        ".codex/auth.json",
        "elsewhere/auth.json",
        ".openclaw/agents/main/agent/auth-profiles.json",
        ".openclaw/agents/main/agent/auth-state.json",
        ".openclaw-work/agents/nova/agent/auth-profiles.json",
        ".clawdbot/agents/main/agent/auth-profiles.json",
        ".openclaw-auth-profile-secrets/agents/x/agent/auth-profiles.json",
        "unasked/.openclaw/agents/main/agent/auth-profiles.json",
    ):
        fs.create_file(home / path, contents="{}")
    surroundings = Surroundings({"CODEX_HOME": str(home / "elsewhere")}, home, {"codex": (home / ".codex",)})
    shelf = Shelf(tuple(adapter() for adapter in ALL), surroundings, lambda _: Role.PEER)
    assert shelf.discover() == {
        "codex:~/elsewhere/auth.json",
        "codex:~/.codex/auth.json",
        "openclaw:~/.openclaw/agents/main/agent/auth-profiles.json",
        "openclaw:~/.openclaw-work/agents/nova/agent/auth-profiles.json",
        "openclaw:~/.clawdbot/agents/main/agent/auth-profiles.json",
    }
    assert [str(path.relative_to(home)) for path in shelf.looked] == [
        "elsewhere/auth.json",
        ".codex/auth.json",
        ".openclaw",
        ".openclaw-work",
        ".clawdbot",
    ]
    shelf.role_of = lambda store: Role.OFF if "nova" in store else Role.PEER
    assert shelf.discover() == {"openclaw:~/.openclaw-work/agents/nova/agent/auth-profiles.json"}


def test_the_words_of_the_log(sandbox: Sandbox) -> None:
    """One line an event, with fingerprints; the writes of a turn are one line, however many."""
    sandbox.codex_login(sandbox.login("two", age=60))
    for name in ("main", "nova", "echo"):
        sandbox.agent(name, sandbox.login("one"))
    with sandbox.daemon() as daemon:
        daemon.until_said("mirrored bafec6d1 to 3 stores")
        rotate(sandbox, "three", 5)
        daemon.until_said("mirrored 4a87477e to 3 stores")
    first, *lines, last = daemon.said.splitlines()
    assert first == "syncd keeps the stores current; how they stand: syncd status; end it with Ctrl-C"
    assert last == "syncd has ended; nothing is watched now"
    assert [line.split(" ", 1)[1] for line in lines] == [
        "INFO    first seen bafec6d1 at codex:~/.codex/auth.json#chatgpt",
        "INFO    first seen 10fee690 at openclaw:~/.openclaw/agents/echo/agent/auth-profiles.json#openai:default",
        "INFO    mirrored bafec6d1 to 3 stores",
        "INFO    rotated 4a87477e (was bafec6d1) at codex:~/.codex/auth.json#chatgpt",
        "INFO    mirrored 4a87477e to 3 stores",
    ]
