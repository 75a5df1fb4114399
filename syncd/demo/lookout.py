"""Waiting until the stores have followed, and watching meanwhile that a stranger's token goes nowhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from syncd.demo import programs
from syncd.demo.child import Child
from syncd.demo.pace import Pace
from syncd.demo.scene import Scene, Standing
from syncd.demo.stores import Held
from syncd.demo.tokens import STRANGER, YOU

# Followed within this, or not at all; a start takes longer on a slow machine (seconds).
PATIENCE, START_PATIENCE = 2.5, 5.0

# So long syncd has the chance to do something to a stranger's token that it must not (seconds).
TEMPTATION = 0.35

# Where the stranger's token is put.
HOST = "nova"


class Stuck(Exception):
    """A store did not follow in time, or syncd is gone."""


@dataclass(slots=True)
class Measured:
    """What the verdict is made from; times in seconds. `strayed`: where a stranger's token was ever seen."""

    acts: int = 0
    laps: list[float] = field(default_factory=list)
    heals: list[float] = field(default_factory=list)
    strayed: set[str] = field(default_factory=set)
    kept: bool | None = None
    trouble: str | None = None


@dataclass(slots=True)
class Lookout:
    """Looks at every store, again and again. `start`, `lap` and `heal` return seconds, and raise Stuck, TimeIsUp."""

    scene: Scene
    pace: Pace
    child: Child
    measured: Measured = field(default_factory=Measured)
    _stray: bytes | None = None

    def start(self) -> float:
        """Until syncd, started just now, has made every store current."""
        late = {row.name for row in self.scene.rows if row.standing is not Standing.CURRENT}
        return self._follow(late, "", START_PATIENCE)

    def lap(self, source: str, without: str = "") -> float:
        """Until every store has what was just written into `source`, except `without`."""
        took = self._follow(self.scene.sandbox.stores.keys() - {source, without}, source)
        self.measured.laps.append(took)
        return took

    def heal(self, name: str) -> float:
        """Until the store is current again."""
        took = self._follow({name}, "")
        self.measured.heals.append(took)
        return took

    def tempt(self) -> None:
        """The stranger's token was put into HOST just now: give syncd the time for a mistake."""
        self._stray, self.measured.kept = self.scene.sandbox.stores[HOST].raw(), True
        self.scene.source, self.scene.took = "", {}
        until = time.monotonic() + TEMPTATION
        while time.monotonic() < until:
            self.look()
            self.pace.breath()

    def relent(self) -> None:
        """From now on HOST's store may change again."""
        self.look()
        self._stray = None

    def turns(self) -> None:
        """Every program uses the login that its store holds at this moment."""
        for name, held in self.look().items():
            if held is not None:
                programs.turn(self.scene.authority.url, name, held.access)

    def look(self) -> dict[str, Held | None]:
        """Read every store, and never miss what must not be."""
        found = self.scene.look()
        self.measured.strayed |= {row.name for row in self.scene.rows if row.standing is Standing.FOREIGN} - {HOST}
        if self._stray is not None:
            stores, token = self.scene.sandbox.stores, self.scene.authority.newest(STRANGER).tokens.refresh.encode()
            self.measured.kept = bool(self.measured.kept) and stores[HOST].raw() == self._stray
            self.measured.strayed |= {name for name in stores.keys() - {HOST} if token in stores[name].raw()}
        return found

    def _follow(self, waiting: set[str], source: str, patience: float = PATIENCE) -> float:
        since, newest = time.monotonic(), self.scene.authority.newest(YOU).tokens
        self.scene.source, self.scene.took = source, {}
        while waiting:
            found, now = self.look(), time.monotonic()
            done = {name for name in waiting if (held := found[name]) is not None and held.has(newest)}
            self.scene.took |= dict.fromkeys(done, now - since)
            waiting = waiting - done
            self._be_patient(waiting, now - since, patience)
        self.look()
        return max(self.scene.took.values(), default=0.0)

    def _be_patient(self, waiting: set[str], waited: float, patience: float) -> None:
        if waiting and not self.child.running:
            raise Stuck("syncd has ended")
        if waiting and waited > patience:
            raise Stuck(f"{', '.join(sorted(waiting))} did not follow within {patience:.1f} s")
        self.pace.breath()
