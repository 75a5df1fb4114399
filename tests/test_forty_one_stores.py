"""Codex rotates once, and every store of every era has it: 20 JSON agents, 20 SQLite ones, a shared row; no other has.

The stores are read here by json and sqlite3 alone, and compared byte for byte: what a store must hold afterwards is its
old text with three values replaced.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import fake
from tests.adapters import codex_home, openclaw_state
from tests.adapters.conformance import Login
from tests.sandbox import Document, Sandbox, rewrite_by_rename, rewrite_in_place

AGENTS = 20
ROW = "SELECT store_json FROM auth_profile_store WHERE store_key = 'primary'"
SHARED = "SELECT value_json FROM config_machine_state WHERE state_key = 'authProfiles.store'"
MODES = (0o600, 0o640, 0o644)


@dataclass
class Household:
    """The stores of one login, and all that is none of syncd's business."""

    box: Sandbox
    files: list[Path] = field(default_factory=list)
    rows: dict[Path, str] = field(default_factory=dict)
    strangers: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.foreign = self.box.login("foreign", account=f"{self.box.account}-foreign")

    def document(self, one: Login, number: int) -> Document:
        """A store as people have it: other logins beside ours, and keys that only its own version knows."""
        copilot = {"type": "oauth", "provider": "github-copilot", "access": "fake-copilot", "refresh": "fake-copilot"}
        return {
            "version": 1,
            "x_unknown": {"kept": [1.5, 10**20, "é\u2028", None]},
            "profiles": {
                "anthropic:key": {"type": "api_key", "provider": "anthropic", "key": f"sk-fake-{number}"},
                "openai:default": self.box.profile(one, x_profile=[number], idToken=one.id_token),
                "openai:foreign": self.box.profile(self.foreign),
                "copilot:default": copilot,
            },
            "order": {"openai": ["openai:default"]},
        }

    def furnish(self, one: Login) -> None:
        json_root, sqlite_root, shared_root = (self.box.home / f".openclaw{end}" for end in ("", "-six", "-nine"))
        for number in range(AGENTS):
            self._json_agent(json_root, f"agent{number}", one, number)
            self._sqlite_agent(sqlite_root, f"agent{number}", one, number)
        database = openclaw_state.write_state(shared_root, "2026.9.6", openclaw_state.STATE_DB)
        row = compact(self.document(one, 2 * AGENTS))
        openclaw_state.run(database, "INSERT INTO config_machine_state VALUES ('authProfiles.store', ?, 1)", row)
        self.rows[database] = SHARED
        self._strange_ones(one, json_root, sqlite_root, shared_root)

    def _json_agent(self, root: Path, name: str, one: Login, number: int) -> None:
        path = openclaw_state.agent_folder(root, name) / "auth-profiles.json"
        path.write_text(json.dumps(self.document(one, number), indent=2, ensure_ascii=False) + "\n")
        path.chmod(MODES[number % len(MODES)])
        self.files.append(path)
        state = path.with_name("auth-state.json")
        state.write_text(json.dumps({"lastGood": {"openai": "openai:default"}, "refresh": fake.refresh("decoy")}))
        self.strangers.append(state)

    def _sqlite_agent(self, root: Path, name: str, one: Login, number: int) -> None:
        path = openclaw_state.write_agent(root, name, wal=number % 2 == 0)
        openclaw_state.run(
            path, "INSERT INTO auth_profile_store VALUES ('primary', ?, 1)", compact(self.document(one, number))
        )
        path.chmod(MODES[number % len(MODES)])
        self.rows[path] = ROW

    def _strange_ones(self, one: Login, json_root: Path, sqlite_root: Path, shared_root: Path) -> None:
        """Foreign accounts, and stores that their OpenClaw ignores."""
        foreign = self.box.login("stranger", account=f"{self.box.account}-stranger")
        openclaw_state.write_state(sqlite_root, None, ddl=openclaw_state.DECOYS)
        self.strangers += [
            self.box.agent("stranger", foreign, json_root),
            self.box.agent("agent3", one, sqlite_root),
            self.box.agent("main", one, shared_root),
            self.box.agent("main", one, self.box.home / ".clawdbot"),
            self.box.codex_login(foreign, self.box.home / "unasked" / ".codex"),
        ]

    def texts(self) -> dict[Path, str]:
        """What every one of the 41 stores holds, whole."""
        return {path: path.read_bytes().decode() for path in self.files} | {
            path: cell_of(path, select) for path, select in self.rows.items()
        }


