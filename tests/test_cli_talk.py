"""The command line as a whole: usage, exit codes, signals, pipes; faults become a sentence, a hint and a code."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from syncd import __version__, cli
from syncd.cli import exits
from syncd.turn import Keeper
from tests.sandbox import COMMAND_S, SYNCD, Sandbox, until


def test_usage(sandbox: Sandbox) -> None:
    """What does not exist: one sentence, the next command, 64."""
    sandbox.tells("""
$ syncd stats
! syncd: error: there is no command "stats"
! syncd: hint: syncd --help
[64]
$ syncd run --onec
! syncd: error: no such option '--onec'. Did you mean '--once'?
! syncd: hint: syncd run --help
[64]
$ syncd status more
! syncd: error: got unexpected extra argument (more)
! syncd: hint: syncd status --help
[64]
$ syncd --config
! syncd: error: option '--config' requires an argument
! syncd: hint: syncd --help
[64]
$ syncd role codex boss
! syncd: error: invalid value for '{peer|follower|observer|off}': 'boss' is not one of 'peer', 'follower', 'observer', 'off'
! syncd: hint: syncd role --help
[64]
$ syncd history -n many
! syncd: error: invalid value for '-n' / '--last': 'many' is not a valid integer
! syncd: hint: syncd history --help
[64]
""")  # noqa: E501  a transcript is not broken


def test_version_and_help(sandbox: Sandbox) -> None:
    asked, bare = sandbox.run("--help"), sandbox.run()
    assert (asked.code, asked.err) == (0, "")
    assert sandbox.run("--version").out == f"syncd {__version__}\n"
    assert asked.out.startswith("Usage: syncd [OPTIONS] COMMAND [ARGS]...\n")
    assert all(len(line) <= 80 for line in asked.out.splitlines())
    for name in cli.COMMANDS:
        assert f"\n  {name} " in asked.out
        assert sandbox.run(name, "--help").code == 0
    # Nothing asked is a usage error; the help is then talk, not a result.
    assert (bare.code, bare.out, bare.err.strip()) == (64, "", asked.out.strip())


def sick(box: Sandbox) -> None:
    box.codex_login(box.login("one"))
    assert box.run("run", "--once", "--yes").code == 0
    box.auth.unlink()


def known(box: Sandbox) -> None:
    box.codex_login(box.login("one"))
    assert box.run("run", "--once", "--yes").code == 0


def damaged(box: Sandbox) -> None:
    known(box)
    box.ledger.write_bytes(b"this is no database" * 1_000)


def newer(box: Sandbox) -> None:
    known(box)
    with closing(sqlite3.connect(box.ledger)) as connection:
        connection.execute("PRAGMA user_version=999")


def open_to_others(box: Sandbox) -> None:
    known(box)
    box.state.chmod(0o755)


def bad_config(box: Sandbox) -> None:
    box.config.write_text("[wacth]\n")


def busy(box: Sandbox) -> None:
    box.codex_login(box.login("two", age=60))
    box.codex_login(box.login("one"), box.home / "work")
    box.config.write_text('[codex]\nhomes = ["~/work"]\n')
    (box.home / "work" / "auth.json.lock").mkdir()


def nothing(box: Sandbox) -> None:
    """A machine where no tool has ever run."""


def expiring(box: Sandbox) -> None:
    box.codex_login(box.login("one", age=3_600, lifetime=300))


CODES: list[tuple[Callable[[Sandbox], None], str, int, str]] = [
    (known, "status --check", exits.DONE, ""),
    (nothing, "status", exits.DONE, "no login of Codex or OpenClaw was found; looked at:"),
    (sick, "status --check", exits.SICK, ""),
    (busy, "run --once --yes", exits.SICK, ""),
    (expiring, "status --check", exits.SOON, ""),
    (nothing, "nonsense", exits.USAGE, 'syncd: error: there is no command "nonsense"'),
    (damaged, "status", exits.DATA, "syncd: error: BOX/state/ledger.db: it is damaged (file is not a database)"),
    (damaged, "history", exits.DATA, "syncd: error: BOX/state/ledger.db: it is damaged (file is not a database)"),
    (
        newer,
        "run --once",
        exits.IO,
        "syncd: error: BOX/state/ledger.db: it was made by a newer syncd (layout 999, this one knows 1)",
    ),
    (open_to_others, "run --once", exits.PERMISSION, "syncd: error: BOX/state: open to others (mode 755)"),
    (
        bad_config,
        "status",
        exits.CONFIG,
        'syncd: error: BOX/etc/config.toml:1: unknown key "wacth"; did you mean "watch"?',
    ),
]


@pytest.mark.parametrize(
    ("given", "command", "code", "said"), CODES, ids=[f"{given.__name__}: {command}" for given, command, _, _ in CODES]
)
def test_exit_codes(sandbox: Sandbox, given: Callable[[Sandbox], None], command: str, code: int, said: str) -> None:
    """70 and 130 are below, 75 in test_cli_run.py; a fault has a hint, and never a traceback."""
    given(sandbox)
    done = sandbox.run(*command.split())
    err = sandbox.plain(done.err)
    assert (done.code, err.partition("\n")[0]) == (code, said)
    assert "Traceback" not in err
    assert (code < exits.USAGE) or err.splitlines()[1].startswith("syncd: hint: ")


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["run", "--dry-run"], ["config", "show"]])
def test_a_reader_that_goes_away_is_no_error(sandbox: Sandbox, command: list[str]) -> None:
    """`syncd status | head`."""
    sandbox.codex_login(sandbox.login("one"))
    ours, theirs = os.pipe()
    os.close(ours)  # gone before the first line
    child = subprocess.Popen(
        [*SYNCD, *command], env=sandbox.env, cwd=sandbox.tmp, stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    _, err = child.communicate(timeout=COMMAND_S)
    assert (child.returncode, err.decode()) == (0, "")


class Mute:
    """A syncd that says it lives, and answers nothing else."""

    def __init__(self, box: Sandbox) -> None:
        box.runtime.mkdir(mode=0o700)
        self.asked = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(box.socket))
        self.listener.listen()
        self.clients: list[socket.socket] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            if b"ping" in client.recv(4_096):
                client.sendall(b'{"v":1,"action":"pong"}\n')
            else:
                self.asked.set()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(5.0)
        for one in [self.listener, *self.clients]:
            one.close()


def test_interrupted_it_ends_with_130_and_no_traceback(sandbox: Sandbox) -> None:
    mute = Mute(sandbox)
    sandbox.extra["PYTHONWARNINGS"] = "ignore"
    try:
        child = subprocess.Popen(
            [*SYNCD, "status"], env=sandbox.env, cwd=sandbox.tmp, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert mute.asked.wait(COMMAND_S)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=COMMAND_S)
    finally:
        mute.close()
    assert (child.returncode, out, err) == (130, b"", b"\n")  # the end of the line that shows ^C


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_ends_clean_when_it_is_asked_to(sandbox: Sandbox, number: signal.Signals) -> None:
    sandbox.codex_login(sandbox.login("one"))
    with sandbox.daemon() as daemon:
        assert daemon.leave(number) == 0
        assert "Traceback" not in daemon.said
    assert not sandbox.socket.exists()
    assert sandbox.ask({"v": 1, "op": "status"}) is None


def test_the_daemon_ends_clean_in_the_middle_of_a_first_turn(sandbox: Sandbox) -> None:
    """TERM at any moment after the start: never a traceback."""
    one = sandbox.login("one")
    for number in range(60):
        sandbox.agent(f"agent{number}", one)
    sandbox.codex_login(sandbox.login("two", age=60))
    with sandbox.daemon() as daemon:
        assert daemon.leave() == 0
        assert "Traceback" not in daemon.said


class TestFaultOfItsOwn:
    """In this process, so that a fault can be put into it."""

    @pytest.fixture(autouse=True)
    def broken(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CODEX_HOME", raising=False)
        for name, value in sandbox.env.items():
            if name.startswith(("SYNCD_", "XDG_")) or name in ("HOME", "TMPDIR"):
                monkeypatch.setenv(name, value)

        def fail(*_: Any, **__: Any) -> None:
            raise ZeroDivisionError("by nothing")

        monkeypatch.setattr(Keeper, "turn", fail)

    def said(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as end:
            cli.main([*arguments, "status"])
        return end.value.code, capsys.readouterr().err

    def test_is_a_sentence_and_70(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Python's own 1 would say that the login is sick."""
        assert self.said(capsys) == (
            70,
            "syncd: error: a fault of syncd's own: ZeroDivisionError: by nothing\n"
            "syncd: hint: run it again as: syncd -v COMMAND, and report what it says\n",
        )


def test_a_stale_socket_file_is_nobody(sandbox: Sandbox) -> None:
    sandbox.codex_login(sandbox.login("one"))
    sandbox.runtime.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(sandbox.socket))
    assert sandbox.run("status", "--json").json()["daemon"]["running"] is False
    with sandbox.daemon():
        until("it answers", lambda: sandbox.ask({"v": 1, "op": "ping"}))
        assert sandbox.run("status", "--json").json()["daemon"]["running"] is True
