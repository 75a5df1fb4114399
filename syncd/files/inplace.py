"""Writes a file in place, keeping the inode: all that a bind-mounted file, or somebody else's, allows.

Hazard: a crash in the middle leaves it torn. So this is the last resort, and the old bytes change as late as
they can.
"""

from __future__ import annotations

import os
from pathlib import Path

from syncd.errors import StoreFault
from syncd.files.reading import Kept, Moved, read

_MOUNTS = Path("/proc/self/mountinfo")

_FLAGS = os.O_RDWR
for _name in ("O_CLOEXEC", "O_NOFOLLOW", "O_BINARY", "O_NOINHERIT"):
    _FLAGS |= getattr(os, _name, 0)


def overwrite(kept: Kept, data: bytes, *, durable: bool) -> None:
    """Put `data` into the kept file itself. A reader may see it torn, never empty. Raises Moved."""
    unchanged(kept)
    try:
        descriptor = os.open(kept.path, _FLAGS)
        try:
            _lay(descriptor, data, len(kept.data))
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritten(kept.path, error) from error
    kept.now_holds(data)


def _lay(descriptor: int, data: bytes, old: int) -> None:
    """The part that grows comes first: a full disk is met before a byte of the old document has changed."""
    try:
        write_at(descriptor, data[old:], old)
    except OSError:
        os.ftruncate(descriptor, old)
        raise
    write_at(descriptor, data[:old], 0)
    os.ftruncate(descriptor, len(data))


def write_at(descriptor: int, data: bytes, start: int) -> None:
    os.lseek(descriptor, start, os.SEEK_SET)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def unchanged(kept: Kept) -> None:
    if read(kept.path) != kept.data:
        raise Moved(kept.path, "is no longer the file that was read")


def is_mount(path: Path) -> bool:
    """Is this very file a mount point (a container's bind mount)? Only then can no rename ever succeed."""
    try:
        table = _MOUNTS.read_bytes()
    except OSError:
        return False
    points = (line.split(b" ")[4] for line in table.splitlines() if line.count(b" ") > 4)
    return os.fsencode(path).replace(b" ", rb"\040") in points


def unwritten(path: Path, error: OSError) -> StoreFault:
    return StoreFault(path, f"cannot be written: {error.strerror}", f"ls -ld {path.parent}")
