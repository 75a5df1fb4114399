"""A machine for one test: a home with stores of the tools, and syncd beside them, known only by its command line.

Nothing outside of the test's folder is read or written, but for the lineage lock in /tmp (docs/adr/0002); so each
sandbox has an account of its own. Whatever a syncd here says or writes is kept, and `leaks` greps it for tokens.
"""

from __future__ import annotations

import ctypes
import difflib
import fcntl
import functools
import json
import os
import pty
import re
import secrets
import select
import shlex
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import fake
from tests.adapters import codex_home, openclaw_state
from tests.adapters.conformance import Login
from tests.planted import Detector, Leak

REPOSITORY = Path(__file__).parent.parent
SYNCD = [sys.executable, "-m", "syncd"]

# Upper bounds (seconds): a hundred times what an idle machine needs, so that a busy one does not matter.
COMMAND_S, START_S, STATE_S = 40.0, 40.0, 30.0

TEN_HOURS = 10 * 3_600 + 300

Document = dict[str, Any]

_LIBC = ctypes.CDLL(None)


def until(what: str, holds: Callable[[], object], patience: float = STATE_S, told: Callable[[], object] = str) -> None:
    """Wait until it holds; AssertionError with `told()` after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"after {patience} s still not: {what}\n{told()}"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    command: str
    out: str
    err: str
    code: int

    def json(self) -> Document:
        found = json.loads(self.out)
        assert isinstance(found, dict), self
        return found

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.out}{_quoted(self.err)}[{self.code}]\n"


def _quoted(err: str) -> str:
    return "".join(f"! {line}\n" for line in err.splitlines())


@dataclass
class Daemon:
    """A `syncd run` in the background."""

    sandbox: Sandbox
    child: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def status(self) -> Document:
        """By the socket: what `status --json` prints, without the time that a process takes to start."""
        reply = self.sandbox.ask({"v": 1, "op": "status"})
        assert reply is not None, self.said
        found = reply.get("status")
        assert isinstance(found, dict), reply
        return found

    def until(self, what: str, holds: Callable[[], object], patience: float = STATE_S) -> None:
        def told() -> str:
            assert self.child.poll() is None, f"syncd ended with {self.child.returncode}\n{self.said}"
            return f"--- syncd said\n{self.said[-4000:]}"

        until(what, holds, patience, told)

    def until_said(self, words: str) -> None:
        self.until(f"it says {words!r}", lambda: words in self.said)

    def leave(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        if self.child.poll() is None:
            os.kill(self.pid, number)
        return self.child.wait(STATE_S)


@dataclass
class Sandbox:
    """A person's machine. `account`: whose logins `login` makes, unless told otherwise.

    `extra`: more of the environment. `bits_bind`: permission bits bind syncd also where the tester is root.
    """

    root: Path
    account: str = field(default_factory=lambda: f"acct-fake-{secrets.token_hex(8)}")
    extra: dict[str, str] = field(default_factory=dict)
    bits_bind: bool = False
    done: list[Done] = field(default_factory=list)
    detector: Detector = field(default_factory=Detector)

    def __post_init__(self) -> None:
        for folder in (self.home, self.tmp, self.logs, self.config.parent):
            folder.mkdir(parents=True, exist_ok=True)

    home = property(lambda self: self.root / "home")
    tmp = property(lambda self: self.root / "tmp")
    logs = property(lambda self: self.root / "said")
    state = property(lambda self: self.root / "state")
    runtime = property(lambda self: self.root / "run")
    config = property(lambda self: self.root / "etc" / "config.toml")
    ledger = property(lambda self: self.state / "ledger.db")
    socket = property(lambda self: self.runtime / "syncd.sock")
    codex = property(lambda self: self.home / ".codex")
    auth = property(lambda self: self.codex / "auth.json")
    openclaw = property(lambda self: self.home / ".openclaw")

    @property
    def env(self) -> dict[str, str]:
        """All that a process here gets: nothing of the tester's own login, config or terminal."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.tmp),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_STATE_HOME": str(self.home / ".local/state"),
            "XDG_RUNTIME_DIR": str(self.root / "xdg"),
            "SYNCD_CONFIG": str(self.config),
            "SYNCD_STATE_DIR": str(self.state),
            "SYNCD_RUNTIME_DIR": str(self.runtime),
            "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "adapters"))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONWARNINGS": "error",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "COLUMNS": "80",
        } | self.extra

    # -- the tools' stores --------------------------------------------------------------------------------------------

    def login(self, name: str, age: float = 600.0, lifetime: float = TEN_HOURS, *, account: str | None = None) -> Login:
        """The login of generation `name`, issued `age` seconds ago, that lives `lifetime` seconds from now."""
        issued, owner = round(time.time() - age), account or self.account
        one = Login(
            access=fake.jwt(issued, age + lifetime, account=owner, generation=name),
            refresh=fake.refresh(name),
            id_token=fake.jwt(issued, age + lifetime, account=owner, generation=name, kind="id"),
            account_id=owner,
            expires_at=issued + age + lifetime,
        )
        for secret in (one.access, one.refresh, one.id_token):
            self.detector.plant(secret or "")
        return one

    def profile(self, one: Login, **more: object) -> Document:
        """As OpenClaw keeps it; `more` adds keys, or takes them away where it is None."""
        assert one.expires_at is not None
        whole = {"access": one.access, "refresh": one.refresh, "expires": int(one.expires_at * 1_000)}
        return openclaw_state.profile(**{**whole, "accountId": one.account_id, **more})  # type: ignore[arg-type]

    def codex_login(self, one: Login, home: Path | None = None, **changes: object) -> Path:
        """A Codex home with this login, as 0.169 leaves it."""
        folder = home or self.codex
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "auth.json"
        path.write_bytes(codex_home.text(codex_home.auth(one, **changes)))
        path.chmod(0o600)
        return path

    def agent(self, name: str, one: Login, state: Path | None = None, **more: object) -> Path:
        """A JSON agent (to 2026.6.1) with this login."""
        content = openclaw_state.only(self.profile(one, **more))
        path = openclaw_state.write_json(state or self.openclaw, name, content)
        path.chmod(0o600)
        return path

    def agent_row(self, name: str, one: Login, state: Path | None = None) -> Path:
        """An agent with a database of its own (2026.6.5 to 8.0) and this login in it."""
        content = openclaw_state.only(self.profile(one))
        return openclaw_state.write_agent(state or self.openclaw, name, content)

    def shared_row(self, one: Login, state: Path | None = None) -> Path:
        """A state database with the shared row (from 2026.8.1 on) and this login in it."""
        content = openclaw_state.only(self.profile(one))
        return openclaw_state.write_state(state or self.openclaw, "2026.9.6", openclaw_state.STATE_DB, content)

    # -- syncd --------------------------------------------------------------------------------------------------------

    def run(self, *arguments: str, stdin: str = "", env: Mapping[str, str | None] | None = None) -> Done:
        """A syncd command, from start to end."""
        changed = {**self.env, **(env or {})}
        child = subprocess.run(
            [*SYNCD, *arguments],
            env={name: value for name, value in changed.items() if value is not None},
            cwd=self.tmp,
            input=stdin.encode(),
            capture_output=True,
            timeout=COMMAND_S,
            check=False,
            preexec_fn=self.preexec,
        )
        out, err = child.stdout.decode(), child.stderr.decode()
        return self.keep(Done(shlex.join(["syncd", *arguments]), out, err, child.returncode))

    @property
    def preexec(self) -> Callable[[], None] | None:
        return bind_bits if self.bits_bind else None

    def keep(self, done: Done) -> Done:
        self.done.append(done)
        return done

    def tells(self, transcript: str) -> None:
        """Run the commands of a transcript: `$ command`, its stdout, its stderr behind `! `, its exit code in brackets.

        Where the test runs, and when, is given a name: see `plain`.
        """
        commands = [line.removeprefix("$ syncd") for line in transcript.splitlines() if line.startswith("$ syncd")]
        told = "\n" + "".join(self.plain(str(self.run(*shlex.split(each)))) for each in commands)
        difference = difflib.unified_diff(transcript.splitlines(), told.splitlines(), "specified", "told", lineterm="")
        assert told == transcript, "\n".join(difference)

    def plain(self, text: str) -> str:
        for path, name in ((self.home, "~"), (self.root, "BOX")):
            text = text.replace(str(path), name)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DAY TIME", text)
        text = re.sub(r"\bpid \d+", "pid PID", text)
        return re.sub(r" +$", "", text, flags=re.MULTILINE)

    @contextmanager
    def daemon(self, *arguments: str, yes: bool = True) -> Iterator[Daemon]:
        """`syncd run --yes` until the end of the block, where it is asked to leave, and must."""
        log = self.logs / f"daemon-{len(list(self.logs.iterdir()))}"
        with log.open("wb") as out:
            child = subprocess.Popen(
                [*SYNCD, "run", *(["--yes"] if yes else []), *arguments],
                env=self.env,
                cwd=self.tmp,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self.preexec,
            )
        daemon = Daemon(self, child, log)
        try:
            daemon.until("it answers", lambda: self.ask({"v": 1, "op": "status"}), START_S)
            yield daemon
            assert daemon.leave() == 0, daemon.said
        finally:
            if child.poll() is None:
                child.kill()
                child.wait(STATE_S)

    def ask(self, request: object, patience: float = 10.0) -> Document | None:
        """One line to the socket and its answer; None where nobody answers."""
        return self.ask_raw(json.dumps(request).encode() + b"\n", patience)

    def ask_raw(self, line: bytes, patience: float = 10.0) -> Document | None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
                client.settimeout(patience)
                client.connect(str(self.socket))
                client.sendall(line)
                client.shutdown(socket.SHUT_WR)
                with client.makefile("rb") as answer:
                    reply = answer.readline().decode()
        except OSError:
            return None
        if reply:
            self.keep(Done(f"socket {line[:40]!r}", reply, "", 0))
        return json.loads(reply) if reply else None

    def on_terminal(self, *arguments: str, answers: Mapping[str, str] | None = None) -> Done:
        """The same on a terminal of 80 columns, where `answers` are typed as soon as their questions stand there."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        env = {name: value for name, value in self.env.items() if name != "COLUMNS"} | {"TERM": "xterm-256color"}
        child = subprocess.Popen(
            [*SYNCD, *arguments],
            env=env,
            cwd=self.tmp,
            preexec_fn=functools.partial(os.login_tty, theirs),
        )
        os.close(theirs)
        seen, left = b"", dict(answers or {})
        last, deadline = "", time.monotonic() + COMMAND_S
        try:
            while time.monotonic() < deadline:
                if not select.select([ours], [], [], 1.0)[0]:
                    if last == "\x03":  # lost where it arrives just as a line begins to be read: a person repeats it
                        os.write(ours, b"\x03")
                    continue
                try:
                    seen += os.read(ours, 65_536)
                except OSError:  # EIO: the other end is closed
                    break
                for question in [one for one in left if one.encode() in seen]:
                    last = left.pop(question)
                    os.write(ours, last.encode())
            code = child.wait(max(0.1, deadline - time.monotonic()))
        finally:
            os.close(ours)
            if child.poll() is None:
                child.kill()
                child.wait(STATE_S)
        text = seen.decode().replace("\r\n", "\n")
        return self.keep(Done(shlex.join(["syncd", *arguments]), text, "", code))

    # -- what must be true at the end ---------------------------------------------------------------------------------

    def leaks(self) -> list[Leak]:
        """Every planted token in what syncd here printed, or wrote into a file of its own."""
        found = [
            leak
            for done in self.done
            for name, text in (("stdout", done.out), ("stderr", done.err))
            for leak in self.detector.leaks(f"{name} of {done.command}", text)
        ]
        for folder in (self.logs, self.state, self.runtime, self.tmp, self.config.parent, self.root / "xdg"):
            found += self.detector.leaks_below(folder)
        return found

    def everything(self) -> dict[str, tuple[int, int, bytes]]:
        """Each file and folder of this machine, with mode, bytes and time of change: to show that nothing changed."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            stat = path.lstat()
            regular = path.is_file() and not path.is_symlink()
            found[str(path)] = (stat.st_mode, *((stat.st_mtime_ns, path.read_bytes()) if regular else (0, b"")))
        return found

    def litter(self) -> list[Path]:
        """What syncd left in the tools' folders and should not have."""
        return sorted(path for path in self.home.rglob(".syncd-*"))


