"""The demo ends by itself with 0, touches nothing, leaves nothing; and it can fail: each promise, broken, is seen."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from syncd.demo import lookout, pace, programs
from syncd.demo.agents import JsonAgent
from syncd.demo.authority import Authority, serving
from syncd.demo.child import running
from syncd.demo.lookout import HOST, Lookout, Measured, Stuck
from syncd.demo.play import play
from syncd.demo.sandbox import GUEST_PROFILE, Sandbox, sandbox
from syncd.demo.scene import Scene
from syncd.demo.stores import Held
from syncd.demo.story import ACTS
from syncd.demo.tokens import GUEST, STRANGER, YOU, Tokens
from syncd.demo.verdict import checks

IDLE = (sys.executable, "-c", "import time; time.sleep(60)")

ENDS_AT_ONCE = (sys.executable, "-c", "import sys; sys.exit('no')")


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home with a login of the user's, a key in the environment, and a place for temporary folders."""
    for name in ("home/.codex", "tmp", "run"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "home/.codex/auth.json").write_text('{"OPENAI_API_KEY": "the-users-own"}')
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    home = str(tmp_path / "home")
    return {
        **kept,
        "HOME": home,
        "CODEX_HOME": f"{home}/.codex",
        "OPENCLAW_STATE_DIR": f"{home}/.openclaw",
        "OPENAI_API_KEY": "the-users-own",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "SYNCD_STATE_DIR": f"{home}/state",
        "TMPDIR": str(tmp_path / "tmp"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def start(environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "syncd", "demo", *options]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def is_clean(environment: dict[str, str]) -> bool:
    """The home as it was, no temporary folder, nothing in the runtime folder, and no process that lived in one."""
    home, tmp, run = (Path(environment[name]) for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR"))
    assert sorted(path.relative_to(home).as_posix() for path in home.rglob("*")) == [".codex", ".codex/auth.json"]
    assert (home / ".codex/auth.json").read_text() == '{"OPENAI_API_KEY": "the-users-own"}'
    assert [*tmp.iterdir(), *run.iterdir()] == []
    return not any(str(tmp) in seen for seen in folders_of_processes())


def folders_of_processes() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield str((process / "cwd").readlink())
        except OSError:
            continue


def test_it_ends_by_itself_with_everything_measured_to_be_true(environment: dict[str, str]) -> None:
    began = time.monotonic()
    with start(environment, "--quick") as demo:
        said, complaints = demo.communicate(timeout=30)
    assert (demo.returncode, complaints) == (0, ""), said + complaints
    assert time.monotonic() - began < 15
    assert "every store current: 6 of 6 stores" in said
    assert "6 rotations, median" in said
    assert "6 token requests, 0 reused, 0 refused" in said
    assert "60 turns, 0 refused" in said
    assert said.count("byte for byte") == 2
    assert "FAILED" not in said
    assert "the-users-own" not in said
    assert is_clean(environment)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_it_early_finds_nothing_left(environment: dict[str, str], number: signal.Signals) -> None:
    with start(environment) as demo:
        until = time.monotonic() + 10
        while not list(Path(environment["TMPDIR"]).glob("syncd-demo-*/state/ledger.db")):
            assert time.monotonic() < until
            time.sleep(0.01)
        demo.send_signal(number)
        demo.communicate(timeout=10)
    assert demo.returncode == 130
    assert is_clean(environment)


# -- it can fail --------------------------------------------------------------------------------------------------


def screen(command: tuple[str, ...]) -> tuple[bool, str]:
    out = io.StringIO()
    return play(Console(file=out, width=100), quick=True, command=command), out.getvalue()


def test_a_syncd_that_does_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "START_PATIENCE", 0.5)
    good, said = screen(IDLE)
    assert not good
    assert "FAILED  the story was played to its end: atlas, nova, rook did not follow within 0.5 s" in said
    assert "FAILED  every store current: not: nova, rook, atlas" in said
    assert "FAILED  each rotation reached every store: 0 of 0 did" in said


def test_a_syncd_that_ends_is_found_out() -> None:
    good, said = screen(ENDS_AT_ONCE)
    assert not good
    assert "FAILED  the story was played to its end: syncd has ended" in said
    assert "FAILED  syncd ended and left nothing behind: exit code 1" in said
    assert said.endswith("what syncd said last:\n  no\n")


def test_its_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LIMIT", 0.3)
    good, said = screen(IDLE)
    assert not good
    assert "FAILED  the story was played to its end: it took longer than 0.3 s" in said


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Everything as it is at the end of a good demo: every program has what the authority gave out last."""
    authority = Authority()
    with serving(authority), sandbox(authority) as made:
        scene = Scene(made, authority)
        scene.backups = {name: store.raw() for name, store in made.stores.items()}
        everywhere(scene, programs.refresh(authority.url, "codex", held(scene, "codex").refresh))
        for name in made.stores:
            assert programs.turn(authority.url, name, held(scene, name).access)
        yield scene


def everywhere(scene: Scene, tokens: Tokens) -> None:
    for store in scene.sandbox.stores.values():
        store.put(tokens)


def held(scene: Scene, name: str) -> Held:
    found = scene.sandbox.stores[name].held()
    assert found is not None
    return found


def fine() -> Measured:
    return Measured(acts=len(ACTS), laps=[0.1], heals=[0.1, 0.1], kept=True)


def broken(scene: Scene, measured: Measured | None = None, exit_code: int = 0) -> list[str]:
    scene.look()
    return [one.text for one in checks(scene, measured or fine(), exit_code) if not one.holds]


def test_nothing_is_broken_where_all_is_well(scene: Scene) -> None:
    assert broken(scene) == []


def rolled_back(scene: Scene) -> None:
    scene.sandbox.stores["rook"].restore(scene.backups["rook"])


def other_login_renewed(scene: Scene) -> None:
    rook = scene.sandbox.agent("rook")
    document = rook.document()
    document["profiles"][GUEST_PROFILE]["refresh"] = scene.authority.issue(GUEST).tokens.refresh
    rook.save(document)


def unknown_key_lost(scene: Scene) -> None:
    main = scene.sandbox.agent("main")
    document = main.document()
    del document["profiles"][JsonAgent.profile]["x_unknown"]
    main.save(document)


def rights_widened(scene: Scene) -> None:
    scene.sandbox.codex.path.chmod(0o644)


def key_respelt(scene: Scene) -> None:
    """The same JSON, another byte."""
    main = scene.sandbox.stores["main"]
    main.restore(main.raw().replace(b'"not-a-key"', rb'"not\u002da-key"'))


def key_deleted(scene: Scene) -> None:
    (scene.sandbox.home / "work/.codex/auth.json").unlink()


def token_reused(scene: Scene) -> None:
    spent = held(scene, "codex").refresh
    everywhere(scene, programs.refresh(scene.authority.url, "codex", spent))
    with pytest.raises(programs.Refused, match="refresh_token_reused"):
        programs.refresh(scene.authority.url, "rook", spent)


def stale_turn(scene: Scene) -> None:
    assert not programs.turn(scene.authority.url, "rook", "an access token of last week")


def litter_left(scene: Scene) -> None:
    (scene.sandbox.codex.path.parent / ".syncd-1234.tmp").touch()


@pytest.mark.parametrize(
    ("break_it", "lines"),
    [
        (rolled_back, ["every store current"]),
        (other_login_renewed, ["other logins, unknown keys untouched"]),
        (unknown_key_lost, ["other logins, unknown keys untouched"]),
        (rights_widened, ["other logins, unknown keys untouched"]),
        (key_respelt, ["API keys, a Copilot login untouched"]),
        (key_deleted, ["API keys, a Copilot login untouched"]),
        (token_reused, ["each rotation reached every store", "each token was spent once"]),
        (stale_turn, ["no program was refused"]),
        (litter_left, ["syncd ended and left nothing behind"]),
    ],
)
def test_a_broken_promise_is_seen(scene: Scene, break_it: Callable[[Scene], None], lines: list[str]) -> None:
    break_it(scene)
    assert broken(scene) == lines


@pytest.mark.parametrize(
    ("measured", "line"),
    [
        ({"acts": 1}, "the story was played to its end"),
        ({"laps": []}, "each rotation reached every store"),
        ({"heals": [0.1]}, "old copies put back are healed"),
        ({"strayed": {"main"}}, "the stranger's token spread nowhere"),
        ({"kept": False}, "the stranger's token spread nowhere"),
        ({"kept": None}, "the stranger's token spread nowhere"),
    ],
)
def test_what_was_not_measured_does_not_hold(scene: Scene, measured: dict[str, object], line: str) -> None:
    whole = fine()
    for name, value in measured.items():
        setattr(whole, name, value)
    assert broken(scene, whole) == [line]


def test_a_syncd_that_fell_is_seen(scene: Scene) -> None:
    assert broken(scene, exit_code=-9) == ["syncd ended and left nothing behind"]


# -- the lookout --------------------------------------------------------------------------------------------------


@pytest.fixture
def watching(scene: Scene) -> Iterator[Lookout]:
    with running(IDLE, {}, scene.sandbox.root) as child:
        scene.look()
        yield Lookout(scene, pace.Pace(lambda: None, quick=True), child)


def test_a_strangers_token_is_seen_wherever_it_goes(watching: Lookout) -> None:
    made, tokens = watching.scene.sandbox, watching.scene.authority.issue(STRANGER).tokens
    made.agent(HOST).put(tokens, STRANGER)
    watching.tempt()
    assert (watching.measured.kept, watching.measured.strayed) == (True, set())
    made.agent("iris").put(tokens, STRANGER)
    hidden = made.agent("main").document()
    made.agent("main").save({**hidden, "x_elsewhere": tokens.refresh})
    watching.look()
    assert watching.measured.strayed == {"iris", "main"}


def test_it_is_seen_when_the_strangers_token_is_overwritten(watching: Lookout) -> None:
    host = watching.scene.sandbox.agent(HOST)
    own = host.raw()
    host.put(watching.scene.authority.issue(STRANGER).tokens, STRANGER)
    watching.tempt()
    host.restore(own)
    watching.relent()
    assert watching.measured.kept is False


def test_only_the_newest_token_counts_as_followed(watching: Lookout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lookout._follow, "__defaults__", (0.2,))
    watching.scene.sandbox.codex.put(watching.scene.authority.issue(YOU).tokens)
    with pytest.raises(Stuck, match="atlas, iris, main, nova, rook did not follow"):
        watching.lap("codex")
    assert watching.measured.laps == []


def test_the_sandbox_holds_everything_that_a_child_is_told(watching: Lookout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-users-own")
    monkeypatch.setenv("CODEX_HOME", "/nowhere")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    made: Sandbox = watching.scene.sandbox
    told = made.environment(watching.scene.authority.url)
    assert not {"OPENAI_API_KEY", "CODEX_HOME"} & told.keys()
    folders = {name: value for name, value in told.items() if value.startswith("/")}
    assert {"HOME", "TMPDIR", "PATH", "SYNCD_STATE_DIR", "SYNCD_CONFIG", "XDG_CONFIG_HOME"} <= folders.keys()
    assert all(Path(value).is_relative_to(made.root) for value in folders.values())


def test_a_child_that_does_not_listen_is_killed(scene: Scene) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with running((sys.executable, "-c", deaf), {}, scene.sandbox.root) as child:
        while not (scene.sandbox.root / "syncd.log").read_text():
            time.sleep(0.01)
        assert child.end() == -signal.SIGKILL
        assert not child.running
