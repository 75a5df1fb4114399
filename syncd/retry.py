"""Pure: when a slot whose write did not succeed is tried again.

Two kinds of failure, two rhythms: a store that is busy (a lock, an antivirus on the rename) is tried after 10 to
100 ms for 60 s in all; after that, and for everything else, the wait doubles from 1 s to 5 min. Times are seconds on
the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncd.ports import Busy, Failed

BUSY_FIRST, BUSY_MOST, BUSY_FOR = 0.010, 0.100, 60.0
FAILED_FIRST, FAILED_MOST = 1.0, 300.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A write that did not succeed: how often by now, since when, why, and when to try next."""

    outcome: Busy | Failed
    count: int
    since: float
    next_at: float


def after(outcome: Busy | Failed, before: Attempt | None, now: float) -> Attempt:
    """The attempt that follows `before` (None: it was the first one)."""
    since = before.since if before else now
    count = before.count + 1 if before else 1
    if isinstance(outcome, Busy) and now - since < BUSY_FOR:
        pause = min(BUSY_FIRST * 2 ** min(count - 1, 10), BUSY_MOST)
    else:
        pause = min(FAILED_FIRST * 2 ** min(count - 1, 20), FAILED_MOST)
    return Attempt(outcome, count, since, now + pause)
