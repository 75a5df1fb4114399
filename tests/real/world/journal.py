"""What the authority saw, in the order in which it arrived, and the knobs that a test turns on the replies.

Entries are written on ARRIVAL and the reply may be held afterwards: a test that waits for an entry knows that
the token is spent while the caller has not heard of it. That is how races are forced here, never by sleeping.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

Route = Literal["token", "turn"]
Kind = Literal["token", "turn", "revoke", "other"]
# A held reply is let go after this long, so that a test that fails cannot leave a client hanging.
HELD_AT_MOST_S = 120.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: who came, with which token (the SHA-256 of it), and what became of it.

    `result` is `rotated`, the code of a refusal, or `failed` (forced) for a token request; `answered` or
    `401` for a turn. `generation` is that of the token that was sent.
    """

    kind: Kind
    who: str
    fingerprint: str
    result: str
    family: str | None = None
    generation: int | None = None
    why: str | None = None


@dataclass(slots=True)
class Failure:
    """The next `count` requests of a route are answered with this status; the token is spent all the same
    when `spend` says so (the answer was lost), else it is not."""

    route: Route
    status: int
    count: int
    spend: bool = False


@dataclass(slots=True)
class Journal:
    """The log and the knobs; every method is one step under one condition."""

    entries: list[Entry] = field(default_factory=list)
    _failures: list[Failure] = field(default_factory=list)
    _held: set[Route] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def record(self, entry: Entry) -> None:
        with self._changed:
            self.entries.append(entry)
            self._changed.notify_all()

    def since(self, index: int, at_least: int, timeout_s: float) -> list[Entry]:
        """The entries from `index` on, as soon as there are `at_least`; fewer when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.entries) >= index + at_least, timeout_s)
            return self.entries[index:]

    def fail_next(self, failure: Failure) -> None:
        with self._changed:
            self._failures.append(failure)

    def failure(self, route: Route) -> Failure | None:
        """The forced failure that this request meets, used up by it."""
        with self._changed:
            for one in self._failures:
                if one.route == route and one.count > 0:
                    one.count -= 1
                    return one
        return None

    def hold(self, route: Route) -> None:
        with self._changed:
            self._held.add(route)

    def release(self, route: Route) -> None:
        with self._changed:
            self._held.discard(route)
            self._changed.notify_all()

    def wait_for_leave(self, route: Route) -> None:
        """Returns when the reply may go out: once nobody holds this route."""
        with self._changed:
            self._changed.wait_for(lambda: route not in self._held, HELD_AT_MOST_S)
