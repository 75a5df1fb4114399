"""Bad input: one clear sentence with the path and the next command; the file as it was, and the other stores served.

All the bad stores lie side by side on one machine, whose syncd is run once: what one case needs, no other may break.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import fake
from tests.adapters import openclaw_state
from tests.notrun import not_run
from tests.sandbox import Document, Done, Sandbox, can_bind_bits

MEND = "mend the file, or sign in again with its own tool"
DEEP = 5_000

Plant = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """What lies where an agent's file, or a Codex home's, belongs; and what is said of it, after the path."""

    plant: Plant
    sentence: str
    hint: str = MEND


def data(text: bytes) -> Plant:
    def plant(path: Path) -> None:
        path.write_bytes(text)

    return plant


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    """A socket's path is short, or none; made where it fits, then moved."""
    short = Path("/tmp") / f"syncd-test-{os.getpid()}.sock"  # noqa: S108  its name is the test process's own
    with closing(socket.socket(socket.AF_UNIX)) as made:
        made.bind(str(short))
    short.rename(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path)


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere.json"))


def forbidden(path: Path) -> None:
    path.write_bytes(b"{}")
    path.chmod(0o000)


FILES = {
    "empty": Case(data(b""), "empty"),
    "blank": Case(data(b" \n"), "empty"),
    "torn": Case(data(b'{"version": 1, "profiles": {"openai:default": {"refresh": "fake-refresh-to'), "not JSON: "),
    "not JSON": Case(data(b"refresh = fake-refresh-x"), "not JSON: Expecting value at line 1 column 1"),
    "not UTF-8": Case(data(b'{"version": "\xff\xfe"}'), "not UTF-8 at byte 14"),
    "UTF-16": Case(data("{}".encode("utf-16")), "not UTF-8 at byte 1"),
    "byte order mark": Case(
        data(b"\xef\xbb\xbf{}"), "begins with a byte order mark", "save it as UTF-8 without a byte order mark"
    ),
    "huge": Case(data(b'{"a": "' + b"x" * (8 * 1024 * 1024) + b'"}'), "larger than 8 MiB", "ls -l PATH"),
    "deep": Case(data(b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}"), "nested more than 64 deep"),
    "duplicate keys": Case(data(b'{"version": 1, "version": 2}'), "the same key twice in one object"),
    "NaN": Case(data(b'{"version": NaN}'), "NaN, which is not JSON"),
    "too large a number": Case(data(b'{"version": 1e999}'), "a number too large"),
    "too long a number": Case(data(b'{"version": ' + b"9" * 5_000 + b"}"), "a number with too many digits"),
    "a list": Case(data(b"[]"), "not a JSON object"),
    "a folder": Case(Path.mkdir, "a folder where a file belongs", "ls -ld PATH"),
    "a FIFO": Case(fifo, "a named pipe where a file belongs", "ls -ld PATH"),
    "a device": Case(device, "a device where a file belongs", "ls -ld PATH"),
    "a socket": Case(listening, "a socket or a device where a file belongs", "ls -ld PATH"),
    "a link to itself": Case(loop, "a link that leads back to itself", "ls -l PATH"),
    "permission denied": Case(forbidden, "permission denied", "ls -l PATH; run syncd as the user who owns it"),
}

# OpenClaw's own reader takes a dangling link for no store at all, and so does its adapter: nothing is listed.
CODEX_ONLY = {"a dangling link": Case(dangling, "a link to ", "ls -l PATH")}


Make = Callable[[Sandbox, str], Document]


def profile(**changes: object) -> Make:
    """A login of an account of its own, with something changed."""

    def make(box: Sandbox, name: str) -> Document:
        one = box.login(name, account=f"{box.account}-{name}")
        made = {key: change(one.account_id) if callable(change) else change for key, change in changes.items()}
        return openclaw_state.only(box.profile(one, **made))

    return make


def jwt(iat: float | None, lifetime: float | None = 3_600, *, exp: object = None) -> Callable[[str], str]:
    claims: dict[str, Any] = {} if exp is None else {"exp": exp}
    return lambda account: fake.jwt(iat, lifetime, account=account, **claims)


def whole(**changes: object) -> Make:
    return lambda box, name: {**profile()(box, name), **changes}


# Wrong values in a store that is JSON: the slot's state, and what is said of it.
VALUES: dict[str, tuple[Make, str, str | None]] = {
    "tokens are numbers": (profile(access=5), "unreadable", "its tokens are not text"),
    "no provider": (profile(provider=None), "unreadable", "its profile names no provider"),
    "no known type": (profile(type="magic"), "unreadable", "its profile is of no known type"),
    "a profile is a list": (lambda *_: openclaw_state.only([]), "unreadable", "its profile is not a JSON object"),
    "no access token": (profile(access=None), "unreadable", "it has a refresh token and no access token"),
    "an odd fence": (
        profile(refresh=f"{openclaw_state.FENCE}odd", access=f"{openclaw_state.FENCE}odd"),
        "unreadable",
        "OpenClaw fenced it in a way that this syncd does not know",
    ),
    "profiles are a list": (
        whole(profiles=[]),
        "unreadable",
        "it has no profiles: not an OpenClaw login store",
    ),
    "unknown version": (
        whole(version=2),
        "unreadable",
        "its store version is not 1: written by an OpenClaw that this syncd does not know",
    ),
    "an API key": (profile(type="api_key"), "foreign", "an API key"),
    "another provider": (profile(provider="github-copilot"), "foreign", "unsupported provider github-copilot"),
    # A token that tells nothing is kept as it is: it may be alive.
    "not a JWT": (profile(access="fake-not-a-jwt"), "current", None),
    "of nobody": (profile(access="fake-of-nobody", accountId=None, email=None), "current", None),
    "expires as text": (profile(expires="tomorrow"), "current", None),
    "expires long ago": (profile(expires=-1, access=jwt(1_000, exp=-5)), "current", None),
    "expires never": (profile(expires=10**300, access=jwt(1_000, exp=10**400)), "current", None),
    "issued after the end": (profile(access=jwt(1e15, 1e18)), "current", None),
}
OTHER_HINTS = dict.fromkeys(("profiles are a list", "unknown version"), "run 'openclaw doctor'")


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"this is no database " * 500)


