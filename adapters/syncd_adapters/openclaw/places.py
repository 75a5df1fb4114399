"""Where OpenClaw's state folders can be: the default, a profile's, the environment's, the old one.

Hazard: every folder that is missed here is a store that keeps a token syncd believes to be gone. So the
environment adds to what is looked at and never takes away: a gateway may run under another one. Facts:
openclaw 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from syncd.ports import Surroundings

DEFAULT, LEGACY = ".openclaw", ".clawdbot"

# OpenClaw 2026.5.12-5.28 keeps a key, and no state, in a folder of this name.
_NO_STATE = f"{DEFAULT}-auth-profile-secrets"

MAX_PLACES = 64


@dataclass(frozen=True, slots=True)
class Place:
    """One state folder.

    `configs`: where its configuration can be, the first that exists is it. `main`: the main agent's folder,
    where the environment moves it. `eclipsed`: the folder that OpenClaw takes instead.
    """

    path: Path
    configs: tuple[Path, ...]
    main: Path | None = None
    eclipsed: Path | None = None


def home_of(surroundings: Surroundings) -> Path:
    """The home that OpenClaw would take."""
    return folder_of(surroundings.env.get("OPENCLAW_HOME", ""), surroundings.home) or surroundings.home


def folder_of(text: str, home: Path) -> Path | None:
    """A folder as OpenClaw reads it: trimmed, `~` expanded, `..` resolved by name. None for no name.

    Relative is relative to the home: the gateway's own working folder is not known, and a service's is the
    home.
    """
    text = text.strip()
    if not text or "\0" in text:
        return None
    if text == "~" or text.startswith(("~/", "~\\")):
        text = text[2:] or "."
    return Path(os.path.normpath(home / text))


def places_of(surroundings: Surroundings) -> tuple[Place, ...]:
    """Every state folder, there or not yet; the default first."""
    home, env = home_of(surroundings), surroundings.env
    default, legacy = home / DEFAULT, home / LEGACY
    named = folder_of(env.get("OPENCLAW_STATE_DIR", ""), home)
    extra = [path.absolute() for path in surroundings.extra.get("openclaw", ())]
    asked = ([named] if named else []) + extra
    chosen = named or default
    main = env.get("OPENCLAW_AGENT_DIR", "").strip() or env.get("PI_CODING_AGENT_DIR", "")
    return tuple(
        Place(
            path,
            _configs(path, folder_of(env.get("OPENCLAW_CONFIG_PATH", ""), home) if path == chosen else None),
            folder_of(main, home) if path == chosen else None,
            default if path == legacy and path not in asked and default.is_dir() else None,
        )
        for path in _distinct([default, *_profiles(home), *asked, legacy])
    )


def _configs(path: Path, named: Path | None) -> tuple[Path, ...]:
    return (named,) if named else (path / "openclaw.json", path / "clawdbot.json")


def _profiles(home: Path) -> list[Path]:
    try:
        with os.scandir(home) as entries:
            names = [one.name for one in entries if one.name.startswith(f"{DEFAULT}-") and one.is_dir()]
    except OSError:
        return []
    return [home / name for name in sorted(names)[:MAX_PLACES] if name != _NO_STATE]


def _distinct(paths: Iterable[Path]) -> list[Path]:
    """Each folder once, also where one is a symlink to the other (`.clawdbot` often is)."""
    seen: dict[object, Path] = {}
    for path in paths:
        seen.setdefault(file_key(path), path)
    return list(seen.values())


def file_key(path: Path) -> object:
    """Equal for two names of one file or folder: device and inode, or the name while it is not there."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return path
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(path)
