"""Fake tokens in the shape of the real ones: JWTs without a signature, refresh tokens that say what they are.

Nothing here could be taken for a secret: every refresh token begins with `fake-refresh-`, every JWT ends in
`.fake`. The claims are those that Codex and OpenClaw read; times are whole seconds, as the real ones have.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

AUTH_CLAIM = "https://api.openai.com/auth"
PROFILE_CLAIM = "https://api.openai.com/profile"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose sign-in it is."""

    account_id: str = "fake-account-1"
    user_id: str = "fake-user-1"
    email: str = "robin@example.com"
    plan: str = "pro"


@dataclass(frozen=True, slots=True)
class Credential:
    """What one answer of the authority holds; times are Unix seconds."""

    access: str
    refresh: str
    id_token: str
    account_id: str
    email: str
    issued_at: int
    expires_at: int

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.refresh)


def mint(family: str, generation: int, account: Account, issued_at: int, expires_at: int) -> Credential:
    """The credential of one generation; two mints are never equal, not even within one second."""
    name = f"{family}-{generation}-{secrets.token_hex(8)}"
    owner = {
        "chatgpt_account_id": account.account_id,
        "chatgpt_user_id": account.user_id,
        "chatgpt_plan_type": account.plan,
    }
    common = {"iss": "https://authority.example", "iat": issued_at, "exp": expires_at, "jti": f"fake-{name}"}
    profile = {PROFILE_CLAIM: {"email": account.email}, AUTH_CLAIM: owner}
    return Credential(
        access=jwt({**common, **profile}),
        refresh=f"fake-refresh-{name}",
        id_token=jwt({**common, **profile, "email": account.email}),
        account_id=account.account_id,
        email=account.email,
        issued_at=issued_at,
        expires_at=expires_at,
    )


def jwt(claims: dict[str, Any]) -> str:
    """A token that can be decoded and that nobody could verify."""
    return f"{encode({'alg': 'none', 'typ': 'JWT'})}.{encode(claims)}.fake"


def encode(part: dict[str, Any]) -> str:
    text = json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def fingerprint(refresh: str) -> str:
    """SHA-256 of a refresh token; whoever prints it shows the first 8 hex digits."""
    return hashlib.sha256(refresh.encode()).hexdigest()


def generation_of(refresh: str) -> str:
    """What a failed assertion says about a token: `<family>-<generation>`, or that it is not one of ours."""
    parts = refresh.removeprefix("fake-refresh-").rsplit("-", 1)
    return parts[0] if refresh.startswith("fake-refresh-") and len(parts) == 2 else "a foreign value"
