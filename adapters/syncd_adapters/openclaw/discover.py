"""Which files of which agents are stores, and which folders must be watched to hear of their changes.

Hazard: called at every event that looks like a new agent, with thousands of agents: one `stat` a candidate,
no database opened that need not be. And a symlink leads out of the tree that the recursive watch covers.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from syncd.ports import WatchRoot

from .agents import Agent
from .json_store import NAME
from .places import Place
from .root import AGENT_DATABASE
from .text import shown

_DATABASES = (AGENT_DATABASE, "openclaw.sqlite")
_ENDS = ("", "-wal", "-journal")  # a commit may change any of these alone
NAMES = frozenset({NAME, "openclaw.json", "clawdbot.json"} | {name + end for name in _DATABASES for end in _ENDS})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be a store. `target`: where it really is, if it is a symlink."""

    agent: Agent
    path: Path
    key: object
    target: Path | None = None

    @property
    def is_json(self) -> bool:
        return self.path.name == NAME

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files whose change can change this store; SQLite keeps its side files where the database really is."""
        names = [self.path, *([self.target] if self.target else [])]
        return tuple(names) if self.is_json else tuple(each for name in names for each in with_sides(name))


def with_sides(database: Path) -> tuple[Path, ...]:
    """A database and the files that SQLite keeps beside it."""
    return tuple(database.with_name(database.name + end) for end in _ENDS)


def candidates_of(agents: Iterable[Agent], seen: set[object]) -> list[Candidate]:
    """Each existing file once, by whichever agent's name it was found first; `seen` grows by their keys."""
    found = []
    for agent in agents:
        for name in (AGENT_DATABASE, NAME):
            candidate = _candidate(agent, agent.folder / name)
            if candidate and candidate.key not in seen:
                seen.add(candidate.key)
                found.append(candidate)
    return found


def _candidate(agent: Agent, path: Path) -> Candidate | None:
    try:
        link = path.lstat()
        if not stat.S_ISLNK(link.st_mode):
            return Candidate(agent, path, (link.st_dev, link.st_ino) if link.st_ino else path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError:
        return Candidate(agent, path, path)
    try:
        file = path.stat()
    except OSError:
        # Forbidden, dangling, or a link to itself: a store that cannot be read is told of, not passed over.
        return Candidate(agent, path, path)
    return Candidate(agent, path, (file.st_dev, file.st_ino) if file.st_ino else path, Path(os.path.realpath(path)))


def twins_of(candidates: Iterable[Candidate]) -> frozenset[Path]:
    """The folders of the agents that have a database, where a JSON file is the second store."""
    return frozenset(one.agent.folder for one in candidates if not one.is_json)


def label_of(candidate: Candidate, twins: frozenset[Path]) -> str:
    """The agent's id; which of its two stores it is, where it has two."""
    second = candidate.is_json and candidate.agent.folder in twins
    return shown(candidate.agent.id) + (" (json)" if second else "")


def at(place: Place, default: Path) -> str:
    """What a label says of the state folder, if it is not the default one."""
    return "" if place.path == default else f" @{shown(place.path.name)}"


def watches_of(
    place: Place, agents: Iterable[Agent], candidates: Iterable[Candidate], configs: Iterable[Path]
) -> list[WatchRoot]:
    """One watch for the tree, and one for each folder outside of it."""
    roots = [WatchRoot(place.path, NAMES, recursive=True)]
    outside = {agent.outside for agent in agents if agent.outside}
    roots += [WatchRoot(path, NAMES, recursive=False) for path in sorted(outside)]
    files = {one.target for one in candidates if one.target} | set(configs)
    roots += [
        WatchRoot(path.parent, frozenset(path.name + end for end in _ENDS), recursive=False)
        for path in sorted(files)
        if not path.is_relative_to(place.path)
    ]
    return roots
