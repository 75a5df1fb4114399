"""Obviously fake tokens: JWT-shaped, unsigned, each carrying the word `fake`. Shares no code with syncd."""

from __future__ import annotations

import base64
import json

ACCOUNT, USER, EMAIL = "acct-fake-1", "user-fake-1", "fake.one@example.invalid"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def jwt(
    iat: float | None = 1_000.0,
    lifetime: float | None = 3_600.0,
    *,
    account: str | None = ACCOUNT,
    user: str | None = USER,
    email: str | None = EMAIL,
    session: str | None = None,
    **claims: object,
) -> str:
    """An access token issued at `iat` (s since the epoch) that lives `lifetime` seconds."""
    auth = {"chatgpt_account_id": account, "chatgpt_user_id": user, "chatgpt_plan_type": "plus"}
    payload: dict[str, object] = {
        "https://api.openai.com/auth": {key: value for key, value in auth.items() if value is not None},
        "https://api.openai.com/profile": {"email": email} if email else {},
        "fake": "not a token",
    }
    if iat is not None:
        payload["iat"] = int(iat)
        if lifetime is not None:
            payload["exp"] = int(iat + lifetime)
    if session:
        payload["session_id"] = session
    payload.update(claims)
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(payload)}.fake-signature"


def refresh(name: str) -> str:
    """A refresh token that nobody can take for a real one."""
    return f"fake-refresh-{name}"