def compact(document: Document) -> str:
    """As Node writes it."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def cell_of(path: Path, select: str) -> str:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        ((cell,),) = connection.execute(select).fetchall()
    assert isinstance(cell, str)
    return cell


def rest_of(path: Path) -> list[str]:
    """All of a database but the row of logins, in SQL; its journal mode too."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        return [mode, *(line for line in connection.iterdump() if '"profiles"' not in line)]


def standing(path: Path) -> tuple[int, int, int, bytes]:
    """Inode, mode, time and bytes: of a file that nobody may even have rewritten."""
    found = path.stat()
    return found.st_ino, found.st_mode, found.st_mtime_ns, path.read_bytes()


def rotated(text: str, old: Login, new: Login) -> str:
    """The store's text after the rotation, made without syncd."""
    for was, becomes in (
        (old.access, new.access),
        (old.refresh, new.refresh),
        (old.id_token, new.id_token),
        (f"{int((old.expires_at or 0) * 1_000)}", f"{int((new.expires_at or 0) * 1_000)}"),
    ):
        assert was is not None
        assert becomes is not None
        assert text.count(was) == 1
        text = text.replace(was, becomes)
    return text


@pytest.mark.parametrize("rewrite", [rewrite_in_place, rewrite_by_rename])
def test_one_rotation_reaches_forty_one_stores_and_nothing_else(
    sandbox: Sandbox, rewrite: Callable[[Path, bytes], None]
) -> None:
    old, new = sandbox.login("one", age=600, lifetime=36_000), sandbox.login("two", age=30, lifetime=40_000)
    house = Household(sandbox)
    house.furnish(old)
    sandbox.codex_login(old)
    before, strangers = house.texts(), {path: standing(path) for path in house.strangers}
    modes = {path: path.stat().st_mode for path in before}
    rests = {path: rest_of(path) for path in house.rows}
    with sandbox.daemon() as daemon:
        assert house.texts() == before  # nothing was due, so nothing was written
        written = codex_home.text(codex_home.auth(new))
        rewrite(sandbox.auth, written)
        expected = {path: rotated(text, old, new) for path, text in before.items()}
        daemon.until("all 41 stores hold the new login", lambda: house.texts() == expected)
        assert len(expected) == 41
        assert sandbox.auth.read_bytes() == written
        daemon.until_said("mirrored ")
        states = [
            store["state"]
            for account in daemon.status()["accounts"]
            for store in account["stores"]
            if store["fingerprint"]
        ]
    assert {path: standing(path) for path in house.strangers} == strangers
    assert {path: path.stat().st_mode for path in before} == modes
    assert {path: rest_of(path) for path in house.rows} == rests
    assert sandbox.litter() == []
    assert states.count("behind") == 0


def test_what_is_left_alone_is_listed_and_says_why(sandbox: Sandbox) -> None:
    old = sandbox.login("one")
    Household(sandbox).furnish(old)
    sandbox.codex_login(old)
    status = sandbox.run("status", "--json").json()
    slots = [(store["label"], store["slot"], store) for one in status["accounts"] for store in one["stores"]]
    found = {(label, slot): (store["state"], store["reason"]) for label, slot, store in slots}
    assert found["agent3", "openai:default"] == ("current", None)
    assert found["agent3 (json) @.openclaw-six", "openai:default"] == (
        "ignored",
        "this OpenClaw keeps its logins in SQLite and does not read this file",
    )
    assert found["main @.openclaw-nine", "openai:default"] == (
        "ignored",
        "OpenClaw 2026.9.6 keeps its logins in SQLite and does not read this file",
    )
    assert found["main @.clawdbot", "openai:default"] == (
        "ignored",
        "OpenClaw uses ~/.openclaw instead of this folder",
    )
    assert found["agent7", "anthropic:key"] == ("foreign", "an API key")
    assert found["agent7", "copilot:default"] == ("foreign", "unsupported provider github-copilot")
    assert found["shared @.openclaw-nine", "openai:default"] == ("current", None)
    logins = [one for one in status["accounts"] if one["state"] != "none"]
    assert sorted(len(one["stores"]) for one in logins) == [1, 41, 45]
