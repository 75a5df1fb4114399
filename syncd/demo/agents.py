"""OpenClaw's stores: an agent's `auth-profiles.json` up to 2026.6.1, and a row of its SQLite database after that."""

from __future__ import annotations

import json
import sqlite3
from abc import abstractmethod
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from syncd.demo.stores import Document, Held, Store, replace
from syncd.demo.tokens import Owner, Tokens

TABLES = """
CREATE TABLE auth_profile_store (
    store_key TEXT NOT NULL PRIMARY KEY, store_json TEXT NOT NULL, updated_at INTEGER NOT NULL);
CREATE TABLE auth_profile_state (
    state_key TEXT NOT NULL PRIMARY KEY, state_json TEXT NOT NULL, updated_at INTEGER NOT NULL);
"""


class Agent(Store):
    """An agent of OpenClaw: its logins are profiles, and one of them is the shared one."""

    profile: ClassVar[str]

    def login(self, document: Document) -> Document:
        profile: Document = document["profiles"][self.profile]
        return profile

    def held(self) -> Held | None:
        try:
            login = self.login(self.document())
        except (OSError, ValueError, KeyError, sqlite3.Error):
            return None
        return Held(login["access"], login["refresh"])

    def put(self, tokens: Tokens, owner: Owner | None = None) -> None:
        document = self.document()
        login = self.login(document)
        login.update(access=tokens.access, refresh=tokens.refresh, expires=tokens.expires_at * 1000)
        login.pop("idToken", None)  # that of the replaced generation; nothing renews it here
        if owner is not None:
            login.update(accountId=owner.account, email=owner.email)
        self.save(document)

    @abstractmethod
    def save(self, document: Document) -> None: ...


class JsonAgent(Agent):
    """Up to 2026.6.1: `auth-profiles.json`."""

    kind, profile = "JSON", "openai-codex:default"

    def raw(self) -> bytes:
        return self.path.read_bytes()

    def restore(self, raw: bytes) -> None:
        self.path.write_bytes(raw)

    def save(self, document: Document) -> None:
        replace(self.path, json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n")


class SqliteAgent(Agent):
    """From 2026.6.5: a row of `openclaw-agent.sqlite`."""

    kind, profile = "SQLite", "openai:default"

    def __init__(self, name: str, path: Path) -> None:
        super().__init__(name, path)
        self._rows = sqlite3.connect(path, timeout=2.0, isolation_level=None)

    def create(self, document: Document) -> None:
        self._rows.execute("PRAGMA journal_mode=WAL")
        self._rows.executescript(TABLES)
        self._rows.execute("INSERT INTO auth_profile_store VALUES ('primary', ?, 0)", (_compact(document),))
        self.path.chmod(0o600)

    def raw(self) -> bytes:
        (cell,) = self._rows.execute("SELECT store_json FROM auth_profile_store").fetchone()
        return str(cell).encode()

    def restore(self, raw: bytes) -> None:
        moment = round(datetime.now(UTC).timestamp() * 1000)
        self._rows.execute("UPDATE auth_profile_store SET store_json = ?, updated_at = ?", (raw.decode(), moment))

    def save(self, document: Document) -> None:
        self.restore(_compact(document).encode())

    def close(self) -> None:
        self._rows.close()


def _compact(document: Document) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
