"""The socket: one line in, one line out; whoever sends too much, nothing, or never reads costs nobody else anything."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from syncd import serve
from syncd.errors import NotPrivate, StoreFault
from syncd.serve import MAX_REQUEST, Server
from tests.notrun import not_run
from tests.sandbox import Sandbox, until

BIG = 8 * 1024 * 1024
ELSEBODY = 65_534
PATIENCE_S = 10.0


async def answer(op: str, request: Mapping[str, object]) -> Mapping[str, object]:
    """Says what it was asked; `big` is answered with more than any buffer of the system holds."""
    if op == "break":
        raise RuntimeError("broken on purpose")
    return {"v": 1, "action": op, "echo": request.get("echo"), "fill": "x" * BIG if op == "big" else ""}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "syncd.sock"


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    one = Server(path, answer)
    one.start()
    yield one
    one.close()


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE_S)
    client.connect(str(path))
    return client


def reply_to(path: Path, data: bytes, *, half: bool = False) -> dict[str, Any]:
    """`half`: nothing more will come."""
    with connect(path) as client:
        client.sendall(data)
        if half:
            client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as lines:
            found = json.loads(lines.readline())
            assert lines.readline() == b""  # one answer, then it hangs up
    assert isinstance(found, dict)
    return found


def test_one_line_in_one_line_out(server: Server, path: Path) -> None:
    request = {"v": 1, "op": "ping", "echo": "é\n"}
    assert reply_to(path, json.dumps(request).encode() + b"\n")["echo"] == "é\n"


def test_it_is_for_its_user_alone(server: Server, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\n", "not_json"),
        (b"hello\n", "not_json"),
        (b"\xff\xfe\n", "not_json"),
        (b"[" * 60_000 + b"\n", "not_json"),
        (b'{"v":1,"op":"ping"\n', "not_json"),
        (b"[1]\n", "not_an_object"),
        (b"null\n", "not_an_object"),
        (b"{}\n", "unknown_version"),
        (b'{"v":2,"op":"ping"}\n', "unknown_version"),
        (b'{"v":"1","op":"ping"}\n', "unknown_version"),
        (b'{"v":true,"op":"ping"}\n', "unknown_version"),
        (b'{"v":1}\n', "no_op"),
        (b'{"v":1,"op":5}\n', "no_op"),
        (b'{"v":1,"op":"' + b"x" * MAX_REQUEST + b'"}\n', "too_large"),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_what_is_no_request_gets_a_clear_error(server: Server, path: Path, line: bytes, reason: str) -> None:
    found = reply_to(path, line)
    assert (found["v"], found["action"], found["reason"]) == (1, "error", reason)
    assert found["message"]
    assert reply_to(path, b'{"v":1,"op":"ping"}\n')["action"] == "ping"


def test_half_a_line_is_told(server: Server, path: Path) -> None:
    assert reply_to(path, b'{"v":1,"op":"ping"}', half=True)["reason"] == "half_a_line"


def test_a_client_that_says_nothing_and_leaves_is_no_error(server: Server, path: Path) -> None:
    connect(path).close()
    assert reply_to(path, b'{"v":1,"op":"ping"}\n')["action"] == "ping"


def test_a_fault_in_an_answer_is_told_to_the_one_who_asked(server: Server, path: Path) -> None:
    """And costs the others nothing; a connection that just ends would look like a dead syncd."""
    assert reply_to(path, b'{"v":1,"op":"break"}\n')["reason"] == "fault"
    assert reply_to(path, b'{"v":1,"op":"ping"}\n')["action"] == "ping"


def test_two_hundred_idle_clients_and_it_still_answers(server: Server, path: Path) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(path))
        began = time.monotonic()
        for _ in range(20):
            assert reply_to(path, b'{"v":1,"op":"ping"}\n')["action"] == "ping"
        assert time.monotonic() - began < PATIENCE_S


def test_clients_beyond_the_bound_are_turned_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "MAX_CLIENTS", 3)
    one = Server(path, answer)
    one.start()
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connect(path))
            assert reply_to(path, b"", half=True)["reason"] == "too_many_clients"
        until("the places are free again", lambda: reply_to(path, b'{"v":1,"op":"ping"}\n')["action"] == "ping")
    finally:
        one.close()


class TestPatience:
    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(serve, "PATIENCE", 0.3)

    def test_a_client_that_says_nothing_is_let_go(self, server: Server, path: Path) -> None:
        with connect(path) as client:
            assert client.recv(1) == b""

    def test_a_client_that_never_reads_is_let_go_and_nobody_waits_for_it(self, server: Server, path: Path) -> None:
        with connect(path) as client:
            client.sendall(b'{"v":1,"op":"big"}\n')
            assert reply_to(path, b'{"v":1,"op":"ping"}\n')["action"] == "ping"
            until("it is let go", lambda: not server._clients)
            got = 0
            with contextlib.suppress(ConnectionResetError):
                while piece := client.recv(1 << 20):
                    got += len(piece)
            assert got < BIG  # what it had not read by then was dropped, not kept for ever


def test_another_user_is_turned_away() -> None:
    """Where the modes let one in: they are opened here, after the start."""
    if sys.platform != "linux" or os.geteuid() != 0:
        not_run("another user at the socket", "only root on Linux can become another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder) / "run" / "syncd.sock"
        one = Server(path, answer)
        one.start()
        try:
            for opened in (path.parent.parent, path.parent):
                opened.chmod(0o755)
            path.chmod(0o666)
            assert json.loads(as_another_user(path))["reason"] == "other_user"
            assert reply_to(path, b'{"v":1,"op":"ping"}\n')["action"] == "ping"
        finally:
            one.close()


def as_another_user(path: Path) -> bytes:
    """What the socket answers to a process of another user."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fork beside threads: this one only connects, and is gone
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(ELSEBODY)
            os.setuid(ELSEBODY)
            client = connect(path)
            client.sendall(b'{"v":1,"op":"ping"}\n')
            os.write(theirs, client.recv(4_096))
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as pipe:  # noqa: PTH123  a descriptor
        said = pipe.read()
    os.waitpid(child, 0)
    return said


