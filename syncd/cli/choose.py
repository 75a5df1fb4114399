"""From what a person types to a store or a token: an id, a label, a part of either, or the start of a fingerprint."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from syncd.errors import UsageFault
from syncd.lineage import Member
from syncd.ports import Store


def store_of(typed: str, stores: Mapping[str, Store]) -> Store:
    """The one store that is meant; raises UsageFault where none or several are."""
    infos = [store.info for store in stores.values()]
    for fits in (
        lambda info: typed == info.id,
        lambda info: typed == info.label,
        lambda info: typed in info.id or typed in info.label,
    ):
        found = [info for info in infos if fits(info)]
        if len(found) == 1:
            return stores[found[0].id]
        if found:
            raise UsageFault(f'"{typed}" fits {_listed(info.id for info in found)}', "type more of the id")
    near = difflib.get_close_matches(typed, [name for info in infos for name in (info.id, info.label)], n=1)
    raise UsageFault(f'no store is called "{typed}"', f"did you mean {near[0]}?" if near else "syncd status --json")


def is_fingerprint(typed: str) -> bool:
    """Could it be the start of one?"""
    return re.fullmatch(r"[0-9a-fA-F]{4,64}", typed) is not None


def member_of(typed: str, members: Iterable[Member]) -> Member | None:
    """The one token whose fingerprint starts so; None where it is no fingerprint. Raises UsageFault for several."""
    if not is_fingerprint(typed):
        return None
    found = [one for one in members if one.fingerprint.startswith(typed.lower())]
    if len(found) > 1:
        raise UsageFault(f'"{typed}" is the start of {len(found)} fingerprints', "type more of it")
    return found[0] if found else None


def _listed(names: Iterable[str]) -> str:
    some = list(names)
    return ", ".join(some[:4]) + (f" and {len(some) - 4} more" if len(some) > 4 else "")
