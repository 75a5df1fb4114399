"""A token authority on the loopback: each refresh token works once, and a second use ends the whole login.

What it writes down is what the verdict is measured from: every token request and every turn, and how it was answered.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from syncd.demo.tokens import Owner, Tokens, make

TOKEN, TURN = "/oauth/token", "/turn"

# Issued from an hour ago on, half a minute apart: never two in one second, and never in the future (seconds).
PAST, STEP = 3_600, 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: who asked for what (a path), the answer's status, and the error's code."""

    who: str
    path: str
    status: int
    code: str | None


@dataclass(frozen=True, slots=True)
class Issued:
    """Tokens that were given out. `generation` counts from 0."""

    owner: Owner
    generation: int
    tokens: Tokens


@dataclass(slots=True)
class Authority:
    """Every login that was given out, and the log. Thread-safe."""

    log: list[Entry] = field(default_factory=list)
    url: str = ""
    _issued: dict[str, Issued] = field(default_factory=dict)
    _newest: dict[Owner, Issued] = field(default_factory=dict)
    _ended: set[Owner] = field(default_factory=set)
    _clock: int = field(default_factory=lambda: int(time.time()) - PAST)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def issue(self, owner: Owner) -> Issued:
        """The next tokens of this owner; what they had before is spent."""
        with self._lock:
            self._clock += STEP
            before = self._newest.get(owner)
            issued = Issued(owner, before.generation + 1 if before else 0, make(owner, self._clock))
            self._issued[issued.tokens.refresh] = self._newest[owner] = issued
            return issued

    def newest(self, owner: Owner) -> Issued:
        return self._newest[owner]

    def known(self, refresh: str) -> Issued | None:
        """To whom this token was given out, and as which generation."""
        return self._issued.get(refresh)

    def spend(self, who: str, refresh: str) -> tuple[int, dict[str, object]]:
        """One token request: status and body."""
        with self._lock:
            issued = self._issued.get(refresh)
            code = self._refusal(issued)
            self.log.append(Entry(who, TOKEN, 401 if code else 200, code))
            if code or issued is None:
                return 401, {"error": {"code": code}}
            fresh = self.issue(issued.owner).tokens
            names = {"access_token": fresh.access, "refresh_token": fresh.refresh, "id_token": fresh.id_token}
            return 200, {**names, "expires_in": fresh.expires_at - int(time.time())}

    def _refusal(self, issued: Issued | None) -> str | None:
        if issued is None:
            return "invalid_grant"
        if issued.owner in self._ended:
            return "refresh_token_invalidated"
        if issued is not self._newest[issued.owner]:
            self._ended.add(issued.owner)
            return "refresh_token_reused"
        return None

    def turn(self, who: str, access: str) -> tuple[int, dict[str, object]]:
        """One turn of an agent: only the newest access token of a living login is good enough."""
        with self._lock:
            good = any(one.tokens.access == access for owner, one in self._newest.items() if owner not in self._ended)
            self.log.append(Entry(who, TURN, 200 if good else 401, None if good else "token_expired"))
            return (200, {"said": "hi"}) if good else (401, {"error": {"code": "token_expired"}})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, authority: Authority) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.authority = authority


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        who, fields = self.headers.get("user-agent", "-"), _fields(self.headers.get("content-type", ""), body)
        if self.path == TOKEN and fields.get("grant_type") == "refresh_token":
            self._reply(*self.server.authority.spend(who, str(fields.get("refresh_token"))))
        elif self.path == TURN:
            bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
            self._reply(*self.server.authority.turn(who, bearer))
        else:
            self._reply(404, {"error": {"code": "not_found"}})

    def _reply(self, status: int, body: Mapping[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr: the log is `Authority.log`."""


def _fields(kind: str, body: bytes) -> Mapping[str, object]:
    """Codex sends JSON, OpenClaw a form."""
    fields = json.loads(body or b"{}") if kind.startswith("application/json") else dict(parse_qsl(body.decode()))
    return fields if isinstance(fields, dict) else {}


@contextmanager
def serving(authority: Authority) -> Iterator[None]:
    """Answer on a free port of the loopback, named in `authority.url`."""
    with _Server(authority) as server:
        authority.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="authority", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(timeout=2.0)
