"""Is the process that a lock names still the one that took it?

Hazard: a wrong "no" steals the lock of a running OpenClaw. So every doubt (no permission, no /proc, Windows,
where `os.kill` would end the process instead of asking) counts as alive.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Field 22 of /proc/<pid>/stat, counted after the command's name, which may hold spaces and brackets: facts
# 4.2.
_STATE, _START = 0, 19


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot as Linux tells it; None elsewhere and in doubt."""
    fields = _fields(pid)
    return int(fields[_START]) if fields else None


def is_gone(pid: int, started: object = None) -> bool:
    """True only where the process is certainly dead, a zombie, or another one that got the same number."""
    if sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # another user's process: alive, and its start time can be read all the same
    except (OSError, OverflowError):
        return False
    fields = _fields(pid)
    if fields and fields[_STATE] in ("Z", "X"):
        return True
    known = isinstance(started, int) and not isinstance(started, bool)
    return bool(fields and known and int(fields[_START]) != started)


def _fields(pid: int) -> list[str] | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return fields if len(fields) > _START and fields[_START].isdigit() else None
