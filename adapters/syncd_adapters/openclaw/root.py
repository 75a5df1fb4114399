"""One state folder: what its databases tell about the era. Looked at again before each write.

Hazard: `openclaw doctor --fix` moves the logins while syncd runs; an answer from before must not decide a
write. And in 2026.6.1-7.1 the state database has unused tables of telling names (`auth_profile_stores`): only
an agent's own `auth_profile_store`, and the state database's `config_machine_state`, mean anything.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from syncd.errors import StoreFault

from .database import Link, Rows
from .era import Evidence, Owner, owner_of

AGENT_DATABASE = "openclaw-agent.sqlite"

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('config_machine_state', 'schema_meta')"
_LOGINS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'auth_profile_store'"
_VERSION = "SELECT app_version FROM schema_meta WHERE meta_key = 'primary'"
_OWNER = "SELECT value_json FROM config_machine_state WHERE state_key = 'auth.sharedStore'"
_AGENTS = "SELECT agent_id, path FROM agent_databases ORDER BY agent_id, path LIMIT 10000"


@dataclass(frozen=True, slots=True)
class Registered:
    """A row of OpenClaw's list of agent databases."""

    agent: str
    database: Path


class Root:
    """A state folder. Its own connection is shared by the stores, so every look is under a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.eclipsed: str | None = None  # set by each discovery
        self._state = Link(path / "state" / "openclaw.sqlite")
        self._guard = threading.Lock()
        self._witness: Path | None = None  # an agent's database in which the table for logins was seen

    @property
    def database(self) -> Path:
        return self._state.path

    def evidence(self) -> Evidence:
        """What the state database says: enough where the store itself is a database."""
        with self._guard:
            return self._from_state()

    def evidence_with(self, agents: Iterable[Path]) -> Evidence:
        """The same, and whether one of these agents' databases (or the last that did) holds logins."""
        with self._guard:
            found = self._from_state()
            return found if found.shared_table else self._from_agents(found, agents)

    def registered(self) -> tuple[Registered, ...]:
        """OpenClaw's own list of agent databases; relative paths are relative to the state folder."""
        with self._guard:
            try:
                rows = self._state.query(_AGENTS)
            except StoreFault:
                return ()
        return tuple(self._row(row) for row in rows or () if len(row) == 2 and _usable(row[1]))

    def _row(self, row: tuple[object, ...]) -> Registered:
        return Registered(_text(row[0]), self.path / _text(row[1]))

    def _from_state(self) -> Evidence:
        try:
            tables = {_text(row[0]) for row in self._state.query(_TABLES) or ()}
            version = self._cell(_VERSION) if "schema_meta" in tables else None
            shared = "config_machine_state" in tables
            owner = owner_of(self._cell(_OWNER)) if shared else Owner.MAIN
        except StoreFault as fault:
            return Evidence(owner=Owner.STRANGE, trouble=str(fault), eclipsed=self.eclipsed)
        return Evidence(_text(version) or None, owner, shared_table=shared, eclipsed=self.eclipsed)

    def _cell(self, sql: str) -> bytes | None:
        rows: Rows | None = self._state.query(sql)
        value = rows[0][0] if rows else None
        return value if isinstance(value, bytes) else None

    def _from_agents(self, found: Evidence, agents: Iterable[Path]) -> Evidence:
        asked = (self._witness, self.path / "agents" / "main" / "agent" / AGENT_DATABASE, *agents)
        for database in dict.fromkeys(one for one in asked if one):
            try:
                holds = has_logins(database)
            except StoreFault as fault:
                found = replace(found, trouble=found.trouble or str(fault))
                continue
            if holds:
                self._witness = database
                return replace(found, agent_table=True)
        return found


def has_logins(database: Path) -> bool:
    """Does an agent's database have the table for logins? Raises StoreFault."""
    link = Link(database)
    try:
        return bool(link.query(_LOGINS))
    finally:
        link.close()


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _usable(path: object) -> bool:
    return isinstance(path, bytes) and bool(path) and b"\0" not in path
