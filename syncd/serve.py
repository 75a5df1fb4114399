"""The local socket: one JSON line in, one JSON line out, for processes of the same user only.

Hazard: a client that says nothing, says too much, or never reads must cost nobody else anything. So every line and
every connection is bounded in size and time, and an answer is made outside of the loop that serves the others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from syncd import files
from syncd.errors import StoreFault

log = logging.getLogger("syncd")

PROTOCOL = 1
MAX_REQUEST = 64 * 1024

# A client sends its line at once; one that does not is let go (seconds).
PATIENCE = 30.0

# The same for one who is turned away whatever it asks.
TURNED_AWAY_AFTER = 1.0

# Enough for any swarm on one machine; more are turned away before they are read.
MAX_CLIENTS = 1_200

# A swarm that wakes at once: a Unix socket refuses whoever finds the queue full, at once (EAGAIN).
BACKLOG = 1_024

Answer = Callable[[str, Mapping[str, object]], Awaitable[Mapping[str, object]]]


class Server:
    """Serves the socket from a thread of its own until `close`. `answer` is awaited for each valid request."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._clients: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="socket", daemon=True)

    def start(self) -> None:
        """Listen. A socket that a dead syncd left is replaced. Raises NotPrivate, StoreFault."""
        files.private_folder(self._path.parent)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise StoreFault(
                self._path, f"the socket cannot be made: {error.strerror}", "set SYNCD_RUNTIME_DIR"
            ) from error
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(listener), self._loop).result(timeout=10.0)

    def close(self) -> None:
        """Stop listening and let every client go."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=10.0)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10.0)
        self._loop.close()
        self._path.unlink(missing_ok=True)

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=MAX_REQUEST, backlog=BACKLOG)

    async def _stop(self) -> None:
        await _rounds()  # who was let in just now becomes a client: asyncio forgets it where the server closes first
        if self._server is not None:
            self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        await _rounds()  # and each connection is closed

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  asyncio runs this as a task
        self._clients.add(task)
        try:
            async with asyncio.timeout(PATIENCE):
                reply = await self._reply(reader, writer)
                writer.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass  # it went away, or is let go; nobody is waiting for a word
        finally:
            self._clients.discard(task)
            writer.transport.abort()  # what it has not read by now it does not want

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Mapping[str, object]:
        if len(self._clients) > MAX_CLIENTS:
            return await _unread(reader, error("too_many_clients", "too many clients at once", "try again"))
        if not _is_same_user(writer.get_extra_info("socket")):
            return await _unread(reader, error("other_user", "the socket serves the user who runs syncd"))
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            return error("too_large", f"a request is one line of at most {MAX_REQUEST} bytes")
        except asyncio.IncompleteReadError as short:
            if not short.partial:
                raise ConnectionResetError from short
            return error("half_a_line", "a request ends with a newline")
        return await self._understood(line)

    async def _understood(self, line: bytes) -> Mapping[str, object]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return error("not_json", "a request is one JSON object on one line")
        if not isinstance(request, dict):
            return error("not_an_object", "a request is one JSON object on one line")
        if request.get("v") != PROTOCOL or isinstance(request["v"], bool):
            return error("unknown_version", f"this syncd speaks protocol {PROTOCOL}", 'send "v":1')
        op = request.get("op")
        if not isinstance(op, str):
            return error("no_op", 'a request names its "op"')
        try:
            return await self._answer(op, request)
        except Exception as fault:
            log.exception("the answer to %s failed", ascii(op[:40]))
            return error("fault", f"a fault of syncd's own: {type(fault).__name__}", "see its log, and report it")


async def _rounds() -> None:
    """A few rounds of the loop: what is scheduled happens."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _unread(reader: asyncio.StreamReader, reply: Mapping[str, object]) -> Mapping[str, object]:
    """Turned away, but not before its line has come: else it would fail to send it, and not read why."""
    with suppress(TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(TURNED_AWAY_AFTER):
            await reader.readuntil(b"\n")
    return reply


def forbid_core_dumps() -> None:
    """The memory of a process that has read a store holds tokens: no core file of it (docs/rules.md, 11)."""
    try:
        import resource
    except ImportError:
        return  # Windows writes none
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def error(code: str, sentence: str, hint: str | None = None) -> dict[str, object]:
    """The answer to a request that cannot be served."""
    return {"v": PROTOCOL, "action": "error", "reason": code, "message": sentence, **({"hint": hint} if hint else {})}


def _is_same_user(peer: socket.socket) -> bool:
    """Is the process at the other end one of ours? Linux and macOS tell; elsewhere the folder's mode must do."""
    if sys.platform == "linux":
        _pid, uid, _gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return bool(uid == os.geteuid())
    if sys.platform == "darwin":
        # struct xucred { u_int version; uid_t uid; ... } by LOCAL_PEERCRED (0x001) at SOL_LOCAL (0).
        return bool(struct.unpack_from("2I", peer.getsockopt(0, 0x001, 76))[1] == os.geteuid())
    return True


def ask(path: Path, request: Mapping[str, object], patience: float) -> dict[str, object] | None:
    """Ask the syncd behind a socket; None where none answers within `patience` seconds."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(patience)
            client.connect(str(path))
            client.sendall(json.dumps({"v": PROTOCOL, **request}).encode() + b"\n")
            with client.makefile("rb") as answer:
                reply = json.loads(answer.readline())
    except (OSError, ValueError):
        return None
    return reply if isinstance(reply, dict) else None
