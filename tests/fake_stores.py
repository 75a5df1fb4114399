"""Stores in memory that keep the contract of `syncd.ports.Store` exactly, with a place for every race and every fault.

A race is a function in `hooks`, called once at its moment:

    before   write() begins: whoever wins the lock, or the compare
    swap     between compare and rename, for a tool that takes no lock (`locked=False`)
    behind   the rename is done, write() has not looked again yet
    read     the next read() begins
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from syncd.identity import credential_of
from syncd.model import (
    Alien,
    Credential,
    Fenced,
    Holds,
    Ignored,
    ReadOnly,
    Role,
    Sighting,
    Slot,
    Unreadable,
    Usage,
    Used,
)
from syncd.ports import (
    Capabilities,
    Changed,
    Discovery,
    Failed,
    Reading,
    Replacement,
    StoreInfo,
    Surroundings,
    WriteOutcome,
    Written,
)
from syncd.shelf import WHOLE, Shelf
from tests.world_model import ApiKey, Disk, Fence, Inode, Login, Row, Torn

PROVIDER = "openai-codex"


@dataclass(frozen=True, slots=True)
class Mark:
    """One write, for the record of the tests: what the slot held when it was compared, and what was put there."""

    store: str
    name: str
    compared: Row
    put: Login


@dataclass(eq=False)
class FakeStore:
    """One store. `scripted` outcomes are given out before anything is written; `blind` makes it unreadable."""

    id: str
    locked: bool = True
    follower: bool = False
    disk: Disk = field(default_factory=Disk)
    usage: Usage = field(default_factory=Used)
    scripted: list[WriteOutcome | BaseException] = field(default_factory=list)
    hooks: dict[str, Callable[[], object]] = field(default_factory=dict)
    blind: bool = False
    writes: int = 0
    marks: list[Mark] = field(default_factory=list)
    shown: list[tuple[str, Row]] = field(default_factory=list)

    @property
    def info(self) -> StoreInfo:
        path = Path("/nowhere") / self.id
        capabilities = Capabilities(self.follower, needs_id_token=False, locked=self.locked)
        return StoreInfo(self.id, "fake", self.id, path, path.parent, capabilities, (path,))

    def slot(self, name: str = "main") -> Slot:
        return Slot(self.id, name)

    def put(self, row: Row | None, name: str = "main") -> None:
        """A program puts a row there, by rename."""
        self.disk.replace(name, row)

    def row(self, name: str = "main") -> Row | None:
        return self.disk.rows.get(name)

    def read(self) -> Reading:
        self._moment("read")
        if self.blind:
            return Reading(self.usage, (Sighting(Slot(self.id, WHOLE), Unreadable("forbidden"), "blind"),))
        self.shown += self.disk.rows.items()
        return Reading(self.usage, tuple(self._sight(name, row) for name, row in self.disk.rows.items()))

    def write(self, replacement: Replacement) -> WriteOutcome:
        self.writes += 1
        self._moment("before")
        if self.scripted:
            outcome = self.scripted.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        if isinstance(self.usage, Ignored | ReadOnly):
            return Failed(self.usage.reason)
        return self._swap(replacement)

    def _swap(self, replacement: Replacement) -> WriteOutcome:
        name, put = replacement.name, _login(replacement)
        compared = dict(self.disk.rows)
        held = compared.get(name)
        if held == put:
            return Written(etag_of(put))
        if held is None or etag_of(held) != replacement.expected:
            return Changed()
        if not self.locked:
            self._moment("swap")
        old, self.disk.file = self.disk.file, Inode({**compared, name: put})
        self.marks.append(Mark(self.id, name, held, put))
        displaced = self._news(old, name, {held, put})
        self._moment("behind")
        displaced += self._news(self.disk.file, name, {held, put})
        if self.locked:
            return Written(etag_of(put), displaced)

        def look_back(*, last: bool = False) -> tuple[Sighting, ...]:
            return self._news(old, name, {held, put})

        return Written(etag_of(put), displaced, look_back)

    def _news(self, file: Inode, name: str, known: Iterable[Row]) -> tuple[Sighting, ...]:
        """What a file holds in this slot, unless it is known, or torn."""
        row = file.rows.get(name)
        if row is None or row in known or isinstance(row, Torn):
            return ()
        self.shown.append((name, row))
        return (self._sight(name, row),)

    def _sight(self, name: str, row: Row) -> Sighting:
        slot, etag = Slot(self.id, name), etag_of(row)
        match row:
            case Login():
                credential = credential_for(row)
                return Sighting(slot, Holds(credential.token, self._digests(name, row)), etag, credential)
            case Fence(_, login, failed):
                owner = credential_for(login).token.identity
                return Sighting(slot, Fenced(failed, self._digest(name, login.refresh or ""), PROVIDER, owner), etag)
            case Torn():
                return Sighting(slot, Unreadable("half of a file"), etag)
            case ApiKey():
                return Sighting(slot, Alien("an API key"), etag)

    def _digests(self, name: str, row: Login) -> tuple[str, str] | None:
        return (self._digest(name, row.refresh), self._digest(name, row.access)) if row.refresh else None

    def _digest(self, name: str, token: str) -> str:
        return hashlib.sha256(f"{self.id}/{name}/{token}".encode()).hexdigest()

    def _moment(self, name: str) -> None:
        if (hook := self.hooks.pop(name, None)) is not None:
            hook()


def etag_of(row: Row) -> str:
    return hashlib.sha256(repr(row).encode()).hexdigest()


def credential_for(login: Login) -> Credential:
    """The credential as syncd reads it out of a row."""
    return credential_of(PROVIDER, login.access, login.refresh)


def _login(replacement: Replacement) -> Login:
    refresh = replacement.credential.refresh
    whole = refresh is not None and not replacement.access_only
    return Login(replacement.credential.access.reveal(), refresh.reveal() if refresh and whole else None)


@dataclass
class FakeAdapter:
    """Finds the stores that it is told to find."""

    stores: list[FakeStore]
    hidden: set[str] = field(default_factory=set)
    name: str = "fake"

    def discover(self, surroundings: Surroundings) -> Discovery:
        return Discovery(tuple(one for one in self.stores if one.id not in self.hidden), (), ())


def shelf_of(adapter: FakeAdapter, role_of: Callable[[str], Role]) -> Shelf:
    """A shelf that has looked for its stores."""
    shelf = Shelf((adapter,), Surroundings({}, Path("/nowhere")), role_of)
    shelf.discover()
    return shelf
