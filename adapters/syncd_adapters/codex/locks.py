"""Codex's two save locks, taken as Codex takes them: `auth.lock`, then `auth.json.lock` beside the target.

Hazard: Codex gives a new token up for lost when `auth.json.lock` is held for 5 s, and spends its token over
and over while a folder lies there. So they are files, held for milliseconds, and never removed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from syncd.errors import StoreFault

HOME_LOCK = "auth.lock"

# Both locks together; Codex itself waits 5.0 s for the second. Its polls are 10 ms apart, ours half of that.
PATIENCE, POLL = 0.9, 0.005

# filelock's word for "no mode given": 0666 less the umask, as Codex makes the first one; its second is 0600.
UNSET_MODE = -1


@contextmanager
def save_locks(home: Path, path: Path) -> Iterator[None]:
    """Hold both, waiting `PATIENCE` seconds at most. Raises Timeout (another program has one), StoreFault."""
    target = Path(os.path.realpath(path))
    wanted = {home / HOME_LOCK: UNSET_MODE, target.with_name(f"{target.name}.lock"): 0o600}
    deadline = time.monotonic() + PATIENCE
    with ExitStack() as stack:
        for lock_path, mode in wanted.items():
            lock = FileLock(lock_path, mode=mode, poll_interval=POLL, preserve_lock_file=True)
            try:
                stack.enter_context(lock.acquire(timeout=max(0.0, deadline - time.monotonic())))
            except Timeout:
                raise
            except OSError as error:
                raise _not_lockable(lock_path, error) from error
        yield


def _not_lockable(path: Path, error: OSError) -> StoreFault:
    if path.is_dir():
        # Left by a tool that locks with mkdir. Codex spends its token and cannot save the next one meanwhile.
        return StoreFault(path, f"{path.name} is a folder where Codex needs a file", f"rmdir {path}")
    return StoreFault(path, f"{path.name} cannot be locked: {error.strerror}", f"ls -l {path}")
