"""The only truth: facts, append-only, and the vault, the newest credential of every family that was not refused.

Hazard: a token that syncd alone still knows. Its parent is dead the moment it exists, so it is durable here
(`synchronous=FULL`) before any store is written or any caller is answered. The vault is clear text at 0600 in a 0700
folder, as Codex's own file is; `secure_delete` overwrites what leaves it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import strftime

from syncd import files, records
from syncd.errors import LedgerDamaged, LedgerFault
from syncd.model import Credential, Fact, FactBody

FILE = "ledger.db"

# Of this layout of tables. A ledger with a higher number was made by a newer syncd and is left alone.
LAYOUT = 1

# A second syncd (`status`, `run --once`) holds the ledger for milliseconds; longer than this is a hang. Seconds.
PATIENCE = 5.0

_TABLES = """
CREATE TABLE fact (seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL,
                   version INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE vault (fingerprint TEXT PRIMARY KEY, at REAL NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE mark (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What one turn adds: facts, credentials for the vault, and fingerprints whose credential leaves it."""

    facts: Sequence[FactBody] = ()
    keep: Sequence[Credential] = ()
    drop: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.facts or self.keep or self.drop)


class Ledger:
    """One open ledger. Not thread-safe; several processes may have it open."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self._connection = connection

    # -- opening ------------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, state: Path) -> Ledger:
        """Open the ledger of a state folder for writing; make both where they are missing.

        Raises NotPrivate, LedgerDamaged (see `set_aside`) and LedgerFault.
        """
        with _explained(state / FILE):
            path = state / FILE
            files.private_folder(state)
            files.private_file(path)
            connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        ledger = cls(path, connection, writable=True)
        try:
            ledger._prepare()
        except BaseException:
            connection.close()
            raise
        return ledger

    @classmethod
    def open(cls, state: Path) -> Ledger | None:
        """Open it read-only; None where there is none. Creates nothing. Raises LedgerDamaged and LedgerFault."""
        path = state / FILE
        with _explained(path):
            if not path.exists() or path.stat().st_size == 0:
                return None
            connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=PATIENCE, isolation_level=None)
            ledger = cls(path, connection, writable=False)
            try:
                made = ledger._layout()
            except BaseException:
                connection.close()
                raise
            if not made:  # another syncd is making it just now
                connection.close()
                return None
        return ledger

    def _prepare(self) -> None:
        with _explained(self.path):
            run = self._connection.execute
            run("PRAGMA journal_mode=WAL")
            run("PRAGMA synchronous=FULL")
            run("PRAGMA secure_delete=ON")
            run("BEGIN IMMEDIATE")
            try:
                if run("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in _TABLES.split(";\n"):
                        run(statement)
                    run(f"PRAGMA user_version={LAYOUT}")
                run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite ended it itself where the disk is full
                    run("ROLLBACK")
                raise
            self._layout()

    def _layout(self) -> int:
        """The layout of its tables, 0 before they are there. Raises LedgerFault for a newer one."""
        found: int = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found > LAYOUT:
            raise LedgerFault(
                self.path,
                f"it was made by a newer syncd (layout {found}, this one knows {LAYOUT})",
                "install the newer syncd again",
            )
        return found

    def close(self) -> None:
        self._connection.close()

    # -- reading ------------------------------------------------------------------------------------------------------

    def facts(self, after: int = 0) -> Iterator[Fact]:
        """Every fact, oldest first, from the one behind `after`."""
        with _explained(self.path):
            query = "SELECT seq, at, kind, version, body FROM fact WHERE seq > ? ORDER BY seq"
            for seq, at, kind, version, body in self._connection.execute(query, (after,)):
                yield Fact(seq, at, records.load(kind, version, body))

    def vault(self) -> dict[str, Credential]:
        """The credentials, by the fingerprint of their refresh token."""
        with _explained(self.path):
            rows = self._connection.execute("SELECT fingerprint, body FROM vault").fetchall()
        try:
            return {fingerprint: records.load_credential(body) for fingerprint, body in rows}
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerDamaged(self.path, "a credential in it cannot be read", "syncd run") from error

    def mark(self, name: str) -> str | None:
        """A lasting answer of the user's, such as `enabled`."""
        with _explained(self.path):
            row = self._connection.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    # -- writing ------------------------------------------------------------------------------------------------------

    def record(self, change: Change, now: float, after: int | None = None) -> list[Fact] | None:
        """Make a change durable in one transaction, and return its facts with their places in the record.

        `after`: the last fact that the change was made in view of. Where another syncd has recorded one since, nothing
        is recorded, and the answer is None: a change in view of the past could replace its newer credential.
        """
        with self._transaction():
            if after is not None and self._last_seq() > after:
                return None
            recorded = [self._append(body, now) for body in change.facts]
            for credential in change.keep:
                row = (credential.token.fingerprint, now, records.dump_credential(credential))
                self._connection.execute("INSERT OR REPLACE INTO vault VALUES (?, ?, ?)", row)
            self._connection.executemany("DELETE FROM vault WHERE fingerprint = ?", [(one,) for one in change.drop])
        return recorded

    def _last_seq(self) -> int:
        row = self._connection.execute("SELECT max(seq) FROM fact").fetchone()
        return row[0] or 0

    def _append(self, body: FactBody, now: float) -> Fact:
        row = (now, records.kind_of(body), records.VERSION, records.dump(body))
        cursor = self._connection.execute("INSERT INTO fact (at, kind, version, body) VALUES (?, ?, ?, ?)", row)
        return Fact(cursor.lastrowid or 0, now, body)

    def set_mark(self, name: str, value: str) -> None:
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO mark VALUES (?, ?)", (name, value))

    def forget(self, seqs: Iterable[int], fingerprints: Iterable[str]) -> None:
        """Delete facts and credentials for good, out of the write-ahead log too."""
        with self._transaction():
            self._connection.executemany("DELETE FROM fact WHERE seq = ?", [(seq,) for seq in seqs])
            self._connection.executemany("DELETE FROM vault WHERE fingerprint = ?", [(one,) for one in fingerprints])
        with _explained(self.path):
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise LedgerFault(
                self.path,
                "another program is reading it, so what was deleted is still in its write-ahead log",
                "end that program, then run the same command again",
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk leaves it open, or SQLite has ended it itself; nothing of it may stay either way.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def set_aside(state: Path, now: Callable[[str], str] = strftime) -> Path:
    """Move a damaged ledger, with its write-ahead log, out of the way; nothing of it is deleted. Where it went."""
    stamp = now("%Y%m%d-%H%M%S")
    aside, number = state / f"{FILE}.damaged-{stamp}", 1
    while any((state / f"{aside.name}{suffix}").exists() for suffix in ("", "-wal", "-shm")):  # twice in one second
        aside, number = state / f"{FILE}.damaged-{stamp}-{number}", number + 1
    for suffix in ("", "-wal", "-shm"):
        part = state / f"{FILE}{suffix}"
        if part.exists():
            part.replace(state / f"{aside.name}{suffix}")
    return aside


def intact(state: Path) -> bool:
    """Does SQLite find the ledger sound, and can its credentials be read? True where there is none."""
    path = state / FILE
    if not path.exists():
        return True
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return False
            for (body,) in connection.execute("SELECT body FROM vault"):
                records.load_credential(body)
    except sqlite3.DatabaseError as error:
        return isinstance(error, sqlite3.OperationalError)
    except (KeyError, TypeError, ValueError):
        return False
    return True


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's and the disk's own errors as one clear sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "malformed" in str(error) or "corrupt" in str(error):
            raise LedgerDamaged(path, f"it is damaged ({error})", "syncd run") from error
        raise LedgerFault(path, f"the ledger cannot be used: {error}", "df -h; syncd status") from error
    except sqlite3.DatabaseError as error:
        raise LedgerDamaged(path, f"it is damaged ({error})", "syncd run") from error
    except OSError as error:
        raise LedgerFault(path, f"the ledger cannot be used: {error.strerror}", f"ls -ld {path.parent}") from error
