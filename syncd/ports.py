"""What the turn needs from the outside: stores, and who finds them. Contracts in prose, capabilities as data.

A store is one place that holds credentials: a file, or a database row. It has slots (profile ids). An adapter knows
one tool: it finds that tool's stores, reads their slots and writes one slot at a time.

Expected results are values. An implementation raises only where its own promise is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from syncd.model import Credential, Ignored, ReadOnly, Sighting, Usage, Used


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do, as data.

    `follower`: its tool provably never refreshes an access-only credential. `needs_id_token`: a credential without
    an id token is not accepted. `locked`: its tool's own lock (or a transaction) guards a write, so compare-and-set
    is exact; otherwise a write can race the tool's and is looked at again afterwards.
    """

    follower: bool
    needs_id_token: bool
    locked: bool


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Which store it is. `id` is stable over restarts and readable; `label` is for a table of few columns.

    `watched`: the files whose change can change this store. `home`: the root under which the adapter found it.
    """

    id: str
    adapter: str
    label: str
    path: Path
    home: Path
    capabilities: Capabilities
    watched: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read of a store found: whether the tool uses it, and one sighting a slot."""

    usage: Usage
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Replacement:
    """One write: put `credential` into slot `name`, if the slot still has the value whose digest is `expected`.

    `access_only`: leave the refresh token out, for a follower. `now`: wall clock, seconds.
    """

    name: str
    expected: str
    credential: Credential
    now: float
    access_only: bool = False


# -- The outcome of a write: met by `match` -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """The slot was replaced and read back; `etag` is its new value's.

    `displaced` is what the write turned out to have replaced, where that was not what was expected: evidence that
    must be recorded. `look_back` reads the replaced file again through a kept descriptor (None: not applicable): a
    tool that writes in place, and had opened the file before, has written there. Call it at once, and again with
    `last=True` after 250 ms, which also lets the descriptor go.
    """

    etag: str
    displaced: tuple[Sighting, ...] = ()
    look_back: LookBack | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """The slot no longer holds what was expected, nothing was written: read the store again."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another program holds the store's lock, or blocks the rename: try again soon (10 to 100 ms, 60 s in all)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be written; nothing was changed."""

    reason: str
    hint: str | None = None


WriteOutcome = Written | Changed | Busy | Failed


class LookBack(Protocol):
    """Reads a replaced file through its kept descriptor; empty where nothing new was written into it."""

    def __call__(self, *, last: bool = False) -> tuple[Sighting, ...]: ...


class Store(Protocol):
    """One store. Not thread-safe: one thread at a time uses a store, different stores may be used side by side."""

    @property
    def info(self) -> StoreInfo: ...

    def read(self) -> Reading:
        """Read every slot. Never raises for what lies in the store: empty, torn, huge, alien or forbidden content is a
        sighting `Unreadable` (under the slot name "-" where no slot can be told). A missing file is no sightings, or
        `Vacant` for the slots that the tool always has. Bounded: 8 MiB a file, regular files only, a torn file is read
        again for at most 100 ms. Idempotent, writes nothing, takes no lock that its tool could wait for.
        """
        ...

    def write(self, replacement: Replacement) -> WriteOutcome:
        """Compare, write, read back. Idempotent: when the slot already holds the credential, `Written`.

        Looks again whether the tool still uses the store. Keeps every other key, profile, unit and the file's mode;
        follows a symlink to its target; never creates the store or the slot. Holds the tool's save lock for at most
        1 s; never sleeps on a rename that an antivirus or an indexer blocks (EACCES, EBUSY): that is `Busy`, and the
        turn tries again.
        """
        ...


@dataclass(frozen=True, slots=True)
class WatchRoot:
    """A folder to watch: events of files whose names are in `names` matter, and of every folder that appears or goes.

    It need not exist yet. `recursive` is one watch for the whole tree.
    """

    path: Path
    names: frozenset[str]
    recursive: bool


@dataclass(frozen=True, slots=True)
class Discovery:
    """What an adapter found: stores, folders to watch, and every place where it looked.

    `notes`: what could not be looked at, a sentence each.
    """

    stores: tuple[Store, ...]
    roots: tuple[WatchRoot, ...]
    looked: tuple[Path, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where an adapter looks: the environment's variables, the user's home, and extra folders by adapter name."""

    env: Mapping[str, str] = field(repr=False)
    home: Path
    extra: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


class Adapter(Protocol):
    """One tool. Stateless but for what it keeps open; `discover` may be called at any time and is cheap."""

    @property
    def name(self) -> str: ...

    def discover(self, surroundings: Surroundings) -> Discovery:
        """Find every store and every folder to watch. Never raises for what lies on the disk; bounded in depth.

        A store that was found before is returned as the same object, so that its open connection survives.
        """
        ...


__all__ = [
    "Adapter",
    "Busy",
    "Capabilities",
    "Changed",
    "Clock",
    "Discovery",
    "Failed",
    "Ignored",
    "LookBack",
    "ReadOnly",
    "Reading",
    "Replacement",
    "Store",
    "StoreInfo",
    "Surroundings",
    "Usage",
    "Used",
    "WatchRoot",
    "WriteOutcome",
    "Written",
]

Clock = Callable[[], float]
"""Wall time, seconds since the epoch."""
