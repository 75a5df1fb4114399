"""syncd as a person runs it: a process in the sandbox, known only by its command line and its status.

A test that has ended has also shown that syncd lived to the end of it, left when asked to, and printed no
token.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.real.world.control import REPOSITORY
from tests.real.world.processes import Finished, end_group, run
from tests.real.world.sandbox import Sandbox
from tests.real.world.tokens import Credential, encode
from tests.real.world.waits import until

START_S = 60.0
STATUS_S = 30.0
# A refresh that is in flight when syncd is asked to leave may take 30 s, and is finished first.
LEAVE_S = 60.0
SHORT = 8
TAIL = 4000
# The whole configuration. Every test here leaves a credential that has run out to the client whose refresh it
# is about, and an empty file is what says so as long as syncd spends nothing itself.
CONFIG = ""
# How every fake token begins: the refresh tokens by name, the JWTs by their header.
TOKEN_STARTS = ("fake-refresh-", encode({"alg": "none", "typ": "JWT"}))


class Syncd:
    """One running `syncd run`, in the background of a test."""

    def __init__(self, box: Sandbox, child: subprocess.Popen[bytes], log: Path) -> None:
        self._box, self._child, self._log = box, child, log

    def status(self) -> dict[str, Any]:
        """`status --json`."""
        done = command(self._box, "status", "--json")
        try:
            return dict(json.loads(done.out))
        except json.JSONDecodeError:
            raise AssertionError(f"status --json gave no JSON\n{done}\n{self.said()}") from None

    @property
    def running(self) -> bool:
        assert self._child.poll() is None, f"syncd ended with {self._child.returncode}\n{self.said()}"
        return self.status()["daemon"]["running"] is True

    def heads(self) -> list[str | None]:
        """The first 8 hex digits of the newest refresh token, an account each."""
        return [account["head"] for account in self.status()["accounts"]]

    def seen_at(self, root: Path) -> list[str]:
        """When each store below this folder was last seen to hold what it holds."""
        stores = [store for account in self.status()["accounts"] for store in account["stores"]]
        return [store["seenAt"] for store in stores if store["path"].startswith(str(root))]

    def expect_head(self, credential: Credential, timeout_s: float = START_S) -> None:
        """Waits until this credential is the head of the one account there is."""
        short = credential.fingerprint[:SHORT]
        try:
            until(f"{short} is the head", lambda: self.heads() == [short], timeout_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{json.dumps(self.status(), indent=1)}\n{self.said()}") from None

    def said(self) -> str:
        return f"--- syncd said\n{self._log.read_text(errors='replace')[-TAIL:]}"

    def leave(self) -> None:
        """TERM, and what a daemon owes its user then: to go, with nothing secret said."""
        assert self._child.poll() is None, f"syncd ended with {self._child.returncode}\n{self.said()}"
        os.kill(self._child.pid, signal.SIGTERM)
        try:
            self._child.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"syncd did not leave within {LEAVE_S} s\n{self.said()}") from None
        leaked = [start for start in TOKEN_STARTS if start in self._log.read_text(errors="replace")]
        assert not leaked, f"syncd printed a token: {leaked}"


@contextmanager
def syncd(box: Sandbox) -> Iterator[Syncd]:
    """`syncd run --yes` until the end of the block."""
    settings(box).write_text(CONFIG)
    log = box.root / "syncd.log"
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "syncd", "run", "--yes"],
            env=environment(box),
            cwd=box.work,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    daemon = Syncd(box, child, log)
    try:
        until("syncd is running", lambda: daemon.running, START_S)
        yield daemon
        daemon.leave()
    finally:
        end_group(child.pid)
        child.wait(LEAVE_S)


def command(box: Sandbox, *arguments: str) -> Finished:
    """Any other syncd command, from start to end."""
    whole = [sys.executable, "-m", "syncd", *arguments]
    return run(whole, env=environment(box), cwd=box.work, timeout_s=STATUS_S)


def settings(box: Sandbox) -> Path:
    return box.root / "syncd.toml"


def environment(box: Sandbox) -> Mapping[str, str]:
    """The sandbox's, the authority in the place of the token endpoint, and syncd's own folders."""
    base = box.authority.url("syncd")
    return {
        **box.environment("syncd"),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "adapters"))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SYNCD_CONFIG": str(settings(box)),
        "SYNCD_STATE_DIR": str(box.root / "syncd"),
        "SYNCD_RUNTIME_DIR": str(box.root / "run/syncd"),
        "SYNCD_TOKEN_URL": f"{base}/oauth/token",
        "CODEX_REFRESH_TOKEN_URL_OVERRIDE": f"{base}/oauth/token",
        "CODEX_REVOKE_TOKEN_URL_OVERRIDE": f"{base}/oauth/revoke",
    }
