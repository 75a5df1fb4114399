"""The Codex CLI: finds every CODEX_HOME, and the one login that each keeps in `auth.json`.

Hazard: the folder that counts is the one in *Codex's* environment, which syncd can only guess from its own.
So further homes come from the config, and each home that is looked at is named, also where there is nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from syncd import files
from syncd.ports import Capabilities, Discovery, StoreInfo, Surroundings, WatchRoot
from syncd_adapters.codex.settings import CONFIG
from syncd_adapters.codex.store import AUTH, CodexStore

NAME = "codex"

# Codex holds its locks around a save and not around its request, so no write is exact against it (peers 0.6).
CAPABILITIES = Capabilities(follower=True, needs_id_token=True, locked=False)


class CodexAdapter:
    """Codex, at `CODEX_HOME` or `~/.codex`, and at the homes of `Surroundings.extra["codex"]`."""

    name = NAME

    def __init__(self) -> None:
        self._stores: dict[Path, CodexStore] = {}

    def discover(self, surroundings: Surroundings) -> Discovery:
        stores, roots, looked = [], [], []
        for number, home in enumerate(_homes(surroundings)):
            looked.append(home / AUTH)
            target = Path(os.path.realpath(home / AUTH))
            roots.append(WatchRoot(home, frozenset({AUTH, CONFIG}), recursive=False))
            if target.parent != Path(os.path.realpath(home)):
                roots.append(WatchRoot(target.parent, frozenset({target.name}), recursive=False))
            if _is_folder(home):
                stores.append(self._store(_describe(home, target, surroundings, default=number == 0)))
        return Discovery(tuple(stores), tuple(roots), tuple(looked))

    def _store(self, info: StoreInfo) -> CodexStore:
        """The same object for the same path, described anew: a symlink may point elsewhere by now."""
        store = self._stores.setdefault(info.path, CodexStore(info))
        store.info = info
        return store


def _homes(surroundings: Surroundings) -> list[Path]:
    """Each home once, the default first; two names of one folder are one home."""
    first = surroundings.env.get("CODEX_HOME")
    default = Path(first) if first else surroundings.home / ".codex"
    homes: dict[str, Path] = {}
    for home in (default, *surroundings.extra.get(NAME, ())):
        homes.setdefault(os.path.realpath(home), home.absolute())
    return list(homes.values())


def _describe(home: Path, target: Path, surroundings: Surroundings, *, default: bool) -> StoreInfo:
    path = home / AUTH
    return StoreInfo(
        id=f"{NAME}:{files.abbreviate(path, surroundings.home)}",
        adapter=NAME,
        label=NAME if default else f"{NAME} {files.abbreviate(home, surroundings.home)}",
        path=path,
        home=home,
        capabilities=CAPABILITIES,
        watched=tuple(dict.fromkeys((path, target, home / CONFIG))),
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a parent that forbids the look
        return False
