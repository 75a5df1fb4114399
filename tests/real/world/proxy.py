"""The only way out for OpenClaw: a CONNECT proxy that ends TLS itself and asks the authority.

Run as a process of its own (`python -m tests.real.world.proxy AUTHORITY_PORT FOLDER`); it prints
`{"port": N, "ca": PATH}` and serves until its stdin ends. OpenAI's hosts are answered by the authority, all
others with 403: no real provider can be reached through it. The proxy user name is the tag that names the
caller in the authority's journal, so the journal says WHO spent a token.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.real.world.certificates import DOMAINS, Certificates, make

# Longer than a reply can be held by the authority.
FORWARD_TIMEOUT_S = 180
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "host", "keep-alive", "proxy-connection"}


class Handler(BaseHTTPRequestHandler):
    """One connection: CONNECT first, then, inside TLS, the requests themselves."""

    protocol_version = "HTTP/1.1"
    timeout = 300
    server: Proxy
    tag = "nobody"

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        self.tag = tag_of(self.headers.get("proxy-authorization", ""))
        if not any(host == domain or host.endswith(f".{domain}") for domain in DOMAINS):
            self.send_error(403, f"{host} is not part of this world")
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        try:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        except OSError:
            self.close_connection = True
            return
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
        self.close_connection = False

    def do_GET(self) -> None:
        self.forward()

    def do_POST(self) -> None:
        self.forward()

    def forward(self) -> None:
        """One request inside TLS, to the authority and back, whole."""
        if not isinstance(self.request, ssl.SSLSocket):
            self.send_error(403, "only CONNECT is offered")
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.authority, timeout=FORWARD_TIMEOUT_S)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            upstream.request(self.command, f"/from/{self.tag}{self.path}", body, headers)
            answer = upstream.getresponse()
            self.back(answer.status, answer.getheader("content-type", ""), answer.read())
        finally:
            upstream.close()

    def back(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the authority's journal is the log."""


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, authority: int, certificates: Certificates) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.authority = authority
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificates.server, certificates.key)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


def tag_of(authorization: str) -> str:
    """The user name of `Basic ...`, which is all that the clients can be made to say about themselves."""
    if not authorization.startswith("Basic "):
        return "nobody"
    return base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")[0]


def main() -> None:
    certificates = make(Path(sys.argv[2]))
    proxy = Proxy(int(sys.argv[1]), certificates)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    ready = {"port": proxy.server_port, "ca": str(certificates.authority)}
    print(json.dumps(ready), flush=True)  # noqa: T201 - read by whoever started it
    sys.stdin.read()


if __name__ == "__main__":
    main()
