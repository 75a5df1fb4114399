"""One `auth.json`: read when it has settled, written under Codex's own two locks, compare-and-set.

Hazard: Codex up to 0.164 writes in place and without a lock, and no version holds a lock during its request.
So a descriptor of the replaced file is kept and looked at again, and what the write displaced is reported as
a sighting.

The locks are held for milliseconds: Codex gives a new token up for lost after waiting 5 s for
`auth.json.lock`.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from filelock import Timeout

from syncd import files
from syncd.errors import StoreFault
from syncd.model import Alien, Holds, Sighting, Slot, Unreadable, Vacant
from syncd.ports import (
    Busy,
    Changed,
    Failed,
    Ignored,
    LookBack,
    Reading,
    ReadOnly,
    Replacement,
    StoreInfo,
    Used,
    WriteOutcome,
    Written,
)
from syncd_adapters.codex import document as documents
from syncd_adapters.codex.locks import save_locks
from syncd_adapters.codex.settings import AUTO, FILE, KEY, storage, usage

AUTH = "auth.json"
_ABSENT = "absent"


class CodexStore:
    """The login of one CODEX_HOME."""

    def __init__(self, info: StoreInfo) -> None:
        self.info = info

    def __repr__(self) -> str:
        return f"CodexStore({self.info.id})"

    def read(self) -> Reading:
        setting = storage(self.info.home)
        _, seen = self._look(setting)
        return Reading(usage(setting), (seen,))

    def write(self, replacement: Replacement) -> WriteOutcome:
        if replacement.name != documents.SLOT:
            return Failed(f"there is no slot {replacement.name!r}")
        setting = storage(self.info.home)
        match usage(setting):
            case Ignored(reason) | ReadOnly(reason):
                return Failed(reason)
            case Used():
                pass
        due = _due(*self._look(setting), replacement)
        if not isinstance(due, dict):
            return due  # before a lock is taken: a lock leaves files behind
        try:
            with save_locks(self.info.home, self.info.path):
                return self._replace(replacement)
        except files.Moved:
            return Changed()
        except files.Blocked as fault:
            return Busy(fault.reason)
        except Timeout as late:
            return Busy(f"another program holds {Path(late.lock_file).name}")
        except StoreFault as fault:
            return Failed(fault.reason, fault.hint)

    def _replace(self, replacement: Replacement) -> WriteOutcome:
        with ExitStack() as stack:
            kept = stack.enter_context(files.Kept(self.info.path))
            document, seen = self._sight(kept.data)
            due = _due(document, seen, replacement)
            if not isinstance(due, dict):
                return due
            displaced = files.swap(kept, files.render(due))
            stack.pop_all()
        return self._written(kept, documents.etag(due), seen.etag, displaced)

    def _written(self, kept: files.Kept, etag: str, old: str, displaced: bytes | None) -> Written:
        """The outcome, with everything that turned out to be neither the old login nor the new one."""
        known = frozenset({etag, old})
        news = () if displaced is None else self._news(displaced, known)
        back = self._look(FILE)[1]
        if back.etag != etag:
            news = (*news, back)  # a tool that wrote right behind us
        return Written(etag, news, self._look_back(kept, known))

    def _look_back(self, kept: files.Kept, known: frozenset[str]) -> LookBack:
        def look_back(*, last: bool = False) -> tuple[Sighting, ...]:
            try:
                data = kept.again()
            except StoreFault:
                data = None
            if last:
                kept.close()
            if data is None:
                return ()
            return self._news(data, known)

        return look_back

    def _news(self, data: bytes, known: frozenset[str]) -> tuple[Sighting, ...]:
        """What is in the bytes, unless it is known, or torn: the rest of that follows, and is looked at then."""
        seen = self._sight(data)[1]
        return () if isinstance(seen.content, Unreadable) or seen.etag in known else (seen,)

    def _look(self, setting: str | ReadOnly) -> tuple[documents.Document, Sighting]:
        try:
            settled = files.read_settled(self.info.path)
        except StoreFault as fault:
            return {}, self._unreadable(fault)
        if settled is not None:
            return settled[1], documents.sight(self.info.id, settled[1])
        moved = f"no {AUTH}; Codex may have moved its login to the keyring ({KEY} is {AUTO})"
        vacant = Vacant(moved if setting == AUTO else f"no {AUTH}")
        return {}, Sighting(self._slot, vacant, _ABSENT)

    def _sight(self, data: bytes) -> tuple[documents.Document, Sighting]:
        try:
            document = files.parse(self.info.path, data)
        except StoreFault as fault:
            return {}, self._unreadable(fault)
        return document, documents.sight(self.info.id, document)

    def _unreadable(self, fault: StoreFault) -> Sighting:
        return Sighting(self._slot, Unreadable(fault.reason, fault.hint), documents.digest(fault.reason))

    @property
    def _slot(self) -> Slot:
        return Slot(self.info.id, documents.SLOT)


def _due(document: documents.Document, seen: Sighting, replacement: Replacement) -> dict[str, object] | WriteOutcome:
    """The document to write, or what is to be said instead."""
    outcome: dict[str, object] | WriteOutcome
    match seen.content:
        case Holds() if seen.credential is not None:
            outcome = documents.replaced(document, seen.credential, replacement)
            if isinstance(outcome, dict) and documents.same_login(document, outcome):
                return Written(seen.etag)
        case Unreadable(reason, hint):
            outcome = Failed(reason, hint)
        case Alien(reason) | Vacant(reason):
            outcome = Failed(f"there is no login to replace: {reason}", "codex login")
        case _:
            outcome = Failed("there is no login to replace", "codex login")
    return outcome if seen.etag == replacement.expected else Changed()
