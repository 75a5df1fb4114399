"""A test's hold on the authority and the proxy: starts both, turns the knobs, reads the journal."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.real.world.journal import Entry, Kind, Route
from tests.real.world.processes import Talker
from tests.real.world.tokens import Account, Credential

Json = dict[str, Any]
REPOSITORY = Path(__file__).parents[3]
READY_S = 30.0
CONTROL_TIMEOUT_S = 60.0
HOUR_S = 3600
# Past its `exp`, so that a client has to refresh before it can do anything.
EXPIRED_S = -60


class Authority:
    """The authority of one test, reached over loopback."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, who: str) -> str:
        """The base URL for a caller that needs no proxy; `who` is its name in the journal."""
        return f"http://127.0.0.1:{self.port}/from/{who}"

    def sign_in(
        self, *, first_lifetime_s: int = HOUR_S, lifetime_s: int = HOUR_S, account: Account | None = None
    ) -> Credential:
        """A new family, issued an hour ago. The first access token ends in `first_lifetime_s` (below zero:
        it has ended already), those of later generations `lifetime_s` after their mint."""
        said = {"first_lifetime_s": first_lifetime_s, "lifetime_s": lifetime_s, "age_s": HOUR_S}
        return Credential(**self._ask("sign-in", **said, account=asdict(account or Account())))

    def spend(self, credential: Credential, who: str = "elsewhere") -> Credential:
        """A refresh by a client that is none of the real programs; its successor."""
        form = {"grant_type": "refresh_token", "refresh_token": credential.refresh}
        post(f"{self.url(who)}/oauth/token", form)
        return self.newest(credential)

    def refuse_access(self, credential: Credential) -> None:
        """The server's own decision to answer 401 to a token whose `exp` is still to come."""
        self._ask("refuse-access", access=credential.access)

    def newest(self, credential: Credential) -> Credential:
        """The newest member of the family of this credential: the only one that can still be spent."""
        return Credential(**self._ask("newest", refresh=credential.refresh))

    def fail_next(self, route: Route, *, status: int, count: int = 1, spend: bool = False) -> None:
        """The next requests of this route fail; with `spend` the token is gone all the same."""
        self._ask("fail", route=route, status=status, count=count, spend=spend)

    @contextmanager
    def held(self, route: Route) -> Iterator[None]:
        """Requests of this route arrive and count, but their replies wait for the end of the block."""
        self._ask("hold", route=route)
        try:
            yield
        finally:
            self._ask("release", route=route)

    def journal(self, kind: Kind | None = None) -> list[Entry]:
        """All that arrived so far, oldest first."""
        return [one for one in self._entries(0, 0.0) if kind in (None, one.kind)]

    def arrival(self, kind: Kind, timeout_s: float = CONTROL_TIMEOUT_S / 2) -> Entry:
        """The first request of this kind, waited for."""
        seen: list[Entry] = []
        while more := self._entries(len(seen), timeout_s, at_least=1):
            seen += more
            for one in more:
                if one.kind == kind:
                    return one
        raise AssertionError(f"no {kind} request arrived; the journal: {seen}")

    def _entries(self, index: int, timeout_s: float, at_least: int = 0) -> list[Entry]:
        said = {"index": index, "at_least": at_least, "timeout_s": timeout_s}
        return [Entry(**one) for one in self._ask("log", **said)]

    def _ask(self, control: str, **said: Any) -> Any:
        return post(f"http://127.0.0.1:{self.port}/control/{control}", said)["result"]


def post(url: str, body: Json) -> Json:
    """JSON to a loopback URL and back, past any proxy of the machine."""
    request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=CONTROL_TIMEOUT_S) as reply:
        return dict(json.load(reply))


@contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    """A new authority that knows nobody, in a process of its own."""
    with child("authority", folder) as talker:
        yield Authority(int(talker.hear(READY_S)["port"]))


@contextmanager
def proxy(behind: Authority, folder: Path) -> Iterator[tuple[int, Path]]:
    """The proxy in front of this authority: its port, and the CA that its clients have to trust."""
    with child("proxy", folder, str(behind.port), str(folder)) as talker:
        ready = talker.hear(READY_S)
        yield int(ready["port"]), Path(ready["ca"])


@contextmanager
def child(module: str, folder: Path, *arguments: str) -> Iterator[Talker]:
    command = [sys.executable, "-m", f"tests.real.world.{module}", *arguments]
    env = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    talker = Talker(command, env=env, cwd=REPOSITORY, log=folder / f"{module}.log")
    try:
        yield talker
    finally:
        talker.stop()
