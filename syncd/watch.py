"""File events and a slow tick, as sets of store ids that are due.

Hazards: an event is a hint, not the truth (the turn reads and compares); a folder may not exist yet, or be replaced,
and a watch is bound to the old inode; watchdog starts a thread for every watch, so a root is watched once, as a whole.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from syncd.ports import Store, WatchRoot

T = TypeVar("T")

# After a store was handed out, further events of it wait this long, so that a busy database costs one read in a while;
# the first event after a pause is never delayed (seconds).
QUIET = 0.050

# The same for looking for stores anew: unpacking an archive below a root makes thousands of folders.
QUIET_DISCOVERY = 0.250

# SQLite in WAL mode makes its last file event before its fsync, and shows the commit after it, through shared memory,
# which makes none. So what had an event is read again after these times, until a new event starts over (seconds).
ECHOES = (0.050, 0.250, 1.000)
_LOGS = ("-wal", "-journal")

_DISCOVERY = ""

# What can change a store. Not that a file was opened or read: gateways read all day, and each event costs a wake-up.
_EVENTS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
]


@dataclass(slots=True)
class Due:
    """What to do now: stores to read, whether to look for stores anew, and questions to answer."""

    stores: set[str] = field(default_factory=set)
    discover: bool = False
    questions: list[Question[Any]] = field(default_factory=list)
    stop: bool = False

    def __bool__(self) -> bool:
        return bool(self.stores or self.discover or self.questions or self.stop)


class Question(Future[T]):
    """Something that the thread of the turns is asked from outside; the answer, or what went wrong."""

    def __init__(self, op: str) -> None:
        super().__init__()
        self.op = op


class Inbox:
    """The one door: what becomes due is put in by any thread and taken out by the one that turns."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ready: dict[str, float] = {}  # store id, or _DISCOVERY, to the monotonic time at which it is due
        self._taken: dict[str, float] = {}
        self._echoes: dict[str, list[float]] = {}
        self._questions: list[Question[Any]] = []
        self._stop = False

    def put(self, stores: Iterable[str], *, echo: bool = False) -> None:
        """These stores may have changed; `echo`: and what changed may show itself only a moment later."""
        self._put(stores, QUIET, ECHOES if echo else ())

    def discover(self) -> None:
        """Stores may have come or gone."""
        self._put((_DISCOVERY,), QUIET_DISCOVERY)

    def ask(self, question: Question[T]) -> Question[T]:
        with self._changed:
            self._questions.append(question)
            self._changed.notify()
        return question

    def stop(self) -> None:
        with self._changed:
            self._stop = True
            self._changed.notify()

    def _put(self, names: Iterable[str], quiet: float, echoes: tuple[float, ...] = ()) -> None:
        now = time.monotonic()
        with self._changed:
            for name in names:
                at = max(now, self._taken.get(name, -quiet) + quiet)
                self._ready[name] = min(at, self._ready.get(name, at))
                if echoes:
                    self._echoes[name] = [now + echo for echo in echoes]
            self._changed.notify()

    def take(self, until: float) -> Due:
        """Wait until something is due, or until this time (monotonic, s); what is due."""
        with self._changed:
            while not (due := self._take()):
                now = time.monotonic()
                if now >= until:
                    break
                self._changed.wait(min(until, *self._ready.values(), now + 3_600.0) - now)
            return due

    def _take(self) -> Due:
        now = time.monotonic()
        ripe = [name for name, at in self._ready.items() if at <= now]
        for name in ripe:
            del self._ready[name]
            self._taken[name] = now
            if left := [at for at in self._echoes.pop(name, ()) if at > now]:
                self._ready[name], self._echoes[name] = left[0], left[1:]
        due = Due({name for name in ripe if name}, _DISCOVERY in ripe, self._questions, self._stop)
        self._questions = []
        return due


