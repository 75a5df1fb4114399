"""Builds what the real programs find on disk: a Codex home, and OpenClaw state roots of three eras.

The JSON era (2026.4.26) is written by hand: five agents with the same credential, as its sign-in leaves them.
The SQLite eras are made the way the product makes them: that JSON, then the real `openclaw doctor --fix`
(`templates`). Which slot is live in which era is written down once, in `ERAS`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.real.world.control import Authority
from tests.real.world.stores import CodexFile, ProfilesFile, ProfilesRow, Store
from tests.real.world.tokens import Credential

AGENTS = ("main", "atlas", "nova", "iris", "echo")
JSON_ERA, FIRST_SQLITE, SHARED_SQLITE = "2026.4.26", "2026.6.11", "2026.9.6"
# The provider's name in the era, which is also the first half of its slot.
ERAS = {JSON_ERA: "openai-codex", FIRST_SQLITE: "openai", SHARED_SQLITE: "openai"}
# A model that 2026.9.6 still knows, answered by OpenClaw itself: left alone, `doctor` hands it to a Codex
# runtime. The JSON era knows neither, and takes a config with a key that it does not know for no config.
OWN_MODEL = {"openai/gpt-5.6-terra": {"agentRuntime": {"id": "openclaw"}}}
OLD_MODEL: dict[str, dict[str, dict[str, str]]] = {"openai-codex/gpt-5.4": {}}
# Nothing listens there: `doctor` asks the gateway how it is, and must not find a real one.
DISCARD_PORT = 9


@dataclass(frozen=True, slots=True)
class StateRoot:
    """One OpenClaw state root, at one version."""

    path: Path
    version: str

    @property
    def provider(self) -> str:
        return ERAS[self.version]

    @property
    def slot(self) -> str:
        return f"{self.provider}:default"

    def agent(self, name: str) -> Path:
        return self.path / "agents" / name / "agent"

    def json_store(self, agent: str) -> ProfilesFile:
        """The agent's JSON file: its store in the JSON era, a stray afterwards."""
        return ProfilesFile(self.agent(agent) / "auth-profiles.json", self.slot)

    @property
    def live(self) -> tuple[Store, ...]:
        """The stores that this version really reads."""
        match self.version:
            case "2026.4.26":
                return tuple(self.json_store(agent) for agent in AGENTS)
            case "2026.6.11":
                database, key = self.agent("main") / "openclaw-agent.sqlite", ("store_key", "primary")
                return (ProfilesRow(database, "auth_profile_store", key, "store_json", self.slot),)
            case _:
                database, key = self.path / "state/openclaw.sqlite", ("state_key", "authProfiles.store")
                return (ProfilesRow(database, "config_machine_state", key, "value_json", self.slot),)


def codex_home(path: Path, authority: Authority, credential: Credential) -> CodexFile:
    """A Codex home that is signed in, and whose model provider is the authority."""
    base = f"{authority.url('codex')}/backend-api"
    (path / "config.toml").write_text(
        dedent(f"""\
            model = "gpt-5.4"
            model_provider = "loop"
            cli_auth_credentials_store = "file"
            chatgpt_base_url = "{base}"
            check_for_update_on_startup = false
            [model_providers.loop]
            name = "loop"
            base_url = "{base}/codex"
            wire_api = "responses"
            requires_openai_auth = true
            supports_websockets = false
            [analytics]
            enabled = false
            [features]
            plugins = false
            apps = false
            """)
    )
    store = CodexFile(path / "auth.json")
    store.put(credential)
    return store


def json_root(path: Path, credential: Credential, version: str = JSON_ERA) -> StateRoot:
    """Five agents, each with the credential in a JSON file of its own."""
    root = StateRoot(path, version)
    before = StateRoot(path, JSON_ERA)
    for agent in AGENTS:
        before.agent(agent).mkdir(parents=True, mode=0o700)
        before.json_store(agent).put(credential)
    models = OLD_MODEL if version == JSON_ERA else OWN_MODEL
    defaults = {"model": {"primary": next(iter(models))}, "models": models}
    config = {
        "gateway": {"mode": "local", "port": DISCARD_PORT},
        "agents": {"defaults": defaults, "list": [{"id": agent} for agent in AGENTS]},
    }
    (path / "openclaw.json").write_text(json.dumps(config, indent=2) + "\n")
    return root
