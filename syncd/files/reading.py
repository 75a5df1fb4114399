"""Reading files that others write: bounded, regular files only, settled where a writer is at work.

Hazard: a FIFO or a terminal in a file's place blocks whoever opens it, and an in-place writer leaves the file
empty for a moment. Every path here is opened without blocking and looked at before a byte is read.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from syncd.errors import StoreFault
from syncd.files.documents import parse

# Stores are 2 to 200 KB; OpenClaw refuses more than a few MB. The bound keeps a hostile store from filling
# memory.
MAX_BYTES = 8 * 1024 * 1024

# Codex writes 4 KB in one call right after it truncated: microseconds. 5 ms is many times that, and 20
# tries in 100 ms.
RETRY = 0.005

# Each is absent somewhere: O_NOCTTY and O_NONBLOCK on Windows, O_BINARY everywhere else.
_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY", "O_NOINHERIT"):
    _FLAGS |= getattr(os, _name, 0)

# On Windows an open descriptor keeps others (and ourselves) from renaming over the file.
_KEEPS_OPEN = os.name != "nt"


def read(path: Path) -> bytes | None:
    """The file's bytes, through symlinks; None where there is none. Raises StoreFault."""
    descriptor = _open(path)
    if descriptor is None:
        return None
    try:
        return _whole(path, descriptor)
    finally:
        os.close(descriptor)


def read_settled(path: Path, patience: float = 0.1) -> tuple[bytes, dict[str, object]] | None:
    """The file's bytes and its JSON object; empty or torn, it is read again for `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        data = read(path)
        if data is None:
            return None
        try:
            return data, parse(path, data)
        except StoreFault:
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY)


class Moved(StoreFault):
    """The file is gone, or is no longer the one that was read: nothing was written."""


class Kept:
    """A file held open over its replacement: a tool that opened it before, and writes in place, writes there.

    `path` is the symlink's target, `data` what was read at first, `mode` the permission bits. Raises
    StoreFault, and Moved where there is no file.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        self.path = Path(os.path.realpath(path))
        opened = _open(self.path)
        if opened is None:
            raise Moved(path, "is gone")
        self._descriptor = opened
        try:
            self.data = _whole(self.path, opened)
            self.stat = os.fstat(opened)
        except BaseException:
            self.close()
            raise
        self._known = self.data
        if not _KEEPS_OPEN:
            self.close()

    @property
    def mode(self) -> int:
        return stat.S_IMODE(self.stat.st_mode)

    def again(self) -> bytes | None:
        """The file's bytes now, read through the descriptor; None where they are the ones last known."""
        if self._descriptor is None:
            return None
        data = _whole(self.path, self._descriptor)
        if data == self._known:
            return None
        self._known = data
        return data

    def now_holds(self, data: bytes) -> None:
        """These bytes were written into this very file by ourselves: they are no news."""
        self._known = data

    def close(self) -> None:
        """Let the descriptor go; a second time is nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A caller that never asks for the last look back must not cost a descriptor for ever.
        self.close()


def _open(path: Path) -> int | None:
    try:
        descriptor = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        if not path.is_symlink():
            return None
        raise StoreFault(path, f"a link to {_aim(path)}, which does not exist", f"ls -l {path}") from None
    except OSError as error:
        raise _closed(path, error) from error
    try:
        if kind := _strange(os.fstat(descriptor).st_mode):
            raise _not_a_file(path, kind)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _whole(path: Path, descriptor: int) -> bytes:
    """From the start to the end; the size is only a first guess, the file may grow meanwhile."""
    pieces, room = [], MAX_BYTES + 1
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        wanted = os.fstat(descriptor).st_size + 1
        while room > 0 and (piece := os.read(descriptor, min(wanted, room))):
            pieces.append(piece)
            room -= len(piece)
            wanted = 65_536
    except OSError as error:
        raise _closed(path, error) from error
    if room <= 0:
        raise StoreFault(path, f"larger than {MAX_BYTES // 1024 // 1024} MiB", f"ls -l {path}")
    return b"".join(pieces)


def _strange(mode: int) -> str | None:
    """What it is, where it is no regular file."""
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    if stat.S_ISREG(mode):
        return None
    return next((name for is_kind, name in kinds if is_kind(mode)), "a device")


def _not_a_file(path: Path, kind: str) -> StoreFault:
    return StoreFault(path, f"{kind} where a file belongs", f"ls -ld {path}")


def _closed(path: Path, error: OSError) -> StoreFault:
    if error.errno == errno.ENXIO:  # what Linux answers for a socket, and a driverless device
        return _not_a_file(path, "a socket or a device")
    if error.errno == errno.ELOOP:
        return StoreFault(path, "a link that leads back to itself", f"ls -l {path}")
    if isinstance(error, PermissionError):
        return StoreFault(path, "permission denied", f"ls -l {path}; run syncd as the user who owns it")
    return StoreFault(path, f"cannot be read: {error.strerror}", f"ls -l {path}")


def _aim(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return "elsewhere"