class _Handler(FileSystemEventHandler):
    """Puts the stores of one root's events into the inbox. Called on watchdog's thread: quick, and never raises."""

    def __init__(self, watcher: Watcher, root: Path, names: frozenset[str], folders: frozenset[str] | None) -> None:
        self._watcher = watcher
        self._root = str(root)
        self.names = names
        self.folders = folders
        self.dead = False  # its folder is gone; a new one of that name may even get the same inode

    def dispatch(self, event: FileSystemEvent) -> None:
        for raw in (event.src_path, event.dest_path):
            if raw:
                path = raw.decode(errors="surrogateescape") if isinstance(raw, bytes) else raw
                self._on_path(path, is_folder=event.is_directory, kind=event.event_type)

    def _on_path(self, path: str, *, is_folder: bool, kind: str) -> None:
        name = path.rpartition("/")[2].rpartition("\\")[2]
        if is_folder and kind == "deleted" and path == self._root:
            self.dead = True
            self._watcher.on_folder()
        elif name in self.names:
            self._watcher.on_file(path)
        elif is_folder and kind != "modified" and (self.folders is None or path in self.folders):
            self._watcher.on_folder()


class Watcher:
    """Watches roots. `arm` may be called again at any time: only what changed is watched anew."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._observer: BaseObserver = Observer()
        self._observer.start()
        self._watches: dict[tuple[Path, bool, int], tuple[ObservedWatch, _Handler]] = {}
        self._stores: dict[str, list[str]] = {}
        self.blind: tuple[str, ...] = ()

    def arm(self, roots: Iterable[WatchRoot], stores: Mapping[str, Store]) -> tuple[Path, ...]:
        """Watch these roots, and their parents for when they appear or are replaced; `blind` says what fails.

        Returns the folders that are watched anew: what came there before the watch stood made no event.
        """
        by_path: dict[str, list[str]] = {}
        for name, store in stores.items():
            for path in store.info.watched:
                by_path.setdefault(str(path), []).append(name)
        self._stores = by_path
        wanted = self._wanted(roots)
        for key, (observed, handler) in list(self._watches.items()):
            if handler.dead or key not in wanted:
                del self._watches[key]
                self._observer.unschedule(observed)
            else:
                handler.names, handler.folders = wanted[key].names, wanted[key].folders
        blind, fresh = [], []
        for key in wanted.keys() - self._watches.keys():
            handler = wanted[key]
            try:
                observed = self._observer.schedule(handler, str(key[0]), recursive=key[1], event_filter=_EVENTS)
                self._watches[key] = observed, handler
                fresh.append(key[0])
            except OSError as error:  # the system's limit of watches: the slow tick still reads it
                blind.append(f"{key[0]}: {error.strerror or error}")
        self.blind = tuple(blind)
        return tuple(fresh)

    def close(self) -> None:
        self._observer.stop()
        self._observer.join(timeout=5.0)

    def on_file(self, path: str) -> None:
        if stores := self._stores.get(path):
            self._inbox.put(stores, echo=path.endswith(_LOGS))
        else:
            self._inbox.discover()

    def on_folder(self) -> None:
        self._inbox.discover()

    def _wanted(self, roots: Iterable[WatchRoot]) -> dict[tuple[Path, bool, int], _Handler]:
        """A watch for each root, and for the nearest folder above it; the inode tells a replaced folder apart."""
        names: dict[tuple[Path, bool, int], set[str]] = {}
        folders: dict[tuple[Path, bool, int], set[str] | None] = {}
        for root in roots:
            if (inode := _inode(root.path)) is not None:
                key = (root.path, root.recursive, inode)
                names.setdefault(key, set()).update(root.names)
                folders[key] = None
            above, below = _nearest_above(root.path)
            if (inode := _inode(above)) is not None:
                key = (above, False, inode)
                names.setdefault(key, set())
                if (known := folders.setdefault(key, set())) is not None:
                    known.add(str(below))
        return {
            key: _Handler(
                self, key[0], frozenset(names[key]), None if (known := folders[key]) is None else frozenset(known)
            )
            for key in names
        }


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino if path.is_dir() else None
    except OSError:
        return None


def _nearest_above(path: Path) -> tuple[Path, Path]:
    """The nearest folder above `path` that exists, and the entry in it that leads to `path`."""
    above, below = path.parent, path
    while not above.is_dir() and above != above.parent:
        above, below = above.parent, above
    return above, below
