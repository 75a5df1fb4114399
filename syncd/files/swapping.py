"""Puts new bytes in a file's place, all or nothing, and gives back what it turned out to displace.

Hazard: between the last look and the rename another program may have replaced the file, and its bytes may be
the only copy of a live token. Where the system has it (Linux, RENAME_EXCHANGE) the two files change places in
one step and the displaced one is read before it goes; elsewhere the file is compared once more, right before
the rename.

No fsync unless asked: the ledger is the durable record, and a store that a power cut rolls back is healed
from it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from syncd.errors import StoreFault
from syncd.files.inplace import is_mount, overwrite, unchanged, unwritten, write_at
from syncd.files.reading import Kept, Moved, read

# Hidden, and no *.json: CLIProxyAPI loads every *.json of its folder. Codex's own temps are .auth-XXXXXX.
_PREFIX, _SUFFIX = ".syncd-", ".tmp"

# A temp lives for milliseconds; older than this it was left by a process that was killed.
STALE = 3_600.0

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_NO_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})

_FOR_NOW = frozenset({errno.EACCES, errno.EBUSY})
_REFUSED = _FOR_NOW | {errno.EPERM, errno.EROFS}

_POSIX = os.name == "posix"

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
for _name in ("O_CLOEXEC", "O_NOFOLLOW", "O_BINARY", "O_NOINHERIT"):
    _NEW |= getattr(os, _name, 0)


class Blocked(StoreFault):
    """The rename was refused for now (EACCES, EBUSY: an antivirus, an indexer); nothing was written."""


def swap(kept: Kept, data: bytes, *, durable: bool = False) -> bytes | None:
    """Put `data` in place of the kept file; its mode and owner stay.

    Returns the bytes that were displaced, where they are not the ones that were kept. Raises Moved and
    Blocked, and StoreFault for anything else (a full disk, a read-only folder): the old file is then whole
    and no temp is left.
    """
    if _POSIX and os.geteuid() not in (0, kept.stat.st_uid):
        overwrite(kept, data, durable=durable)  # a file of our own in its place would lock its owner out
        return None
    temp = kept.path.with_name(f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}")
    try:
        _make(temp, kept, data, durable)
        displaced = _rename(temp, kept)
    except OSError as error:
        if error.errno == errno.EXDEV or (error.errno in _REFUSED and is_mount(kept.path)):
            overwrite(kept, data, durable=durable)
            return None
        if error.errno in _FOR_NOW and temp.exists():
            raise Blocked(kept.path, f"cannot be replaced now: {error.strerror}") from error
        raise unwritten(kept.path, error) from error
    finally:
        temp.unlink(missing_ok=True)
    if durable:
        _sync_folder(kept.path.parent)
    return displaced


def sweep(folder: Path, now: float | None = None) -> None:
    """Remove the temps that a killed process left in the folder.

    The inode's change time counts: a file that was just displaced has an old modification time.
    """
    before = (time.time() if now is None else now) - STALE
    for temp in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            found = temp.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_ctime < before:
                temp.unlink()


def _make(temp: Path, kept: Kept, data: bytes, durable: bool) -> None:
    descriptor = os.open(temp, _NEW, 0o600)
    try:
        write_at(descriptor, data, 0)
        if os.fstat(descriptor).st_size != len(data):
            raise OSError(errno.EIO, "fewer bytes on the disk than were written")
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _dress(temp, kept)


def _dress(temp: Path, kept: Kept) -> None:
    """Owner first: changing it clears mode bits."""
    mode, old, new = kept.mode, kept.stat, temp.stat()
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.chown(temp, old.st_uid, old.st_gid)
        except PermissionError:
            mode &= ~0o070  # what its group might read, ours may not
    if mode != stat.S_IMODE(new.st_mode):
        temp.chmod(mode)


def _rename(temp: Path, kept: Kept) -> bytes | None:
    if exchange := _exchange():
        code = exchange(temp, kept.path)
        if code == 0:
            return _displaced(temp, kept, exchange)
        if code == errno.ENOENT:
            raise Moved(kept.path, "is gone")  # logged out meanwhile: a plain rename would have undone that
        if code not in _NO_EXCHANGE:
            raise OSError(code, os.strerror(code))
    unchanged(kept)
    temp.replace(kept.path)
    return None


def _displaced(temp: Path, kept: Kept, exchange: Callable[[Path, Path], int]) -> bytes | None:
    try:
        found = read(temp) if stat.S_ISREG(temp.lstat().st_mode) else None
    except StoreFault:
        found = None
    if found is None:  # a link, a folder, a giant: put it back as it was
        exchange(temp, kept.path)
        raise Moved(kept.path, "is no longer the file that was read")
    return found if found != kept.data else None


@cache
def _exchange() -> Callable[[Path, Path], int] | None:
    """Swaps two names in one step, answers 0 or an errno; None where the system has no such call."""
    if sys.platform != "linux":
        return None
    import ctypes

    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # musl before 1.2.6 has no such function
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

    def exchange(one: Path, other: Path) -> int:
        done = call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
        return 0 if done == 0 else ctypes.get_errno()

    return exchange


def _sync_folder(folder: Path) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return  # Windows cannot open a folder, and its rename is durable with the file
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
