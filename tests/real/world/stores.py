"""Reads and sets the stores of the real programs, straight from the disk: what a test believes about them.

A store that is missing, empty or half written holds nothing at that moment (Codex up to 0.164 truncates its
file before it writes).
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from tests.real.world.tokens import Credential

Json = dict[str, Any]
SQLITE_TIMEOUT_S = 10.0
FENCE = "openclaw-oauth-refresh-fence:"


@dataclass(frozen=True, slots=True)
class Held:
    """What a slot holds."""

    access: str
    refresh: str

    @property
    def fenced(self) -> bool:
        """Whether OpenClaw has put a refresh in flight, or a failed one, in the place of the tokens."""
        return self.refresh.startswith(FENCE)


class Store(Protocol):
    """One slot of one store."""

    @property
    def name(self) -> str: ...

    def held(self) -> Held | None:
        """What it holds now; None when there is nothing to be read."""

    def put(self, credential: Credential) -> None:
        """Sets it, as a sign-in, a backup or a confused script would: past syncd and past the tool."""


@dataclass(frozen=True, slots=True)
class CodexFile:
    """`auth.json` of a Codex home."""

    path: Path

    @property
    def name(self) -> str:
        return "codex auth.json"

    def held(self) -> Held | None:
        tokens = (read_json(self.path) or {}).get("tokens")
        return Held(tokens["access_token"], tokens["refresh_token"]) if tokens else None

    def put(self, credential: Credential) -> None:
        tokens = {
            "id_token": credential.id_token,
            "access_token": credential.access,
            "refresh_token": credential.refresh,
            "account_id": credential.account_id,
        }
        refreshed = datetime.fromtimestamp(credential.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        whole = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": refreshed}
        replace(self.path, json.dumps(whole, indent=2))


@dataclass(frozen=True, slots=True)
class ProfilesFile:
    """A slot of one agent's `auth-profiles.json`: the live store up to 2026.6.1, a stray one after that."""

    path: Path
    slot: str

    @property
    def name(self) -> str:
        return f"{self.path.parent.parent.name}'s auth-profiles.json"

    def held(self) -> Held | None:
        return read_slot(read_json(self.path), self.slot)

    def put(self, credential: Credential) -> None:
        whole = read_json(self.path) or {"version": 1, "profiles": {}}
        replace(self.path, json.dumps(set_slot(whole, self.slot, credential), indent=2) + "\n")


@dataclass(frozen=True, slots=True)
class ProfilesRow:
    """A slot of the one JSON cell in which OpenClaw's SQLite eras keep all credentials."""

    database: Path
    table: str
    key: tuple[str, str]
    value: str
    slot: str

    @property
    def name(self) -> str:
        return f"{self.table} in {self.database.name}"

    def held(self) -> Held | None:
        return read_slot(self._cell(), self.slot)

    def put(self, credential: Credential) -> None:
        whole = json.dumps(set_slot(self._cell() or {}, self.slot, credential), separators=(",", ":"))
        column, key = self.key
        with closing(self._open("rw")) as db, db:
            db.execute(f"UPDATE {self.table} SET {self.value} = ? WHERE {column} = ?", (whole, key))  # noqa: S608 - names of our own

    def _cell(self) -> Json | None:
        column, key = self.key
        with closing(self._open("ro")) as db:
            found = db.execute(f"SELECT {self.value} FROM {self.table} WHERE {column} = ?", (key,)).fetchone()  # noqa: S608 - names of our own
        return dict(json.loads(found[0])) if found else None

    def _open(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.database.as_uri()}?mode={mode}", uri=True, timeout=SQLITE_TIMEOUT_S)


def profile(credential: Credential, provider: str) -> Json:
    """A credential as OpenClaw's own sign-in writes it; `expires` in milliseconds."""
    return {
        "type": "oauth",
        "provider": provider,
        "access": credential.access,
        "refresh": credential.refresh,
        "expires": credential.expires_at * 1000,
        "accountId": credential.account_id,
        "email": credential.email,
    }


def read_slot(whole: Json | None, slot: str) -> Held | None:
    found = (whole or {}).get("profiles", {}).get(slot)
    return Held(found["access"], found["refresh"]) if found else None


def set_slot(whole: Json, slot: str, credential: Credential) -> Json:
    profiles = {**whole.get("profiles", {}), slot: profile(credential, slot.partition(":")[0])}
    return {**whole, "profiles": profiles}


def read_json(path: Path) -> Json | None:
    try:
        return dict(json.loads(path.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def replace(path: Path, text: str) -> None:
    """Whole or not at all: a test must not be the one that tears a file."""
    temporary = path.with_name(f".{path.name}.test")
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.rename(path)
