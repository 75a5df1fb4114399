"""Every store that was found, and what each held when it was read last.

Hazard: a store that cannot be read, or is not listed for once, must not look like a logout. So a slot counts as gone
only where its store was read in full, or is not found any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from syncd.model import Role, Sighting, Slot, Unreadable, Usage
from syncd.ports import Adapter, Store, Surroundings, WatchRoot

# The slot under which an adapter reports a store of which no slot can be told (ports.Store.read).
WHOLE = "-"


@dataclass(slots=True)
class Shelf:
    """The stores, by id. `discover` and `read` are the only ones that touch the disk."""

    adapters: tuple[Adapter, ...]
    surroundings: Surroundings
    role_of: Callable[[str], Role]
    stores: dict[str, Store] = field(default_factory=dict)
    roots: tuple[WatchRoot, ...] = ()
    looked: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    usages: dict[str, Usage] = field(default_factory=dict)
    _seen: dict[str, tuple[Sighting, ...]] = field(default_factory=dict)

    def discover(self) -> set[str]:
        """Look for stores again; the ids of those that came or went."""
        found = [adapter.discover(self.surroundings) for adapter in self.adapters]
        self.roots = tuple(dict.fromkeys(root for one in found for root in one.roots))
        self.looked = tuple(dict.fromkeys(path for one in found for path in one.looked))
        self.notes = tuple(note for one in found for note in one.notes)
        stores = {
            store.info.id: store for one in found for store in one.stores if self.role_of(store.info.id) is not Role.OFF
        }
        changed = stores.keys() ^ self.stores.keys()
        self.stores = stores
        for name in changed - stores.keys():
            self.usages.pop(name, None)
            self._seen.pop(name, None)
        return changed

    def read(self, names: Iterable[str]) -> list[Sighting]:
        """Read these stores; every slot that they hold now."""
        sightings: list[Sighting] = []
        for name in names:
            if (store := self.stores.get(name)) is not None:
                reading = store.read()
                self.usages[name] = reading.usage
                self._seen[name] = reading.sightings
                sightings += reading.sightings
        return sightings

    def sightings(self) -> Iterator[Sighting]:
        """What every slot held when its store was read last."""
        for found in self._seen.values():
            yield from found

    def sighting(self, slot: Slot) -> Sighting | None:
        return next((one for one in self._seen.get(slot.store, ()) if one.slot == slot), None)

    def gone(self, slots: Iterable[Slot]) -> Iterator[Slot]:
        """Of these slots, the ones that are certainly not there any more."""
        return (slot for slot in slots if self.role_of(slot.store) is not Role.OFF and self._is_gone(slot))

    def _is_gone(self, slot: Slot) -> bool:
        if slot.store not in self.stores:
            return True
        found = self._seen.get(slot.store)
        if found is None or any(one.slot.name == WHOLE and isinstance(one.content, Unreadable) for one in found):
            return False
        return all(one.slot != slot for one in found)