class TestTheFile:
    def test_a_stale_one_is_replaced(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700)
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        one = Server(path, answer)
        one.start()
        assert reply_to(path, b'{"v":1,"op":"ping"}\n')["action"] == "ping"
        one.close()
        assert not path.exists()

    def test_an_open_folder_is_refused(self, path: Path) -> None:
        path.parent.mkdir(mode=0o755)
        one = Server(path, answer)
        with pytest.raises(NotPrivate, match=r"open to others \(mode 755\)") as refused:
            one.start()
        assert refused.value.hint == f"chmod 700 {path.parent}"
        one.close()

    def test_a_path_too_long_is_told(self, tmp_path: Path) -> None:
        one = Server(tmp_path / ("x" * 120) / "syncd.sock", answer)
        with pytest.raises(StoreFault, match="the socket cannot be made"):
            one.start()
        one.close()

    def test_closing_lets_every_client_go(self, path: Path) -> None:
        one = Server(path, answer)
        one.start()
        with connect(path) as client:
            one.close()
            assert client.recv(1) == b""


def test_of_a_daemon(sandbox: Sandbox) -> None:
    """What it knows, and the place of its socket where the path would be too long."""
    with sandbox.daemon() as daemon:
        assert sandbox.ask({"v": 1, "op": "ping"}) == {
            "v": 1,
            "action": "pong",
            "pid": daemon.pid,
            "since": daemon.status()["daemon"]["since"].replace("Z", "+00:00"),
        }
        assert sandbox.ask({"v": 1, "op": "dance"}) == {
            "v": 1,
            "action": "error",
            "reason": "unknown_op",
            "message": "this syncd knows: ping, status",
        }
        assert stat.S_IMODE(sandbox.socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(sandbox.runtime.stat().st_mode) == 0o700


def test_a_long_runtime_path_moves_to_a_short_hashed_folder(sandbox: Sandbox) -> None:
    sandbox.extra["SYNCD_RUNTIME_DIR"] = str(sandbox.root / ("long" * 30))
    told = sandbox.run("config", "show", "--json").json()
    assert Path(told["places"]["runtime"]).parent == sandbox.tmp
    assert Path(told["places"]["runtime"]).name.startswith("syncd-")
