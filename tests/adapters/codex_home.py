"""A CODEX_HOME kept by hand, as Codex 0.169 leaves it; shares no code with the adapter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from syncd.ports import Adapter, Surroundings
from syncd_adapters.codex import CodexAdapter
from tests.adapters.conformance import Login, Sample, login

OLD_REFRESH = "2026-11-20T00:15:37.175761486Z"

STRANGERS = {"x_unknown": {"kept": [1.5, 10**20, "é\u2028", None]}, "agent_identity": None}

# What a write may change; the rest must come out as it went in.
OWN = ("access_token", "refresh_token", "id_token", "account_id")

HOLD = """
import fcntl, sys
files = [open(path, "a") for path in sys.argv[1:]]
for each in files:
    fcntl.flock(each, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def auth(one: Login, **changes: object) -> dict[str, object]:
    """The document that Codex writes; a change to None takes the key out."""
    document: dict[str, object] = {
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": None,
        "tokens": {
            "id_token": one.id_token,
            "access_token": one.access,
            "refresh_token": one.refresh,
            "account_id": one.account_id,
            "x_token": ["kept"],
        },
        "last_refresh": OLD_REFRESH,
        **STRANGERS,
    }
    document.update(changes)
    return {key: value for key, value in document.items() if value is not None or key in ("OPENAI_API_KEY", *STRANGERS)}


def text(document: object) -> bytes:
    """Pretty, two spaces, no final newline: Codex's own form."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


@contextmanager
def held(*paths: Path) -> Iterator[None]:
    """Another process holds a flock on each path meanwhile."""
    command = [sys.executable, "-c", HOLD, *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield
        finally:
            other.stdin.close()


class CodexHome(Sample):
    """`~/.codex` under a temporary home."""

    slot = "chatgpt"
    keeps_expiry = False
    leaves = frozenset({"auth.lock", "auth.json.lock"})

    def __init__(self, home: Path) -> None:
        self.home = home
        self.codex = home / ".codex"

    @property
    def path(self) -> Path:
        return self.codex / "auth.json"

    def adapter(self) -> Adapter:
        return CodexAdapter()

    def surroundings(self) -> Surroundings:
        return Surroundings(env={}, home=self.home)

    def put(self, document: object) -> None:
        self.plant_raw(text(document))

    def plant(self, one: Login) -> None:
        self.put(auth(one))

    def plant_raw(self, document: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(document)

    def raw(self) -> bytes:
        return self.path.read_bytes()

    def document(self) -> dict[str, object]:
        found = json.loads(self.raw())
        assert isinstance(found, dict)
        return found

    def tokens(self) -> dict[str, str]:
        tokens = self.document()["tokens"]
        assert isinstance(tokens, dict)
        return tokens

    def remove(self) -> None:
        self.path.unlink()

    def found(self) -> Login:
        tokens = self.tokens()
        return Login(tokens["access_token"], tokens["refresh_token"] or None, tokens["id_token"], tokens["account_id"])

    def rest(self) -> object:
        document = self.document()
        tokens = {key: value for key, value in self.tokens().items() if key not in OWN}
        changes = {"tokens": tokens, "last_refresh": None}
        return [*document], {**document, **changes}, [*self.tokens()], self.raw()[-1:]

    def aliens(self) -> Mapping[str, bytes]:
        one = login("one")
        documents = {
            "an API key": {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-fake"},
            "an API key beside tokens, no mode": auth(one, auth_mode=None, OPENAI_API_KEY="sk-fake"),
            "a personal access token": auth(one, auth_mode=None, personal_access_token="at-fake"),
            "a Bedrock key": auth(one, auth_mode=None, bedrock_api_key={"fake": 1}),
            **{
                mode: auth(one, auth_mode=mode)
                for mode in (
                    "headers",
                    "agentIdentity",
                    "personalAccessToken",
                    "bedrockApiKey",
                    "bedrockAccessKeys",
                    "of a later version",
                )
            },
        }
        return {name: text(document) for name, document in documents.items()}

    def malformed(self) -> Mapping[str, bytes]:
        one = login("one")
        tokens = {"id_token": one.id_token, "access_token": one.access, "refresh_token": one.refresh}
        wrong: dict[str, object] = {
            "a mode that is a number": auth(one, auth_mode=1),
            "tokens in a list": auth(one, tokens=[]),
            "a date that is a number": auth(one, last_refresh=5),
            "a date that is none": auth(one, last_refresh="yesterday"),
            "a key that is an object": auth(one, OPENAI_API_KEY={}),
            "an id token that is no JWT": auth(one, tokens={**tokens, "id_token": "fake"}),
            "an empty access token": auth(one, tokens={**tokens, "access_token": ""}),
        }
        for key in tokens:
            wrong[f"no {key}"] = auth(one, tokens={name: value for name, value in tokens.items() if name != key})
            wrong[f"{key} is a number"] = auth(one, tokens={**tokens, key: 7})
        wrong["an account that is a number"] = auth(one, tokens={**tokens, "account_id": 7})
        return {name: text(document) for name, document in wrong.items()}

    @contextmanager
    def locked(self) -> Iterator[None]:
        with held(self.codex / "auth.json.lock"):
            yield