def malformed(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5_000] + b"x" * 3_000)


def other_columns(path: Path) -> None:
    openclaw_state.run(path, "ALTER TABLE config_machine_state RENAME COLUMN value_json TO other")


def row_of_bytes(path: Path) -> None:
    openclaw_state.run(path, "UPDATE config_machine_state SET value_json = '{' WHERE state_key = 'authProfiles.store'")


def unknown_owner(path: Path) -> None:
    sql = "UPDATE config_machine_state SET value_json = '{\"location\":\"mars\"}' WHERE state_key = 'auth.sharedStore'"
    openclaw_state.run(path, sql)


DOCTOR = "run 'openclaw doctor'"
# A shared row of 2026.9.6 whose database, or row, is not as it should be; each is in a state folder of its own.
DATABASES = {
    "not-sqlite": Case(not_sqlite, "it is damaged: file is not a database", f"{DOCTOR}, do not delete it"),
    "malformed": Case(malformed, "it is damaged: database disk image is malformed", f"{DOCTOR}, do not delete it"),
    "columns": Case(other_columns, "its tables are not those of OpenClaw: no such column: value_json", DOCTOR),
    "row": Case(row_of_bytes, "not JSON: Expecting property name enclosed in double quotes at line 1 column 2"),
}


@dataclass
class Machine:
    """The machine with all of them, and what syncd said of it."""

    box: Sandbox
    bad: dict[str, Path]
    held: dict[str, bytes | None]
    check: Done
    once: Done

    def text(self) -> str:
        return self.box.plain(self.check.out)


def bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size < 100_000 else None
    except OSError:
        return None


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    box = Sandbox(tmp_path_factory.mktemp("bad"))
    box.bits_bind = can_bind_bits(box.tmp)
    new, old = box.login("two", age=60), box.login("one")
    box.codex_login(new)
    box.agent("good", old)
    bad = {f"agent {name}": box.openclaw / "agents" / name / "agent" / "auth-profiles.json" for name in FILES}
    bad |= {f"codex {name}": box.home / "homes" / name / "auth.json" for name in FILES | CODEX_ONLY}
    for label, path in bad.items():
        path.parent.mkdir(parents=True)
        (FILES | CODEX_ONLY)[label.partition(" ")[2]].plant(path)
    for name, (make, _, _) in VALUES.items():
        bad[name] = openclaw_state.write_json(box.openclaw, name, make(box, name))
    for name, case in [*DATABASES.items(), ("owner", Case(unknown_owner, ""))]:
        bad[name] = box.shared_row(new if name == "row" else old, box.home / f".openclaw-{name}")
        case.plant(bad[name])
    homes = [str(path.parent) for label, path in bad.items() if label.startswith("codex ")]
    box.config.write_text(f"[codex]\nhomes = {json.dumps(homes)}\n")
    held = {name: bytes_of(path) for name, path in bad.items()}
    check, once = box.run("status", "--check"), box.run("run", "--once", "--yes")
    yield Machine(box, bad, held, check, once)
    assert box.leaks() == []


def test_each_bad_store_is_told_and_the_good_ones_are_served(machine: Machine) -> None:
    """2: whose login an unreadable store holds cannot be told."""
    assert (machine.check.code, machine.check.err) == (2, "")
    assert machine.once.code == 0
    good = json.loads((machine.box.openclaw / "agents/good/agent/auth-profiles.json").read_bytes())
    assert good["profiles"]["openai:default"]["refresh"] == fake.refresh("two")


@pytest.mark.parametrize(
    ("tool", "name"), [("agent", name) for name in FILES] + [("codex", name) for name in FILES | CODEX_ONLY]
)
def test_a_file(machine: Machine, tool: str, name: str) -> None:
    if name == "permission denied" and not machine.box.bits_bind:
        not_run("permission bits as root", "root cannot give up its rights here")
    case, path = (FILES | CODEX_ONLY)[name], machine.bad[f"{tool} {name}"]
    shown = machine.box.plain(str(path))
    for done in (machine.check, machine.once):
        text = machine.box.plain(done.out)
        said = f"    {shown}: {case.sentence}"
        assert said in text, text
        following = text[text.index(said) :].splitlines()[1]
        assert following == f"    next: {case.hint.replace('PATH', shown)}"
    assert bytes_of(path) == machine.held[f"{tool} {name}"]


@pytest.mark.parametrize("name", VALUES)
def test_a_value(machine: Machine, name: str) -> None:
    _, state, reason = VALUES[name]
    text = machine.text()
    (line,) = [line for line in text.splitlines() if line.startswith(f"  {name} ")]
    assert f" {state} " in line, line
    following = text[text.index(line) :].splitlines()[1:3]
    if state == "unreadable":
        hint = OTHER_HINTS.get(name, MEND)
        assert following == [f"    {machine.box.plain(str(machine.bad[name]))}: {reason}", f"    next: {hint}"]
    elif reason is not None:
        assert following[0] == f"    {reason}"
    assert machine.bad[name].read_bytes() == machine.held[name]


@pytest.mark.parametrize("name", DATABASES)
def test_a_database(machine: Machine, name: str) -> None:
    said = (
        f"    {machine.box.plain(str(machine.bad[name]))}: {DATABASES[name].sentence}\n    next: {DATABASES[name].hint}"
    )
    assert said in machine.text()
    assert said in machine.box.plain(machine.once.out)
    assert machine.bad[name].read_bytes() == machine.held[name]


def test_a_database_whose_owner_is_unknown_is_read_and_never_written(machine: Machine) -> None:
    text = machine.box.plain(machine.once.out)
    (line,) = [line for line in text.splitlines() if line.startswith("  shared @.openclaw-owner ")]
    assert " behind " in line
    assert text[text.index(line) :].splitlines()[1] == (
        "    OpenClaw's ownership row (auth.sharedStore) has a form that this syncd does not know"
    )
    assert machine.bad["owner"].read_bytes() == machine.held["owner"]


def test_two_accounts_in_one_store_are_two_logins(sandbox: Sandbox) -> None:
    new, old = sandbox.login("two", age=60), sandbox.login("one")
    other = sandbox.login("other", account=f"{sandbox.account}-other")
    sandbox.codex_login(new)
    path = openclaw_state.write_json(
        sandbox.openclaw,
        "main",
        openclaw_state.document(openai__mine=sandbox.profile(old), openai__theirs=sandbox.profile(other)),
    )
    theirs = json.dumps(sandbox.profile(other))
    assert sandbox.run("run", "--once", "--yes").code == 0
    profiles = json.loads(path.read_bytes())["profiles"]
    assert profiles["openai:mine"]["refresh"] == fake.refresh("two")
    assert json.dumps(profiles["openai:theirs"]) == theirs


