"""What stands where just now, told from the stores and the authority's books.

`Scene` is all that a stage shows. It is filled by the story, and by `look`, which reads every store once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum

from syncd.demo.authority import TOKEN, TURN, Authority, Entry
from syncd.demo.sandbox import Sandbox
from syncd.demo.stores import Held
from syncd.demo.tokens import YOU


class Standing(Enum):
    """What a copy is worth to the program that holds it."""

    CURRENT = "current"
    SPENT = "spent"
    FOREIGN = "another account"
    TORN = "being written"


@dataclass(frozen=True, slots=True)
class Row:
    """One copy of the login. `took`: seconds that it took to follow the last change, None where it did not move."""

    name: str
    kind: str
    where: str
    standing: Standing
    fingerprint: str = ""
    generation: int = 0
    took: float | None = None
    source: bool = False


@dataclass(slots=True)
class Line:
    """One act: what happens, and, once it is over, what came of it (`good`: as it should)."""

    text: str
    outcome: str = ""
    good: bool | None = None


@dataclass(slots=True)
class Scene:
    """The state of the demo. `source`: where the last change was made; `took`: see Row; `backups`: old states."""

    sandbox: Sandbox
    authority: Authority
    started: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    took: dict[str, float] = field(default_factory=dict)
    source: str = ""
    backups: dict[str, bytes] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def requests(self) -> list[Entry]:
        return [one for one in self.authority.log if one.path == TOKEN]

    @property
    def turns(self) -> list[Entry]:
        return [one for one in self.authority.log if one.path == TURN]

    @property
    def refused(self) -> list[Entry]:
        return [one for one in self.authority.log if one.code]

    def look(self) -> dict[str, Held | None]:
        """Read every store; the rows are what was found."""
        found = {name: store.held() for name, store in self.sandbox.stores.items()}
        self.rows = [self._row(name, held) for name, held in found.items()]
        return found

    def _row(self, name: str, held: Held | None) -> Row:
        store = self.sandbox.stores[name]
        where = _folder(str(store.path.relative_to(self.sandbox.home)))
        if held is None:
            return Row(name, store.kind, where, Standing.TORN)
        known = self.authority.known(held.refresh)
        generation = known.generation if known else 0
        took, source = self.took.get(name), name == self.source
        return Row(name, store.kind, where, self._standing(held), held.fingerprint, generation, took, source)

    def _standing(self, held: Held) -> Standing:
        if held.has(self.authority.newest(YOU).tokens):
            return Standing.CURRENT
        known = self.authority.known(held.refresh)
        return Standing.SPENT if known is not None and known.owner == YOU else Standing.FOREIGN


def _folder(path: str) -> str:
    """The part that tells stores apart."""
    return f"~/{path.partition('/')[0]}"