# -- a root whom permission bits bind ---------------------------------------------------------------------------------

# linux/prctl.h, linux/capability.h: what lets root read and write whatever the bits say.
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


def bind_bits() -> None:
    """Called between fork and exec: what is executed next obeys permission bits, also as root."""
    if os.geteuid() == 0:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            _LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def can_bind_bits(folder: Path) -> bool:
    """Does it work here? Not without CAP_SETPCAP, and not outside of Linux."""
    probe = folder / "probe"
    probe.touch(0o000)
    child = subprocess.run(
        [sys.executable, "-c", "import sys; open(sys.argv[1])", str(probe)],
        preexec_fn=bind_bits,
        capture_output=True,
        timeout=COMMAND_S,
        check=False,
    )
    probe.unlink()
    return child.returncode != 0


# -- how the tools write their stores ---------------------------------------------------------------------------------


def rewrite_in_place(path: Path, data: bytes) -> None:
    """As Codex to 0.166: truncate, then write, the same inode; no lock before 0.166."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def rewrite_by_rename(path: Path, data: bytes) -> None:
    """As Codex 0.169: both flocks, a temp beside it, fsync, rename."""
    with (path.parent / "auth.lock").open("a") as outer, (path.parent / "auth.json.lock").open("a") as inner:
        fcntl.flock(outer, fcntl.LOCK_EX)
        fcntl.flock(inner, fcntl.LOCK_EX)
        temp = path.with_name(".auth-Fa4e01")
        descriptor = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)
        temp.rename(path)
