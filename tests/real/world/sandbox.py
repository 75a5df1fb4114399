"""The environment of every real program: a home of its own, no inherited key, loopback as the whole network.

The environment is built from nothing, never filtered from the test's own. Three fences keep a fake token away
from a real provider: both clients are given the proxy, which refuses foreign hosts; Codex and syncd are given
the authority's URLs outright; and Node resolves no name but localhost (`loopback_only.cjs`), because one
OpenClaw version looks a host up and goes there past the proxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.world.control import Authority, authority, proxy

GUARD = Path(__file__).with_name("loopback_only.cjs")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One machine's worth of folders under a temporary root, and the authority that its programs talk to."""

    root: Path
    authority: Authority
    proxy_port: int
    ca: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def codex_home(self) -> Path:
        return self.home / ".codex"

    @property
    def work(self) -> Path:
        """An empty folder to run things in."""
        return self.root / "work"

    def environment(self, who: str) -> dict[str, str]:
        """What a program sees; `who` names it in the authority's journal."""
        proxy_url = f"http://{who}:x@127.0.0.1:{self.proxy_port}"
        bare = "127.0.0.1,localhost"
        return {
            "PATH": SYSTEM_PATH,
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "CI": "1",
            "HOME": str(self.home),
            "TMPDIR": str(self.root / "tmp"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_DATA_HOME": str(self.home / ".local/share"),
            "XDG_STATE_HOME": str(self.home / ".local/state"),
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "CODEX_HOME": str(self.codex_home),
            "HTTP_PROXY": proxy_url,
            "HTTPS_PROXY": proxy_url,
            "NO_PROXY": bare,
            "http_proxy": proxy_url,
            "https_proxy": proxy_url,
            "no_proxy": bare,
            "SSL_CERT_FILE": str(self.ca),
            "NODE_EXTRA_CA_CERTS": str(self.ca),
            "NODE_USE_ENV_PROXY": "1",
            "NODE_OPTIONS": f"--require={GUARD}",
        }


@contextmanager
def sandbox(root: Path) -> Iterator[Sandbox]:
    """An empty machine with its own authority and proxy; both end with the block."""
    for folder in ("home/.codex", "home/.config", "tmp", "run", "work", "world"):
        (root / folder).mkdir(parents=True, mode=0o700)
    with authority(root / "world") as server, proxy(server, root / "world") as (port, ca):
        yield Sandbox(root, server, port, ca)
