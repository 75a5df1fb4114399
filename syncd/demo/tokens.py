"""Fake logins: JWT-shaped and unsigned, and each says of itself that it is no token."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass

# Real ones of ChatGPT live ten days; what runs out during the demo would only be noise (seconds).
LIFETIME = 864_000


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose account it is."""

    name: str

    @property
    def account(self) -> str:
        return f"acct-demo-{self.name}"

    @property
    def email(self) -> str:
        return f"{self.name}@demo.invalid"


YOU, GUEST, STRANGER = Owner("you"), Owner("guest"), Owner("stranger")


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one answer of the authority gives. `expires_at`: seconds since the epoch."""

    access: str
    refresh: str
    id_token: str
    expires_at: int

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.refresh)


def fingerprint(refresh: str) -> str:
    """As syncd shows it: the first eight hex digits of the SHA-256."""
    return hashlib.sha256(refresh.encode()).hexdigest()[:8]


def make(owner: Owner, issued_at: int) -> Tokens:
    """New tokens, never the same twice. `issued_at`: seconds since the epoch."""
    expires_at, odd = issued_at + LIFETIME, secrets.token_hex(8)
    claims = {
        "https://api.openai.com/auth": {
            "chatgpt_account_id": owner.account,
            "chatgpt_user_id": f"user-demo-{owner.name}",
            "chatgpt_plan_type": "plus",
        },
        "https://api.openai.com/profile": {"email": owner.email},
        "iat": issued_at,
        "exp": expires_at,
        "fake": f"not a token {odd}",
    }
    identity = {**claims, "email": owner.email}
    return Tokens(_jwt(claims), f"fake-refresh-not-a-token-{owner.name}-{odd}", _jwt(identity), expires_at)


def _jwt(claims: object) -> str:
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}.fake-signature"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
