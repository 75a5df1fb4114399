"""The scenes that are played twice: without syncd, where a login is lost, and with it, where it lives.

One machine, one sign-in, a copy of it in a Codex home and in every OpenClaw state root. The names under which
the clients appear in the authority's journal are `codex` and `openclaw`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.real.world import homes, templates
from tests.real.world.answers import PONG
from tests.real.world.clients import Codex, OpenClaw
from tests.real.world.control import HOUR_S
from tests.real.world.homes import JSON_ERA, StateRoot
from tests.real.world.sandbox import Sandbox
from tests.real.world.stores import CodexFile, Store
from tests.real.world.tokens import Credential

CODEX = "codex"


@dataclass(frozen=True, slots=True)
class Scene:
    """A machine on which everybody holds the first credential of one sign-in."""

    box: Sandbox
    first: Credential
    codex: CodexFile
    roots: tuple[StateRoot, ...]

    @property
    def stores(self) -> tuple[Store, ...]:
        """Every store that a client really reads."""
        return (self.codex, *(store for root in self.roots for store in root.live))

    @property
    def newest(self) -> Credential:
        """The only credential that the authority would still rotate."""
        return self.box.authority.newest(self.first)

    @property
    def requests(self) -> list[tuple[str, str]]:
        """Who asked the authority for tokens, and what became of it."""
        return [(entry.who, entry.result) for entry in self.box.authority.journal("token")]

    def turns(self, who: str) -> list[tuple[str, int | None]]:
        """What became of the turns of this client, and with which generation it came."""
        entries = self.box.authority.journal("turn")
        return [(entry.result, entry.generation) for entry in entries if entry.who == who]

    def store(self, client: str) -> Store:
        """The store that this client reads first: `codex`, or an OpenClaw version."""
        return self.codex if client == CODEX else self.root(client).live[0]

    def root(self, version: str) -> StateRoot:
        return next(root for root in self.roots if root.version == version)

    def answers(self, client: str) -> bool:
        """One turn of this client, by a process that starts for it."""
        if client == CODEX:
            return PONG in Codex(self.box).exec().out
        with OpenClaw(self.box, self.root(client)).worker() as worker:
            return worker.answer("main").ok


def signed_in(box: Sandbox, *versions: str, first_lifetime_s: int = HOUR_S, lifetime_s: int = HOUR_S) -> Scene:
    """The scene with a state root for each of these OpenClaw versions, the first of them the default one."""
    first = box.authority.sign_in(first_lifetime_s=first_lifetime_s, lifetime_s=lifetime_s)
    names = (".openclaw", *(f".openclaw-{version}" for version in versions[1:]))
    roots = tuple(
        homes.json_root(box.home / name, first)
        if version == JSON_ERA
        else templates.sqlite_root(box.home / name, version, first)
        for name, version in zip(names, versions, strict=False)
    )
    return Scene(box, first, homes.codex_home(box.codex_home, box.authority, first), roots)
