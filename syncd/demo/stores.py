"""What every store has in common, and Codex's: `auth.json`, written in place up to 0.164 and by rename from 0.169.

Shares no code with syncd's adapters, so that one fault cannot make both agree.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from syncd.demo.tokens import Owner, Tokens, fingerprint

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """What a program finds in its store."""

    access: str
    refresh: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.refresh)

    def has(self, tokens: Tokens) -> bool:
        return (self.access, self.refresh) == (tokens.access, tokens.refresh)


class Store(ABC):
    """One copy of the login. `name` is its program's, `kind` how it is kept."""

    kind: ClassVar[str]

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    @abstractmethod
    def raw(self) -> bytes:
        """Everything it holds, as it stands. Raises OSError, sqlite3.Error."""

    @abstractmethod
    def restore(self, raw: bytes) -> None:
        """Put an old state back, as a backup does."""

    @abstractmethod
    def login(self, document: Document) -> Document:
        """The part of its document that is the login."""

    @abstractmethod
    def held(self) -> Held | None:
        """The login; None while it is being written."""

    @abstractmethod
    def put(self, tokens: Tokens, owner: Owner | None = None) -> None:
        """Save new tokens as its program does; of another account, where an owner is given."""

    def document(self) -> Document:
        document: Document = json.loads(self.raw())
        return document

    def rest(self) -> bytes:
        """Everything but the login, byte for byte."""
        document = self.document()
        document.pop("last_refresh", None)
        login = self.login(document)
        for name in ("access", "refresh", "expires", "access_token", "refresh_token", "id_token", "idToken"):
            login.pop(name, None)
        return json.dumps(document, ensure_ascii=False).encode()

    def rights(self) -> bytes:
        """The mode of its file."""
        return f"{self.path.stat().st_mode:o}".encode()

    def close(self) -> None:  # noqa: B027  most keep nothing open
        """Let go of what it keeps open."""


class CodexHome(Store):
    """`auth.json`."""

    kind = "JSON"
    by_rename = False

    def raw(self) -> bytes:
        return self.path.read_bytes()

    def restore(self, raw: bytes) -> None:
        self.path.write_bytes(raw)

    def login(self, document: Document) -> Document:
        tokens: Document = document["tokens"]
        return tokens

    def held(self) -> Held | None:
        try:
            tokens = self.login(self.document())
        except (OSError, ValueError, KeyError):
            return None
        return Held(tokens["access_token"], tokens["refresh_token"])

    def put(self, tokens: Tokens, owner: Owner | None = None) -> None:
        document = self.document()
        fresh = {"id_token": tokens.id_token, "access_token": tokens.access, "refresh_token": tokens.refresh}
        self.login(document).update(fresh)
        document["last_refresh"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
        data = json.dumps(document, indent=2, ensure_ascii=False).encode()
        if self.by_rename:
            replace(self.path, data)
        else:
            self.path.write_bytes(data)


def replace(path: Path, data: bytes) -> None:
    """Temp and rename, with the owner's rights only."""
    temp = path.with_name(f".{path.name}.new")
    temp.touch(mode=0o600)
    temp.write_bytes(data)
    temp.replace(path)
