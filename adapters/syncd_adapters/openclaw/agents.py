"""The agents of one state folder: from its folders, its configuration and OpenClaw's own list of databases.

Hazard: the list in the state database has absolute paths (2026.6), and a copied state folder (a backup, a
test) brings the paths of the original with it. A folder that lies in another state folder belongs to that
one, and is left to it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .config import Configured
from .places import Place, folder_of
from .root import AGENT_DATABASE, Root

# Far above any real host; a folder with more entries is not read to its end.
MAX_AGENTS = 10_000


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's id and the folder of its stores. `outside`: where that really is, if not in the state folder."""

    id: str
    folder: Path
    outside: Path | None = None


def agents_of(place: Place, root: Root, configured: Configured, home: Path) -> list[Agent]:
    """Every agent, each folder once; where two names lead to one folder, the real one comes first."""
    named = [
        *([Agent("main", place.main)] if place.main else []),
        *(Agent(name, folder) for name, text in configured.agents if (folder := folder_of(text, home))),
        *_registered(place, root),
    ]
    plain, linked = _inside(place.path / "agents")
    found = {agent.folder: agent for agent in plain}
    for agent in itertools.islice([*linked, *named], MAX_AGENTS):
        if agent.folder not in found:
            found[agent.folder] = _placed(agent, place.path)
    return list(found.values())


def _inside(agents: Path) -> tuple[list[Agent], list[Agent]]:
    """The folders that are there, by name: the real ones, and those to which a symlink leads."""
    plain: list[Agent] = []
    linked: list[Agent] = []
    try:
        with os.scandir(agents) as entries:
            for entry in itertools.islice(entries, MAX_AGENTS):
                if entry.is_dir():
                    agent = Agent(entry.name, agents / entry.name / "agent")
                    symlink = entry.is_symlink() or agent.folder.is_symlink()
                    (linked if symlink else plain).append(agent)
    except OSError:
        pass
    return sorted(plain, key=_by_id), sorted(linked, key=_by_id)


def _by_id(agent: Agent) -> str:
    return agent.id


def _registered(place: Place, root: Root) -> Iterator[Agent]:
    for row in root.registered():
        database = Path(os.path.normpath(row.database))
        if database.name == AGENT_DATABASE and not _is_of_another(database.parent, place.path):
            yield Agent(row.agent, database.parent)


def _is_of_another(folder: Path, state: Path) -> bool:
    """Is it `<another state folder>/agents/<id>/agent`?"""
    if folder.is_relative_to(state) or folder.parent.parent.name != "agents":
        return False
    other = folder.parents[2] / "state" / "openclaw.sqlite"
    try:
        return other.is_file() and not other.parents[1].samefile(state)
    except OSError:
        return False


def _placed(agent: Agent, state: Path) -> Agent:
    real = Path(os.path.realpath(agent.folder))
    inside = real.is_relative_to(os.path.realpath(state))
    return agent if inside else Agent(agent.id, agent.folder, real)
