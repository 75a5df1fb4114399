"""The conformance suite over OpenClaw's three kinds of stores."""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from syncd.ports import Adapter, Surroundings
from syncd_adapters.openclaw import OpenClaw
from tests.adapters import openclaw_state as claw
from tests.adapters.conformance import Conformance, Login, Sample

COPILOT = {
    "type": "oauth",
    "provider": "github-copilot",
    "access": "fake-a",
    "refresh": "fake-r",
    "expires": 5,
}
KEY = {"type": "api_key", "provider": "openai", "key": "fake-key", "metadata": {"n": 1}}
STRANGERS = {
    "github-copilot:github": COPILOT,
    "openai:key": KEY,
    "x:y": {"type": "new", "deep": [1, 2.5, None]},
}
OWN = ("access", "refresh", "idToken", "accountId", "email", "expires")


class ClawSample(Sample):
    """What the three have in common: the document."""

    slot = "openai:default"

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.state = folder / ".openclaw"

    def adapter(self) -> Adapter:
        return OpenClaw()

    def surroundings(self) -> Surroundings:
        return claw.surroundings(self.home)

    @abstractmethod
    def put(self, content: str | bytes) -> None:
        """Make the store where it is missing, and put the document into it."""

    def plant(self, one: Login) -> None:
        mine = {
            "type": "oauth",
            "provider": "openai",
            "access": one.access,
            "refresh": one.refresh,
            "idToken": one.id_token,
            "expires": int((one.expires_at or 0) * 1000),
            "accountId": one.account_id,
            "displayName": "fäke 😀",
            "x_unknown": {"kept": [1.5, 10**20]},
        }
        self.put(
            json.dumps({"version": 1, "profiles": {**STRANGERS, self.slot: mine}, "order": {"openai": [self.slot]}})
        )

    def plant_raw(self, document: bytes) -> None:
        self.put(document)

    def found(self) -> Login:
        one = json.loads(self.raw())["profiles"][self.slot]
        assert isinstance(one["expires"], int)
        return Login(one["access"], one["refresh"] or None, one.get("idToken"), one["accountId"], one["expires"] / 1000)

    def rest(self) -> object:
        rest = copy.deepcopy(json.loads(self.raw()))
        for key in OWN:
            rest["profiles"][self.slot].pop(key, None)
        return rest

    def aliens(self) -> Mapping[str, bytes]:
        encrypted = {
            "type": "oauth",
            "provider": "openai-codex",
            "oauthRef": {"source": "openclaw-credentials"},
        }
        each = {
            "key": KEY,
            "copilot": COPILOT,
            "token": {"type": "token", "token": "fake"},
            "encrypted": encrypted,
        }
        return {name: json.dumps(claw.only(one)).encode() for name, one in each.items()}

    def malformed(self) -> Mapping[str, bytes]:
        wrong: dict[str, object] = {
            "no profiles": {"version": 1},
            "profiles are a list": {"version": 1, "profiles": []},
            "another version": {"version": 2, "profiles": {self.slot: claw.profile()}},
            "no type": claw.only(claw.profile(type=None)),
            "not an object": claw.only("fake"),
            "no provider": claw.only(claw.profile(provider=None)),
            "a token that is a number": claw.only(claw.profile(refresh=7)),
            "no access token": claw.only(claw.profile(access=None)),
            "a fence of another version": claw.only(claw.profile(refresh="openclaw-oauth-refresh-fence:v2:x")),
        }
        return {name: json.dumps(one).encode() for name, one in wrong.items()}


class JsonSample(ClawSample):
    leaves = frozenset({"auth-profiles.json.lock"})

    @property
    def path(self) -> Path:
        return self.state / "agents" / "main" / "agent" / "auth-profiles.json"

    def put(self, content: str | bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)

    def raw(self) -> bytes:
        return self.path.read_bytes()

    def remove(self) -> None:
        self.path.unlink()

    def locked(self) -> AbstractContextManager[object]:
        return claw.elsewhere(claw.HOLD_LOCK, f"{self.path}.lock")


class RowSample(ClawSample):
    """A row; `remove` takes the row away, as OpenClaw does with its peers."""

    select: str
    delete: str
    insert: str

    @abstractmethod
    def make(self) -> None:
        """The database without the row."""

    def raw(self) -> bytes:
        ((found,),) = claw.run(self.path, self.select)
        assert isinstance(found, bytes)
        return found

    def put(self, content: str | bytes) -> None:
        if not self.path.exists():
            self.make()
        claw.run(self.path, self.delete)
        claw.run(self.path, self.insert, content.encode() if isinstance(content, str) else content)

    def remove(self) -> None:
        claw.run(self.path, self.delete)

    def locked(self) -> AbstractContextManager[object]:
        return claw.elsewhere(claw.HOLD_WRITER, str(self.path))


class AgentSample(RowSample):
    select = "SELECT CAST(store_json AS BLOB) FROM auth_profile_store WHERE store_key = 'primary'"
    delete = "DELETE FROM auth_profile_store WHERE store_key = 'primary'"
    insert = "INSERT INTO auth_profile_store VALUES ('primary', CAST(? AS TEXT), 1)"

    @property
    def path(self) -> Path:
        return self.state / "agents" / "nova" / "agent" / "openclaw-agent.sqlite"

    def make(self) -> None:
        claw.write_agent(self.state, "nova")


class SharedSample(RowSample):
    select = "SELECT CAST(value_json AS BLOB) FROM config_machine_state WHERE state_key = 'authProfiles.store'"
    delete = "DELETE FROM config_machine_state WHERE state_key = 'authProfiles.store'"
    insert = "INSERT INTO config_machine_state VALUES ('authProfiles.store', CAST(? AS TEXT), 1)"

    @property
    def path(self) -> Path:
        return self.state / "state" / "openclaw.sqlite"

    def make(self) -> None:
        claw.write_state(self.state, "2026.9.6", claw.STATE_DB)


class TestJson(Conformance):
    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        return JsonSample(tmp_path)


class TestAgentRow(Conformance):
    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        return AgentSample(tmp_path)


class TestSharedRow(Conformance):
    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        return SharedSample(tmp_path)