@pytest.mark.parametrize("make", [lambda _: "fake-not-a-jwt", jwt(None, exp="x"), jwt(1e15)])
def test_a_token_without_an_age_beside_another_of_its_account_is_a_dispute(
    sandbox: Sandbox, make: Callable[[str], str]
) -> None:
    """Equal or missing `iat` with no edge: nothing of this account is written (docs/rules.md, 5); others are."""
    sandbox.codex_login(sandbox.login("two", age=60))
    bad = sandbox.agent("bad", sandbox.login("bad"), access=make(sandbox.account))
    other = f"{sandbox.account}-other"
    sandbox.codex_login(sandbox.login("four", age=60, account=other), sandbox.home / "work")
    served = sandbox.agent("other", sandbox.login("three", account=other))
    sandbox.config.write_text('[codex]\nhomes = ["~/work"]\n')
    before = bad.read_bytes(), sandbox.auth.read_bytes()
    assert sandbox.run("run", "--once", "--yes").code == 0
    done = sandbox.run("status", "--check")
    assert done.code == 1
    assert (
        "two credentials cannot be put in order: their issue times are equal or missing\nnext: syncd explain"
        in done.out
    )
    assert (bad.read_bytes(), sandbox.auth.read_bytes()) == before
    assert fake.refresh("four") in served.read_text()


@pytest.mark.parametrize(
    ("wal", "lock", "state", "sentence"),
    [
        (True, "BEGIN IMMEDIATE", "busy", "not written: PATH: it is locked by another program"),
        (False, "BEGIN EXCLUSIVE", "unreadable", "PATH: it is locked by another program"),
    ],
)
def test_a_locked_database_is_told_and_tried_again(
    sandbox: Sandbox, wal: bool, lock: str, state: str, sentence: str
) -> None:
    sandbox.codex_login(sandbox.login("two", age=60))
    served = sandbox.agent("good", sandbox.login("one"), sandbox.home / ".openclaw-json")
    content = openclaw_state.only(sandbox.profile(sandbox.login("one")))
    path = openclaw_state.write_agent(sandbox.openclaw, "nova", content, wal=wal)
    with openclaw_state.elsewhere(openclaw_state.HOLD_WRITER.replace("BEGIN IMMEDIATE", lock), str(path)):
        done = sandbox.run("run", "--once", "--yes")
    text = sandbox.plain(done.out)
    (line,) = [line for line in text.splitlines() if line.startswith("  nova ")]
    assert f" {state} " in line
    assert f"    {sentence.replace('PATH', sandbox.plain(str(path)))}\n" in text
    assert done.code == (1 if state == "busy" else 0)
    assert fake.refresh("two") in served.read_text()
    assert sandbox.run("run", "--once").code == 0
    assert openclaw_state.run(path, "SELECT instr(store_json, ?) > 0 FROM auth_profile_store", fake.refresh("two")) == [
        (1,)
    ]


def test_a_store_of_another_user_keeps_its_owner_and_mode(sandbox: Sandbox) -> None:
    """Root serves it; who is not root is told that it is forbidden."""
    if os.geteuid() != 0:
        not_run("permission bits as root", "only root can make a file of another user")
    sandbox.codex_login(sandbox.login("two", age=60))
    path = sandbox.agent("main", sandbox.login("one"))
    os.chown(path, 65_534, 65_534)
    path.chmod(0o640)
    assert sandbox.run("run", "--once", "--yes").code == 0
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (65_534, 65_534, 0o640)
    assert fake.refresh("two") in path.read_text()
    if not can_bind_bits(sandbox.tmp):
        return
    path.chmod(0o600)
    sandbox.bits_bind = True
    done = sandbox.run("status")
    assert f"    {path}: permission denied\n    next: ls -l {path}; run syncd as the user who owns it\n" in done.out


# -- syncd's own folder and ledger ------------------------------------------------------------------------------------


def open_folder(box: Sandbox) -> None:
    box.state.chmod(0o750)


