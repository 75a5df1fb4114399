"""State folders of OpenClaw as its versions leave them, made by hand. Shares no code with the adapter.

The tables are those of the real 2026.6.11 and 2026.9.6, as far as logins are concerned.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from syncd.ports import Reading, Store, Surroundings
from syncd_adapters.openclaw import OpenClaw
from tests import fake

META = """CREATE TABLE schema_meta (meta_key TEXT NOT NULL PRIMARY KEY, role TEXT NOT NULL,
    schema_version INTEGER NOT NULL, agent_id TEXT, app_version TEXT,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)"""
LOGINS = """CREATE TABLE auth_profile_store (store_key TEXT NOT NULL PRIMARY KEY,
    store_json TEXT NOT NULL, updated_at INTEGER NOT NULL)"""
MACHINE = """CREATE TABLE config_machine_state (state_key TEXT NOT NULL PRIMARY KEY,
    value_json TEXT NOT NULL, updated_at_ms INTEGER NOT NULL) STRICT"""
AGENTS = """CREATE TABLE agent_databases (agent_id TEXT NOT NULL, path TEXT NOT NULL,
    schema_version INTEGER NOT NULL, last_seen_at INTEGER NOT NULL, size_bytes INTEGER,
    PRIMARY KEY (agent_id, path))"""
# 2026.6.1 to 7.1 have these in the state database, always empty.
DECOYS = """CREATE TABLE auth_profile_stores (store_key TEXT PRIMARY KEY, store_json TEXT);
    CREATE TABLE auth_profile_state (state_key TEXT PRIMARY KEY, state_json TEXT)"""

STATE_DB, LEGACY_MAIN = '{"location":"state-db"}', '{"location":"legacy-main"}'

FENCE = "openclaw-oauth-refresh-fence:v1:"
CLAIM = "0123456789abcdef0123456789abcdef"


def profile(name: str = "one", iat: float = 1_000.0, **more: object) -> dict[str, object]:
    """A login of generation `name`; `more` adds keys, or takes them away where it is None."""
    whole: dict[str, object] = {
        "type": "oauth",
        "provider": "openai",
        "access": fake.jwt(iat, generation=name),
        "refresh": fake.refresh(name),
        "expires": int((iat + 3_600) * 1_000),
        "accountId": fake.ACCOUNT,
        "email": fake.EMAIL,
    }
    return {key: value for key, value in {**whole, **more}.items() if value is not None}


def fenced(digest: str = "a" * 64, *, failed: bool = False, claim: str = CLAIM, **more: object) -> dict[str, object]:
    """What 2026.9.5 leaves in a row while it spends the refresh token."""
    middle = "failed:" if failed else ""
    marks = {kind: f"{FENCE}{claim}:{middle}{kind}:{digest}" for kind in ("access", "refresh")}
    return {**profile(expires=1), **marks, **more}


def document(**profiles: object) -> dict[str, object]:
    """A store; the keywords are profile ids, with `__` for a colon."""
    return {"version": 1, "profiles": {name.replace("__", ":", 1): one for name, one in profiles.items()}}


def only(one: object, name: str = "openai:default") -> dict[str, object]:
    return {"version": 1, "profiles": {name: one}}


def agent_folder(state: Path, agent: str) -> Path:
    folder = state / "agents" / agent / "agent"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_json(state: Path, agent: str, content: object) -> Path:
    path = agent_folder(state, agent) / "auth-profiles.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def database(path: Path, *ddl: str, wal: bool = True) -> sqlite3.Connection:
    """An open connection of `OpenClaw's`; close it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={'WAL' if wal else 'DELETE'}")
    for each in ddl:
        connection.executescript(each)
    path.chmod(0o600)
    return connection


def write_agent(state: Path, agent: str, content: object | None = None, *, ddl: str = LOGINS, wal: bool = True) -> Path:
    """An agent's database, with a login row where there is content."""
    path = agent_folder(state, agent) / "openclaw-agent.sqlite"
    with contextlib.closing(database(path, META, ddl, wal=wal)) as connection:
        connection.execute("INSERT INTO schema_meta VALUES ('primary', 'agent', 1, ?, NULL, 1, 1)", (agent,))
        if content is not None:
            row = (json.dumps(content, separators=(",", ":")),)
            connection.execute("INSERT INTO auth_profile_store VALUES ('primary', ?, 1)", row)
    return path


def write_state(
    state: Path,
    version: str | None = None,
    owner: str | None = None,
    content: object | None = None,
    *,
    ddl: str = MACHINE,
) -> Path:
    """A state database with its ownership row and shared login row, as far as they are given."""
    path = state / "state" / "openclaw.sqlite"
    with contextlib.closing(database(path, META, AGENTS, ddl)) as connection:
        connection.execute("INSERT INTO schema_meta VALUES ('primary', 'global', 18, NULL, ?, 1, 1)", (version,))
        if owner is not None:
            connection.execute("INSERT INTO config_machine_state VALUES ('auth.sharedStore', ?, 1)", (owner,))
        if content is not None:
            row = (json.dumps(content, separators=(",", ":")),)
            connection.execute("INSERT INTO config_machine_state VALUES ('authProfiles.store', ?, 1)", row)
    return path


def run(path: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """One statement in a connection of its own."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql, values).fetchall()


def surroundings(home: Path, **env: str) -> Surroundings:
    return Surroundings(env=env, home=home)


def stores(home: Path, **env: str) -> dict[str, Store]:
    """By label."""
    return {one.info.label: one for one in OpenClaw().discover(surroundings(home, **env)).stores}


def readings(home: Path, **env: str) -> dict[str, Reading]:
    return {label: store.read() for label, store in stores(home, **env).items()}


@contextlib.contextmanager
def elsewhere(code: str, *arguments: str) -> Iterator[int]:
    """Another process runs `code`, which calls `hold()` when it is where the test wants it; gives its pid."""
    preface = "import sys\ndef hold():\n    print('ready', flush=True)\n    sys.stdin.read()\n"
    child = subprocess.Popen(
        [sys.executable, "-c", preface + code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child.pid
    finally:
        child.communicate("")


HOLD_WRITER = """import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
hold()
connection.execute("ROLLBACK")
"""
HOLD_LOCK = """import json, os
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
holder = {"pid": os.getpid(), "createdAt": "2026-01-01T00:00:00.000Z"}
os.write(descriptor, json.dumps(holder, indent=2).encode())
os.close(descriptor)
hold()
os.unlink(sys.argv[1])
"""
