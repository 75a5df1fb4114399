"""What `openclaw.json` says of agents' folders: `agents.list[].agentDir`, through `$include`.

Hazard: the configuration may be broken or half written at any time. Then the agents come from the folders and
from OpenClaw's own table, and the reason is told; it never stops syncd. Only the branch that leads to the
agents is followed, so that no other included file (they may hold secrets) is opened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from syncd import files
from syncd.errors import StoreFault

from . import lenient

MAX_DEPTH = 10  # OpenClaw's own bound for nested includes
MAX_FILES = 64

_BRANCH = frozenset({"agents", "list"})
_VARIABLE = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}")

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Configured:
    """Agents with a folder of their own (id, folder as written), the files read, and what went wrong."""

    agents: tuple[tuple[str, str], ...] = ()
    read: tuple[Path, ...] = ()
    trouble: str | None = None


class Config:
    """One configuration; read again only when one of its files changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamps: dict[Path, Stamp] = {}
        self._last: Configured | None = None

    def look(self, env: Mapping[str, str]) -> Configured:
        """What it says now."""
        if self._last is None or any(_stamp(path) != stamp for path, stamp in self._stamps.items()):
            reader = _Reader()
            self._last = reader.configured(self._path, env)
            self._stamps = reader.stamps
        return self._last


class _Reader:
    def __init__(self) -> None:
        self.stamps: dict[Path, Stamp] = {}

    def configured(self, path: Path, env: Mapping[str, str]) -> Configured:
        trouble = None
        try:
            agents = tuple(_agents(self._load(path, 0), env))
        except (StoreFault, ValueError, OSError) as error:
            agents, trouble = (), f"{path} could not be read for agents' folders: {error}"
        return Configured(agents, tuple(self.stamps), trouble)

    def _load(self, path: Path, depth: int) -> object:
        if depth > MAX_DEPTH or len(self.stamps) >= MAX_FILES:
            raise ValueError("it includes too many files, or itself")
        self.stamps[path] = _stamp(path)
        data = files.read(path)
        if data is None:
            if depth == 0:
                return {}
            raise ValueError(f"{path} is included and missing")
        return self._followed(lenient.parse(data.decode("utf-8")), path, depth)

    def _followed(self, node: object, source: Path, depth: int) -> object:
        if isinstance(node, list):
            return [self._followed(each, source, depth) for each in node]
        if not isinstance(node, dict):
            return node
        merged: object = {}
        for name in _included(node.get("$include")):
            merged = _merged(merged, self._load(_beside(source, name), depth + 1))
        own = {
            key: self._followed(value, source, depth) if key in _BRANCH else value
            for key, value in node.items()
            if key != "$include"
        }
        return _merged(merged, own) if own or "$include" not in node else merged


def _beside(source: Path, name: str) -> Path:
    return Path(os.path.normpath(source.parent / name))


def _included(value: object) -> list[str]:
    names = value if isinstance(value, list) else [value]
    return [name for name in names if isinstance(name, str) and name and "\0" not in name and len(name) < 4096]


def _merged(first: object, second: object) -> object:
    """Deep, the later wins; lists are joined."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {key: _merged(first[key], value) if key in first else value for key, value in second.items()}
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    return second


def _agents(config: object, env: Mapping[str, str]) -> list[tuple[str, str]]:
    agents = config.get("agents") if isinstance(config, dict) else None
    entries = agents.get("list") if isinstance(agents, dict) else None
    found = []
    for entry in entries if isinstance(entries, list) else []:
        match entry:
            case {"id": str(name), "agentDir": str(folder)} if folder.strip():
                found.append((name, _VARIABLE.sub(lambda one: env.get(one[1], one[0]), folder)))
    return found


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
