"""A loopback token authority: what OpenAI's servers are to Codex and OpenClaw, as far as a login goes.

Run as a process of its own (`python -m tests.real.world.authority`); it prints `{"port": N}` and serves until
its stdin ends, so it cannot outlive the test that started it. Callers name themselves by a path prefix,
`/from/<who>/...`; the proxy puts it there for those that cannot. `/control/...` is the test's side.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.real.world.answers import MODELS, pong
from tests.real.world.routes import Routes

Json = dict[str, Any]
JSON_TYPE = "application/json"


class Handler(BaseHTTPRequestHandler):
    """One connection; bodies are small and replies are written whole."""

    protocol_version = "HTTP/1.1"
    timeout = 300
    server: Server

    def do_GET(self) -> None:
        who, path = self.caller()
        if path.startswith("/backend-api/codex/models"):
            self.reply(200, JSON_TYPE, json.dumps(MODELS).encode())
        else:
            self.unknown(who, path)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        who, path = self.caller()
        routes = self.server.routes
        if path.startswith("/control/"):
            control = routes.controls[path.removeprefix("/control/")]
            self.reply_json(200, {"result": control(**json.loads(body))})
        elif path == "/oauth/token":
            self.reply_json(*routes.token(who, parse(body)))
        elif path == "/oauth/revoke":
            routes.revoke(who, parse(body))
            self.reply_json(200, {})
        elif path == "/backend-api/codex/responses":
            bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
            if routes.turn(who, bearer):
                self.reply(200, "text/event-stream", pong())
            else:
                self.reply_json(401, {"error": {"code": "token_expired", "message": "unauthorized"}})
        else:
            self.unknown(who, path)

    def caller(self) -> tuple[str, str]:
        """Who asks, and for what: `/from/<who>` is taken off the path, and so is the query."""
        path = self.path.partition("?")[0]
        if not path.startswith("/from/"):
            return "nobody", path
        who, _, rest = path.removeprefix("/from/").partition("/")
        return who, f"/{rest}"

    def unknown(self, who: str, path: str) -> None:
        self.server.routes.other(who, f"{self.command} {path}")
        self.reply_json(404, {"error": {"code": "not_found", "message": path}})

    def reply_json(self, status: int, body: Json) -> None:
        self.reply(status, JSON_TYPE, json.dumps(body).encode())

    def reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the journal is the log."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.routes = Routes()


def parse(body: bytes) -> Json:
    """A token request: JSON as Codex sends it, a form as OpenClaw does."""
    text = body.decode()
    return dict(json.loads(text)) if text.startswith("{") else dict(parse_qsl(text))


def main() -> None:
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)  # noqa: T201 - read by whoever started it
    sys.stdin.read()


if __name__ == "__main__":
    main()
