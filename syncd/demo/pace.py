"""Time: pauses for a person's eyes, and the bound that nothing may exceed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# The whole of the demo ends before 15 s; the last seconds are for ending syncd and for the summary.
LIMIT = 11.8

# Behind this, pauses get short: on a slow machine the work takes the time that the eyes would have had.
HURRY_AFTER = 9.0

# How often the stores are read while something changes, and how often a person's eyes get a new picture (seconds).
POLL, FRAME = 0.003, 0.070


class TimeIsUp(Exception):
    """The bound was reached."""

    def __init__(self) -> None:
        super().__init__(f"it took longer than {LIMIT:g} s")


@dataclass(slots=True)
class Pace:
    """`paint` shows the scene. `quick`: no pauses."""

    paint: Callable[[], None]
    quick: bool = False
    started: float = field(default_factory=time.monotonic)
    _painted: float = 0.0

    def left(self) -> float:
        """Seconds until the bound; raises TimeIsUp beyond it."""
        left = self.started + LIMIT - time.monotonic()
        if left <= 0:
            raise TimeIsUp
        return left

    def breath(self) -> None:
        """Between two looks at the stores; a picture now and then."""
        self.left()
        if time.monotonic() - self._painted >= FRAME:
            self.show()
        time.sleep(POLL)

    def show(self) -> None:
        self.paint()
        self._painted = time.monotonic()

    def pause(self, seconds: float) -> None:
        """For the eyes only."""
        hurried = time.monotonic() - self.started > HURRY_AFTER
        until = time.monotonic() + (0.0 if self.quick else seconds * (0.3 if hurried else 1.0))
        self.show()
        while (now := time.monotonic()) < until:
            self.left()
            time.sleep(min(FRAME, until - now))
            self.show()
