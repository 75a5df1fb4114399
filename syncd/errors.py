"""The tree of errors: broken promises only; expected results are values.

    SyncdError
    ├── UsageFault          the command line asks for something that does not exist
    ├── ConfigFault         the configuration cannot be used
    ├── StoreFault          a store cannot be read or written
    │   └── NotPrivate      a file or folder of syncd's own is open to, or owned by, somebody else
    ├── LedgerFault         the ledger cannot be opened, read or written
    │   └── LedgerDamaged   ... because SQLite says that it is broken
    └── AlreadyRunning      another syncd serves this state folder

Each holds facts as fields; `str()` is one sentence without a full stop, `.hint` the next command.
"""

from __future__ import annotations

from pathlib import Path


class SyncdError(Exception):
    """Root of the tree."""

    hint: str | None

    def __init__(self, sentence: str, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.hint = hint


class UsageFault(SyncdError):
    """The command line asks for something that does not exist."""


class ConfigFault(SyncdError):
    """The configuration at `path` cannot be used; `line` where it is known."""

    def __init__(self, path: Path, sentence: str, *, line: int | None = None, hint: str | None = None) -> None:
        where = f"{path}:{line}" if line else str(path)
        super().__init__(f"{where}: {sentence}", hint)
        self.path = path
        self.line = line


class StoreFault(SyncdError):
    """The store at `path` cannot be read or written."""

    def __init__(self, path: Path, sentence: str, hint: str | None = None) -> None:
        super().__init__(f"{path}: {sentence}", hint)
        self.path = path
        self.reason = sentence


class NotPrivate(StoreFault):
    """A file or folder of syncd's own is open to, or owned by, somebody else."""


class LedgerFault(SyncdError):
    """The ledger at `path` cannot be opened, read or written."""

    def __init__(self, path: Path, sentence: str, hint: str | None = None) -> None:
        super().__init__(f"{path}: {sentence}", hint)
        self.path = path


class LedgerDamaged(LedgerFault):
    """SQLite says that the ledger is broken."""


class AlreadyRunning(SyncdError):
    """Another syncd serves this state folder."""
