"""An `auth-profiles.json`: the live store up to OpenClaw 2026.6.1, a stray file after that.

Hazard: a stray file must never be written, and never made again: it would block its agent. It is always read,
for it can hold the newest token. OpenClaw's writers take `auth-profiles.json.lock`, rewrite the whole file
from what they read, and rename; some of its saves skip the lock, which the exchange of names shows
(`displaced`).

`auth-state.json` beside it has profile ids and no tokens: it is not a store.
"""

from __future__ import annotations

from pathlib import Path

from syncd import files
from syncd.errors import StoreFault
from syncd.model import Sighting, Vacant
from syncd.ports import (
    Busy,
    Capabilities,
    Changed,
    Failed,
    Reading,
    ReadOnly,
    Replacement,
    StoreInfo,
    Usage,
    Used,
    WriteOutcome,
    Written,
)

from .document import ENCRYPTED, is_encrypted, sightings_of, unreadable
from .edit import Edited, edit, refusal
from .era import json_usage
from .lock import Held, Taken, lock_of, take
from .root import AGENT_DATABASE, Root

NAME = "auth-profiles.json"

# OpenClaw spends whatever refresh token it has, reads no id token, and its lock makes compare-and-set exact.
CAPABILITIES = Capabilities(follower=False, needs_id_token=False, locked=True)


class JsonStore:
    """One agent's file."""

    def __init__(self, info: StoreInfo, root: Root) -> None:
        self.info = info
        self._root = root
        self._last: tuple[bytes | None, tuple[Sighting, ...]] = (None, ())

    def read(self) -> Reading:
        """Every profile; see ports.Store."""
        sightings = self._sightings()
        return Reading(_with_encrypted(self._usage(), sightings), sightings)

    def write(self, replacement: Replacement) -> WriteOutcome:
        """Under OpenClaw's own lock; see ports.Store."""
        # Asked before the lock too: a folder that is no longer used gets no lock file either.
        try:
            return refusal(replacement) or self._unused() or self._locked(replacement)
        except files.Blocked as blocked:
            return Busy(str(blocked))
        except files.Moved:
            return Changed()
        except StoreFault as fault:
            return Failed(str(fault), fault.hint)

    def _usage(self) -> Usage:
        return json_usage(self._root.evidence_with([self.info.path.with_name(AGENT_DATABASE)]))

    def _unused(self) -> Failed | None:
        usage = self._usage()
        return None if isinstance(usage, Used) else Failed(usage.reason)

    def _sightings(self) -> tuple[Sighting, ...]:
        path = self.info.path
        try:
            data = files.read(path)
            if data is not None and data == self._last[0]:
                return self._last[1]
            settled = files.read_settled(path)
        except StoreFault as fault:
            return (unreadable(self.info.id, str(fault), fault.hint),)
        if settled is None:
            return ()
        self._last = (settled[0], sightings_of(self.info.id, settled[1]))
        return self._last[1]

    def _locked(self, replacement: Replacement) -> WriteOutcome:
        if files.read(self.info.path) is None:
            return Changed()
        match take(lock_of(self.info.path)):
            case Held(reason):
                return Busy(reason)
            case Taken() as taken:
                try:
                    return self._unused() or self._exchange(replacement)
                finally:
                    taken.release()

    def _exchange(self, replacement: Replacement) -> WriteOutcome:
        path = self.info.path
        with files.Kept(path) as kept:
            outcome = edit(files.parse(path, kept.data), replacement)
            if not isinstance(outcome, Edited):
                return outcome
            data = files.render(outcome.document) + b"\n"
            displaced = self._unexpected(files.swap(kept, data))
        # What differs by now is OpenClaw's next write; what it displaced before must be told either way.
        if not displaced and files.read(path) != data:
            return Changed()
        # No look back: OpenClaw writes this file by rename, never in place.
        return Written(outcome.etag, displaced)

    def _unexpected(self, displaced: bytes | None) -> tuple[Sighting, ...]:
        if displaced is None:
            return ()
        try:
            return sightings_of(self.info.id, files.parse(self.info.path, displaced))
        except StoreFault as fault:
            return (unreadable(self.info.id, str(fault), fault.hint),)


def _with_encrypted(usage: Usage, sightings: tuple[Sighting, ...]) -> Usage:
    """A store of the encrypted era: every login of ours in it is out of reach."""
    ours = [one for one in sightings if one.credential or is_encrypted(one) or isinstance(one.content, Vacant)]
    if isinstance(usage, Used) and ours and all(map(is_encrypted, ours)):
        return ReadOnly(ENCRYPTED)
    return usage


def info_of(identifier: str, label: str, path: Path, home: Path, watched: tuple[Path, ...]) -> StoreInfo:
    """What all of OpenClaw's stores have in common."""
    return StoreInfo(identifier, "openclaw", label, path, home, CAPABILITIES, watched)
