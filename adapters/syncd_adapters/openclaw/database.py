"""SQLite as a guest: databases that a running gateway has open, read and written through SQLite alone.

Hazard: a POSIX process loses its locks on a file as soon as it closes any descriptor of it, so a database is
never opened but by SQLite, not even to look at its first bytes. And from 2026.9 on the gateway ends itself
when `-wal` or `-shm` are replaced under it. No DDL, no journal-mode change, no copy; `mode=ro` and `mode=rw`
never create a file. Facts: openclaw 3.1, 3.2.
"""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from syncd.errors import StoreFault

MAX_CELL = 8 * 1024 * 1024

# Readers of a WAL database never wait; in other journal modes a writer is in the way for milliseconds.
READ_PATIENCE = 1.0
# One write has a second in all (ports.Store.write), and may wait twice: for BEGIN and, outside of WAL, for
# COMMIT.
WRITE_PATIENCE = 0.45

# An open connection costs three descriptors, and a process often has 1024: stores beyond this bound open
# theirs for each read (50 us) instead of keeping it.
_KEPT = threading.BoundedSemaphore(128)

Rows = list[tuple[object, ...]]


def identity_of(path: Path) -> tuple[int, int] | None:
    """Device and inode of a database; None where there is no file. Raises StoreFault for what is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise StoreFault(path, f"it cannot be looked at: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise StoreFault(path, "it is not a regular file")
    return found.st_dev, found.st_ino


def fault_of(path: Path, error: sqlite3.Error) -> StoreFault:
    """What SQLite's error means for a store, with the next step."""
    match getattr(error, "sqlite_errorname", ""):
        case str(name) if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreFault(path, "it is locked by another program", "try again in a moment")
        case "SQLITE_READONLY_ROLLBACK":
            return StoreFault(path, "an interrupted write must be taken back first", "start OpenClaw once")
        case str(name) if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            return StoreFault(path, f"it is damaged: {error}", "run 'openclaw doctor', do not delete it")
        case str(name) if name.startswith(("SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_READONLY", "SQLITE_AUTH")):
            return StoreFault(path, f"it cannot be opened: {error}", "run syncd as the user that runs OpenClaw")
        case "SQLITE_ERROR":
            return StoreFault(path, f"its tables are not those of OpenClaw: {error}", "run 'openclaw doctor'")
        case _:
            return StoreFault(path, f"SQLite cannot use it: {error}")


class Link:
    """A read-only connection that is kept open, and opened again when the file is another one.

    One thread at a time, which need not be always the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def query(self, sql: str) -> Rows | None:
        """All rows, text as bytes; None where there is no file. Raises StoreFault."""
        found = identity_of(self.path)
        if found != self._identity:
            self.close()
        if found is None:
            return None
        if self._connection is not None:
            return self._ask(self._connection, sql)
        if not _KEPT.acquire(blocking=False):
            with contextlib.closing(self._open()) as passing:
                return self._ask(passing, sql)
        try:
            self._connection = self._open()
        except BaseException:
            _KEPT.release()
            raise
        self._identity = found
        return self._ask(self._connection, sql)

    def close(self) -> None:
        """Let the connection go; the next query opens one again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._identity = None
            _KEPT.release()

    def _open(self) -> sqlite3.Connection:
        return _connect(self.path, "ro", READ_PATIENCE)

    def _ask(self, connection: sqlite3.Connection, sql: str) -> Rows:
        try:
            return connection.execute(sql).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise fault_of(self.path, error) from error

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def _connect(path: Path, mode: str, patience: float) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=patience,
            isolation_level=None,
            check_same_thread=False,
        )
    except (sqlite3.Error, ValueError) as error:
        fault = error if isinstance(error, sqlite3.Error) else sqlite3.OperationalError(str(error))
        raise fault_of(path, fault) from error
    connection.text_factory = bytes
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL)
    return connection


@contextlib.contextmanager
def transaction(path: Path) -> Iterator[sqlite3.Connection]:
    """A transaction: committed at the end, rolled back by any exception. Raises sqlite3.Error, StoreFault.

    IMMEDIATE, because a transaction that reads first and then wants to write is refused without any wait.
    """
    if identity_of(path) is None:
        raise StoreFault(path, "it is no longer there")
    with contextlib.closing(_connect(path, "rw", WRITE_PATIENCE)) as connection:
        # Apple's SQLite is built with NORMAL: a power cut would bring a spent token back.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
