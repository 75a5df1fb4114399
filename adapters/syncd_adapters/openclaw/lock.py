"""A lock file as OpenClaw's processes take it: `<file>.lock`, whose JSON names its holder.

Hazard: from 2026.5.12 on an empty or torn lock file is never stale, so a crash between create and write would
stop OpenClaw for ever. The file is therefore published whole: written under another name, then linked to its
own. flock would be invisible to OpenClaw (openclaw #85118). Facts: openclaw 4.2-4.5.

A lock is taken from a dead holder only, never for its age: OpenClaw up to 2026.5.7 does so, and steals from
the living.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from syncd import files
from syncd.errors import StoreFault

from .process import is_gone, start_time

# OpenClaw holds this lock for milliseconds, but up to 2026.5.7 over a whole token call: then the turn comes
# back.
PATIENCE = 1.0
_POLL = 0.02

# On Windows a waiter that reads the lock keeps it from being removed, for microseconds. Left behind, it would stop
# OpenClaw for as long as syncd lives.
_TRIES = 25


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else has it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Ours until `release`."""

    path: Path
    content: bytes

    def release(self) -> None:
        """Remove the lock, if it still is the one that we published."""
        for _ in range(_TRIES):
            try:
                if files.read(self.path) == self.content:
                    self.path.unlink()
                return
            except (OSError, StoreFault):
                time.sleep(_POLL)


def lock_of(path: Path) -> Path:
    """The lock of a file: beside the name by which OpenClaw knows it, also where that is a symlink."""
    return path.with_name(path.name + ".lock")


def take(path: Path, patience: float = PATIENCE) -> Taken | Held:
    """Take the lock file `path` within `patience` seconds. Raises StoreFault where none can be made."""
    content = _payload()
    deadline = time.monotonic() + patience
    while True:
        held = _attempt(path, content)
        if held is None:
            return Taken(path, content)
        if time.monotonic() >= deadline:
            return held
        time.sleep(_POLL)


def _attempt(path: Path, content: bytes) -> Held | None:
    if _guard(path).exists():
        return Held(f"{path} is being reclaimed by another process")
    try:
        if _publish(path, content):
            return None
        holder = files.read(path)
    except OSError as error:
        raise StoreFault(path, f"the lock cannot be taken: {error.strerror}") from error
    return None if holder is not None and _reclaimed(path, holder, content) else _held(path, holder)


def _payload() -> bytes:
    holder: dict[str, object] = {"pid": os.getpid(), "createdAt": _now()}
    started = start_time(os.getpid())
    if started is not None:
        holder["starttime"] = started
    # The last line of spaces and tabs is 2026.9's way to make every lock unlike any other, and still JSON to
    # read.
    token = f"{secrets.randbits(128):0128b}".translate({ord("0"): " ", ord("1"): "\t"})
    return (json.dumps(holder, indent=2) + "\n" + "\t" * 8 + token + "\n").encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _publish(path: Path, content: bytes) -> bool:
    """Make the lock file, whole or not at all; False where there is one already."""
    draft = path.with_name(f".syncd-{secrets.token_hex(8)}.tmp")  # a name that files.sweep knows
    try:
        _create(draft, content)
        os.link(draft, path)
    except FileExistsError:
        return False
    except (OSError, NotImplementedError):
        # A file system without hard links: created and written in one go, the best that it allows.
        return _created(path, content)
    finally:
        draft.unlink(missing_ok=True)
    return True


def _created(path: Path, content: bytes) -> bool:
    try:
        _create(path, content)
    except FileExistsError:
        return False
    return True


def _create(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)


def _guard(path: Path) -> Path:
    return path.with_name(path.name + ".reclaim")


def _holder(content: bytes | None) -> dict[str, object]:
    try:
        holder = json.loads(content or b"")
    except (ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _pid(holder: dict[str, object]) -> int | None:
    pid = holder.get("pid")
    return pid if isinstance(pid, int) and not isinstance(pid, bool) and pid > 0 else None


def _held(path: Path, content: bytes | None) -> Held:
    pid = _pid(_holder(content))
    return Held(f"{path} is held by process {pid}" if pid else f"{path} does not say who holds it")


def _reclaimed(path: Path, seen: bytes, content: bytes) -> bool:
    """Replace a dead holder's lock by ours, under the guard that OpenClaw respects while it does the same."""
    holder = _holder(seen)
    pid = _pid(holder)
    if pid is None or not is_gone(pid, holder.get("starttime")):
        return False
    try:
        _guard(path).mkdir()
    except OSError:
        return False
    try:
        if files.read(path) == seen:
            path.unlink()
        return _publish(path, content)
    finally:
        with contextlib.suppress(OSError):
            _guard(path).rmdir()
