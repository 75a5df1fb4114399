"""OpenClaw: finds every store of every agent, in every state folder, of every era.

Hazard: which of the stores counts depends on the version that runs, and changes under us when `openclaw
doctor --fix` migrates. So a store is found by what lies on the disk, and judged by its root's evidence at
each read and write.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from syncd import files
from syncd.ports import Discovery, Store, StoreInfo, Surroundings, WatchRoot

from .agents import agents_of
from .config import Config, Configured
from .discover import Candidate, at, candidates_of, label_of, twins_of, watches_of, with_sides
from .era import is_sqlite
from .json_store import JsonStore, info_of
from .places import DEFAULT, Place, home_of, places_of
from .root import Root
from .sqlite_store import AGENT_ROW, SHARED_ROW, Row, SqliteStore

__all__ = ["OpenClaw"]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one state folder has."""

    stores: list[Store]
    roots: list[WatchRoot]
    looked: list[Path]
    notes: list[str]


class OpenClaw:
    """The adapter. Keeps its stores, and so their connections, from one discovery to the next."""

    name = "openclaw"

    def __init__(self) -> None:
        self._roots: dict[Path, Root] = {}
        self._configs: dict[Path, Config] = {}
        self._stores: dict[Path, JsonStore | SqliteStore] = {}

    def discover(self, surroundings: Surroundings) -> Discovery:
        """See ports.Adapter."""
        home = home_of(surroundings)
        seen: set[object] = set()  # files: one that two state folders lead to is the first one's store
        found = [self._search(place, surroundings, home, seen) for place in places_of(surroundings)]
        stores = {store.info.id: store for one in found for store in one.stores}
        self._stores = {path: store for path, store in self._stores.items() if store.info.id in stores}
        return Discovery(
            stores=tuple(stores.values()),
            # The home itself, for a new profile's folder: its own files do not matter.
            roots=(
                WatchRoot(home, frozenset(), recursive=False),
                *(root for one in found for root in one.roots),
            ),
            looked=tuple(path for one in found for path in one.looked),
            notes=tuple(note for one in found for note in one.notes),
        )

    def _search(self, place: Place, surroundings: Surroundings, home: Path, seen: set[object]) -> _Found:
        root = self._root(place, surroundings.home)
        configured = self._configured(place, surroundings)
        agents = agents_of(place, root, configured, home)
        candidates = self._used_databases(root, candidates_of(agents, seen))
        naming = _Naming(place, home / DEFAULT, surroundings.home)
        twins = twins_of(candidates)
        stores: list[Store] = [self._agent_store(one, label_of(one, twins), root, naming) for one in candidates]
        stores += self._shared_store(root, naming)
        return _Found(
            stores,
            watches_of(place, agents, candidates, (*place.configs, *configured.read)),
            [place.path, *([place.main] if place.main else [])],
            [configured.trouble] if configured.trouble else [],
        )

    def _root(self, place: Place, home: Path) -> Root:
        root = self._roots.setdefault(place.path, Root(place.path))
        root.eclipsed = files.abbreviate(place.eclipsed, home) if place.eclipsed else None
        return root

    def _configured(self, place: Place, surroundings: Surroundings) -> Configured:
        path = next((one for one in place.configs if one.is_file()), place.configs[0])
        return self._configs.setdefault(path, Config(path)).look(surroundings.env)

    def _used_databases(self, root: Root, candidates: list[Candidate]) -> list[Candidate]:
        """Without the agents' databases where none holds logins: in the JSON era they are something else."""
        databases = [one.path for one in candidates if not one.is_json]
        evidence = root.evidence_with(databases) if databases else None
        if evidence is None or is_sqlite(evidence) or evidence.trouble:
            return candidates
        return [one for one in candidates if one.is_json]

    def _agent_store(self, one: Candidate, label: str, root: Root, naming: _Naming) -> JsonStore | SqliteStore:
        if not one.is_json:
            return self._row(one.path, label, one.watched, root, AGENT_ROW, naming)
        known = self._stores.get(one.path)
        store = known if isinstance(known, JsonStore) else None
        info = naming.info(store.info if store else None, one.path, label, one.watched)
        return self._kept(store or JsonStore(info, root), info)

    def _shared_store(self, root: Root, naming: _Naming) -> list[JsonStore | SqliteStore]:
        evidence = root.evidence()
        if not evidence.shared_table and not evidence.trouble:
            return []
        return [self._row(root.database, "shared", with_sides(root.database), root, SHARED_ROW, naming)]

    def _row(
        self, path: Path, label: str, watched: tuple[Path, ...], root: Root, row: Row, naming: _Naming
    ) -> JsonStore | SqliteStore:
        known = self._stores.get(path)
        store = known if isinstance(known, SqliteStore) else None
        info = naming.info(store.info if store else None, path, label, watched)
        return self._kept(store or SqliteStore(info, root, row), info)

    def _kept(self, store: JsonStore | SqliteStore, info: StoreInfo) -> JsonStore | SqliteStore:
        store.info = info
        self._stores[info.path] = store
        return store


@dataclass(frozen=True, slots=True)
class _Naming:
    """How the stores of one state folder are named."""

    place: Place
    default: Path
    home: Path

    def info(self, known: StoreInfo | None, path: Path, label: str, watched: tuple[Path, ...]) -> StoreInfo:
        """The known one where nothing changed: naming thousands of stores anew costs more than finding them."""
        label += at(self.place, self.default)
        if known and (known.label, known.watched, known.home) == (label, watched, self.place.path):
            return known
        return info_of(f"openclaw:{files.abbreviate(path, self.home)}", label, path, self.place.path, watched)
