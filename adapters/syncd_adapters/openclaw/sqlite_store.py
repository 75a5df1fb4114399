"""The login row of a SQLite database: an agent's own (from 2026.6.5) or the shared one (from 2026.8.1).

Hazard: one cell holds the logins of every provider, and a running gateway writes it too. So the compare and
the write stand in one IMMEDIATE transaction, one row is updated, and none is ever inserted: from 2026.9.5 on
an agent without a row inherits the shared login, and a row of its own would split it off.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from syncd import files
from syncd.errors import StoreFault
from syncd.model import Sighting
from syncd.ports import (
    Busy,
    Changed,
    Failed,
    Reading,
    Replacement,
    StoreInfo,
    Usage,
    Used,
    WriteOutcome,
    Written,
)

from .database import Link, fault_of, transaction
from .document import sightings_of, unreadable
from .edit import Edited, edit, refusal
from .era import Evidence, agent_usage, shared_usage
from .root import Root


@dataclass(frozen=True, slots=True)
class Row:
    """Where the login is kept; times are in ms."""

    select: str
    update: str
    usage: Callable[[Evidence], Usage]


AGENT_ROW = Row(
    "SELECT store_json FROM auth_profile_store WHERE store_key = 'primary'",
    "UPDATE auth_profile_store SET store_json = ?, updated_at = ? WHERE store_key = 'primary'",
    agent_usage,
)
SHARED_ROW = Row(
    "SELECT value_json FROM config_machine_state WHERE state_key = 'authProfiles.store'",
    "UPDATE config_machine_state SET value_json = ?, updated_at_ms = ? WHERE state_key = 'authProfiles.store'",
    shared_usage,
)


class SqliteStore:
    """One row of one database."""

    def __init__(self, info: StoreInfo, root: Root, row: Row) -> None:
        self.info = info
        self._root = root
        self._row = row
        self._link = Link(info.path)
        self._last: tuple[bytes | None, tuple[Sighting, ...]] = (None, ())

    def read(self) -> Reading:
        """Every profile of the row; see ports.Store."""
        return Reading(self._usage(), self._sightings())

    def write(self, replacement: Replacement) -> WriteOutcome:
        """In one transaction; see ports.Store."""
        try:
            return refusal(replacement) or self._unused() or self._exchange(replacement)
        except sqlite3.Error as error:
            fault = fault_of(self.info.path, error)
            return Busy(str(fault)) if _is_busy(error) else Failed(str(fault), fault.hint)
        except StoreFault as fault:
            return Failed(str(fault), fault.hint)

    def _usage(self) -> Usage:
        return self._row.usage(self._root.evidence())

    def _unused(self) -> Failed | None:
        usage = self._usage()
        return None if isinstance(usage, Used) else Failed(usage.reason)

    def _sightings(self) -> tuple[Sighting, ...]:
        try:
            cell = self._cell()
            if cell is None:
                return ()
            if cell != self._last[0]:
                self._last = (cell, sightings_of(self.info.id, files.parse(self.info.path, cell)))
        except StoreFault as fault:
            return (unreadable(self.info.id, str(fault), fault.hint),)
        return self._last[1]

    def _cell(self) -> bytes | None:
        rows = self._link.query(self._row.select)
        return self._bytes(rows[0][0]) if rows else None

    def _bytes(self, value: object) -> bytes:
        if not isinstance(value, bytes):
            raise StoreFault(self.info.path, "its login row is not text", "run 'openclaw doctor'")
        return value

    def _exchange(self, replacement: Replacement) -> WriteOutcome:
        with transaction(self.info.path) as connection:
            rows = connection.execute(self._row.select).fetchall()
            if not rows:
                return Changed()
            # Under the write lock nobody else can move the ownership any more.
            outcome = self._unused() or edit(self._document(rows[0][0]), replacement)
            if not isinstance(outcome, Edited):
                return outcome
            cell = files.render(outcome.document, indent=None)
            connection.execute(self._row.update, (cell.decode(), round(replacement.now * 1000)))
        # Committed, and read back through another connection; what differs by now is OpenClaw's next write.
        return Written(outcome.etag) if self._cell() == cell else Changed()

    def _document(self, value: object) -> dict[str, object]:
        return files.parse(self.info.path, self._bytes(value))


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