def open_ledger(box: Sandbox) -> None:
    box.ledger.chmod(0o644)


def folder_of_another(box: Sandbox) -> None:
    os.chown(box.state, 65_534, 65_534)


def ledger_is_a_folder(box: Sandbox) -> None:
    box.ledger.unlink()
    box.ledger.mkdir(mode=0o700)


def folder_is_a_file(box: Sandbox) -> None:
    for path in box.state.iterdir():
        path.unlink()
    box.state.rmdir()
    box.state.write_text("")


def link_to_another_place(box: Sandbox) -> None:
    box.state.rename(box.root / "elsewhere")
    (box.root / "elsewhere").chmod(0o755)
    box.state.symlink_to(box.root / "elsewhere")


OWN: dict[str, tuple[Callable[[Sandbox], None], int, str, str]] = {
    "folder open to others": (open_folder, 77, "BOX/state: open to others (mode 750)", "chmod 700 BOX/state"),
    "ledger open to others": (
        open_ledger,
        77,
        "BOX/state/ledger.db: open to others (mode 644)",
        "chmod 600 BOX/state/ledger.db",
    ),
    "folder of another user": (
        folder_of_another,
        77,
        "BOX/state: belongs to user 65534, and syncd runs as user 0",
        "run syncd as the user who owns it, or remove it",
    ),
    "ledger is a folder": (ledger_is_a_folder, 77, "BOX/state/ledger.db: not a file", "ls -ld BOX/state/ledger.db"),
    "folder is a file": (folder_is_a_file, 77, "BOX/state: not a folder", "ls -ld BOX/state"),
    "link to an open folder": (
        link_to_another_place,
        77,
        "BOX/state: open to others (mode 755)",
        "chmod 700 BOX/state",
    ),
}


def stores(box: Sandbox) -> dict[str, object]:
    """Everything but the lock that a daemon takes before it opens its ledger."""
    return {path: found for path, found in box.everything().items() if not path.endswith("/daemon.lock")}


@pytest.mark.parametrize("name", OWN)
def test_a_state_folder_that_is_not_private_is_refused_and_not_mended(sandbox: Sandbox, name: str) -> None:
    """Also by a daemon; and no store is written."""
    spoil, code, sentence, hint = OWN[name]
    if name == "folder of another user" and os.geteuid() != 0:
        not_run("permission bits as root", "only root can make a folder of another user")
    sandbox.codex_login(sandbox.login("one"))
    assert sandbox.run("run", "--once", "--yes").code == 0
    agent = sandbox.agent("main", sandbox.login("old", age=9_000))
    spoil(sandbox)
    before = stores(sandbox)
    for command in ("run --once --yes", "run"):
        done = sandbox.run(*command.split())
        assert (done.code, done.out) == (code, "")
        assert sandbox.plain(done.err) == f"syncd: error: {sentence}\nsyncd: hint: {hint}\n"
    assert stores(sandbox) == before
    assert fake.refresh("old") in agent.read_text()


@pytest.mark.parametrize("spoilt", [b"this is no database" * 1_000, None])
def test_a_damaged_ledger_is_set_aside_and_rebuilt(sandbox: Sandbox, spoilt: bytes | None) -> None:
    """None: whole at its start, garbage behind. What only looks says so, and leaves it to `run`."""
    sandbox.codex_login(sandbox.login("one"))
    assert sandbox.run("run", "--once", "--yes").code == 0
    with closing(sqlite3.connect(sandbox.ledger)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = sandbox.ledger.read_bytes()
    bad = spoilt or whole[:4_096] + b"\xff" * (len(whole) - 4_096)
    sandbox.ledger.write_bytes(bad)
    looked = sandbox.run("status")
    assert looked.code == 65
    assert looked.err.endswith("syncd: hint: syncd run\n")
    assert sandbox.ledger.read_bytes() == bad
    done = sandbox.run("run", "--once", "--yes")
    (aside,) = sandbox.state.glob("ledger.db.damaged-*")
    assert (done.code, done.err) == (
        0,
        f"syncd: warning: the ledger was damaged; it was moved to {aside}, and is rebuilt from the stores\n",
    )
    assert aside.read_bytes() == bad
    assert [line.split()[2] for line in sandbox.run("history").out.splitlines()] == ["first"]
