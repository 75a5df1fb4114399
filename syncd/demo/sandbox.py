"""The folder with everything in it: a home with six copies of one login, and what must stay as it is.

`Kept` is the promise "nothing else is touched" as data: a name, and how to read the bytes that must not change.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from syncd.demo.agents import Agent, JsonAgent, SqliteAgent
from syncd.demo.authority import Authority, Issued
from syncd.demo.stores import CodexHome, Document, Store
from syncd.demo.tokens import GUEST, YOU

# What a Python needs to start; everything else of the user's environment (API keys!) stays outside.
INHERITED = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE")

# Which generation of the login each program holds at first: as it looks where nobody looks after it.
COPIES = {"codex": 2, "main": 2, "nova": 1, "rook": 0, "iris": 2, "atlas": 1}

# Codex's own lock files, and SQLite's own side files: they come and go with their programs.
BY_THE_WAY = ("auth.lock", "auth.json.lock", "-wal", "-shm")

GUEST_PROFILE = "openai-codex:guest"


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is not ours: `read` gives its bytes, `before` is what they were."""

    label: str
    read: Callable[[], bytes]
    before: bytes

    def untouched(self) -> bool:
        try:
            return self.read() == self.before
        except (OSError, ValueError, KeyError, sqlite3.Error):
            return False


@dataclass(slots=True)
class Sandbox:
    """`stores`: the copies of the login, by their program's name, Codex first."""

    root: Path
    stores: dict[str, Store] = field(default_factory=dict)
    foreign: list[Kept] = field(default_factory=list)
    keys: list[Kept] = field(default_factory=list)
    rest: list[Kept] = field(default_factory=list)
    _first: frozenset[str] = frozenset()

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def codex(self) -> CodexHome:
        store = self.stores["codex"]
        assert isinstance(store, CodexHome)  # noqa: S101  put there by `_fill`
        return store

    def agent(self, name: str) -> Agent:
        store = self.stores[name]
        assert isinstance(store, Agent)  # noqa: S101  put there by `_fill`
        return store

    def environment(self, token_url: str) -> dict[str, str]:
        """For syncd: every folder that it could write to is in the sandbox, and no program is on its PATH."""
        folders = {"HOME": "home", "TMPDIR": "tmp", "PATH": "empty", "XDG_RUNTIME_DIR": "run"}
        folders |= {f"XDG_{one}_HOME": f"xdg/{one.lower()}" for one in ("CONFIG", "STATE", "DATA", "CACHE")}
        folders |= {"SYNCD_STATE_DIR": "state", "SYNCD_RUNTIME_DIR": "run", "SYNCD_CONFIG": "config.toml"}
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        chosen = {name: str(self.root / folder) for name, folder in folders.items()}
        return {**inherited, **chosen, "SYNCD_TOKEN_URL": token_url, "PYTHONDONTWRITEBYTECODE": "1"}

    def litter(self) -> list[str]:
        """Files in the home that were not there before, and are no program's own."""
        return sorted(name for name in _files(self.home) if not name.endswith(BY_THE_WAY) and name not in self._first)

    def remember(self) -> None:
        """What is here now is what must stay."""
        for store in self.stores.values():
            self.rest.append(_kept(f"what else {store.name} keeps", store.rest))
            self.rest.append(_kept(f"the rights of {store.path.name}", store.rights))
        self._first = frozenset(_files(self.home))


@contextmanager
def sandbox(authority: Authority) -> Iterator[Sandbox]:
    """Build it, and take it away again whatever happens."""
    made = Sandbox(Path(tempfile.mkdtemp(prefix="syncd-demo-")))
    try:
        for name in ("home", "tmp", "empty", "run"):
            (made.root / name).mkdir(mode=0o700)
        _fill(made, authority)
        made.remember()
        yield made
    finally:
        for store in made.stores.values():
            with suppress(Exception):
                store.close()
        try:
            shutil.rmtree(made.root, ignore_errors=True)
        except BaseException:  # an impatient second Ctrl-C
            shutil.rmtree(made.root, ignore_errors=True)
            raise


def _fill(made: Sandbox, authority: Authority) -> None:
    issued = [authority.issue(YOU) for _ in range(1 + max(COPIES.values()))]
    guest = authority.issue(GUEST)
    home = made.home
    made.stores["codex"] = CodexHome("codex", _write(home / ".codex/auth.json", _auth(issued[COPIES["codex"]])))
    for name in ("main", "nova", "rook"):
        profiles: Document = {JsonAgent.profile: _profile("openai-codex", issued[COPIES[name]], x_unknown=[1.5, "é"])}
        if name == "main":
            profiles["openai:key"] = {"type": "api_key", "provider": "openai", "key": "not-a-key"}
        if name == "rook":
            profiles[GUEST_PROFILE] = _profile("openai-codex", guest, displayName="Gäst")
        path = home / f".openclaw/agents/{name}/agent/auth-profiles.json"
        made.stores[name] = JsonAgent(name, _write(path, {"version": 1, "profiles": profiles, "x_unknown": {"a": 1}}))
    for name in ("iris", "atlas"):
        profiles = {SqliteAgent.profile: _profile("openai", issued[COPIES[name]])}
        if name == "iris":
            profiles["github-copilot:default"] = {"type": "token", "provider": "github-copilot", "token": "not-a-key"}
        path = home / f".openclaw-lab/agents/{name}/agent/openclaw-agent.sqlite"
        path.parent.mkdir(parents=True)
        made.stores[name] = agent = SqliteAgent(name, path)
        agent.create({"version": 1, "profiles": profiles})
    _others(made)


def _others(made: Sandbox) -> None:
    """The logins that are not ours to touch."""
    work = _write(made.home / "work/.codex/auth.json", {"auth_mode": "apikey", "OPENAI_API_KEY": "not-a-key"})
    (made.root / "config.toml").write_text(f"[codex]\nhomes = [{json.dumps(str(work.parent))}]\n")
    made.foreign.append(_kept("guest's login in rook", _reader(made.stores["rook"], GUEST_PROFILE)))
    made.keys.append(_kept("the API key in main", _reader(made.stores["main"], "openai:key")))
    made.keys.append(_kept("the Copilot login in iris", _reader(made.stores["iris"], "github-copilot:default")))
    made.keys.append(_kept("the API key in ~/work/.codex", work.read_bytes))


def _kept(label: str, read: Callable[[], bytes]) -> Kept:
    return Kept(label, read, read())


def _reader(store: Store, profile: str) -> Callable[[], bytes]:
    """One profile's own bytes, cut out of whatever its store holds."""

    def read() -> bytes:
        text, key = store.raw().decode(), f"{json.dumps(profile)}:"
        start = text.index("{", text.index(key))
        return text[start : json.JSONDecoder().raw_decode(text, start)[1]].encode()

    return read


def _auth(one: Issued) -> Document:
    tokens = {"id_token": one.tokens.id_token, "access_token": one.tokens.access, "refresh_token": one.tokens.refresh}
    tokens["account_id"] = one.owner.account
    stamp = "2026-01-01T00:00:00.000000000Z"
    return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": stamp, "x_unknown": True}


def _profile(provider: str, one: Issued, **more: object) -> Document:
    login = {"type": "oauth", "provider": provider, "access": one.tokens.access, "refresh": one.tokens.refresh}
    return {**login, "expires": one.tokens.expires_at * 1000, "accountId": one.owner.account} | {
        "email": one.owner.email,
        **more,
    }


def _write(path: Path, document: Document) -> Path:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
    return path


def _files(home: Path) -> list[str]:
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
