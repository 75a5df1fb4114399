"""Files and folders of syncd's own: made for their owner alone, refused when open to others.

Hazard: a folder that another user made first, or a link of theirs, would hand them the ledger. So what is
there already is checked, never silently mended. On Windows the profile's own permissions guard it, and only
existence is checked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from syncd.errors import NotPrivate

_POSIX = os.name == "posix"


def private_folder(path: Path) -> None:
    """Make the folder, and missing parents, for their owner alone; raises NotPrivate where it is not."""
    try:
        _make(path)
    except OSError as error:
        raise _not_made(path, error) from error
    _check(path, stat.S_ISDIR, "a folder", 0o700)


def private_file(path: Path) -> None:
    """Make the file, empty and for its owner alone, where it is missing; raises NotPrivate."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise _not_made(path, error) from error
    _check(path, stat.S_ISREG, "a file", 0o600)


def abbreviate(path: Path, home: Path) -> str:
    """How people write the path: `~/.codex/auth.json`."""
    if path == home or not path.is_relative_to(home):
        return str(path)
    return f"~/{path.relative_to(home).as_posix()}"


def _make(path: Path) -> None:
    """Unlike mkdir's own `parents`, which leaves the parents open to the umask."""
    try:
        path.mkdir(mode=0o700)
    except FileNotFoundError:
        _make(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        pass


def _check(path: Path, belongs: Callable[[int], bool], kind: str, mode: int) -> None:
    try:
        link, target = path.lstat(), path.stat()
    except OSError as error:
        raise NotPrivate(path, f"cannot be looked at: {error.strerror}", f"ls -ld {path}") from error
    if not belongs(target.st_mode):
        raise NotPrivate(path, f"not {kind}", f"ls -ld {path}")
    if not _POSIX:
        return
    for owner in (link.st_uid, target.st_uid):
        if owner != os.geteuid():
            sentence = f"belongs to user {owner}, and syncd runs as user {os.geteuid()}"
            raise NotPrivate(path, sentence, "run syncd as the user who owns it, or remove it")
    if target.st_mode & 0o077:
        raise NotPrivate(path, f"open to others (mode {stat.S_IMODE(target.st_mode):o})", f"chmod {mode:o} {path}")


def _not_made(path: Path, error: OSError) -> NotPrivate:
    return NotPrivate(path, f"cannot be made: {error.strerror}", f"ls -ld {path.parent}")
