"""Pure: from the claims of a token to an identity, and the gate that keeps two logins apart.

Hazard: a JWT is decoded here, never verified. Its claims order credentials and tell logins apart; they authorise
nothing. A token that is not a JWT is a valid token of which nothing is known.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from syncd.model import Credential, Identity, Likeness, Secret, Token

AUTH = "https://api.openai.com/auth"
PROFILE = "https://api.openai.com/profile"

# Real access tokens are 2 to 4 KB; more than this is not read, so that a hostile store costs nothing.
MAX_JWT = 65_536

# The end of the year 9999: the last instant that a date can show. A claim beyond it, or not after 1970, is no date.
MAX_TIME = 253_402_300_799.0


def claims_of(jwt: str) -> Mapping[str, object]:
    """The payload of a JWT-shaped string; empty where it is not one. Base64url without padding, no signature check."""
    parts = jwt.split(".")
    if len(parts) != 3 or len(jwt) > MAX_JWT:
        return {}
    try:
        raw = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        payload = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def instant(value: object) -> float | None:
    """A claim as seconds since the epoch; None where it is absent, not a number, or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if math.isfinite(seconds) and 0 < seconds <= MAX_TIME else None


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    return value.strip() or None


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def identity_of(account_id: object = None, user_id: object = None, email: object = None) -> Identity:
    """Normalised: account and user ids trimmed, case matters; e-mails trimmed and case folded; empty is absent."""
    mail = _text(email)
    return Identity(_text(account_id), _text(user_id), mail.casefold() if mail else None)


def _claimed(claims: Mapping[str, object]) -> Identity:
    auth, profile = _table(claims.get(AUTH)), _table(claims.get(PROFILE))
    return identity_of(
        auth.get("chatgpt_account_id"),
        auth.get("chatgpt_user_id") or auth.get("user_id"),
        profile.get("email") or claims.get("email"),
    )


def _first(*identities: Identity) -> Identity:
    def pick(values: list[str | None]) -> str | None:
        return next((value for value in values if value is not None), None)

    return Identity(
        pick([one.account_id for one in identities]),
        pick([one.user_id for one in identities]),
        pick([one.email for one in identities]),
    )


def credential_of(
    provider: str,
    access: str,
    refresh: str | None,
    id_token: str | None = None,
    *,
    stored: Identity | None = None,
    expires_at: float | None = None,
) -> Credential:
    """A credential from what a store holds. An empty `refresh` is an access-only credential.

    Identity comes from the access token's claims, then the id token's, then the store's own fields (`stored`), which
    in some tools hold an organisation's id. `expires_at` (seconds) is used only where the access token has no `exp`.
    """
    said, also = claims_of(access), claims_of(id_token or "")
    secret = Secret(refresh) if refresh else None
    token = Token(
        provider=provider,
        fingerprint=secret.fingerprint if secret else None,
        access=Secret(access).fingerprint,
        identity=_first(_claimed(said), _claimed(also), stored or Identity()),
        issued_at=instant(said.get("iat")),
        expires_at=instant(said.get("exp")) or instant(expires_at),
        session=_text(said.get("session_id")) or _text(said.get("sid")),
    )
    return Credential(Secret(access), secret, Secret(id_token) if id_token else None, token)


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a credential is not copied over another."""

    reason: str


def gate(existing: Identity, incoming: Identity) -> Denied | None:
    """May `incoming` be copied over `existing`? None is yes. docs/rules.md, 6.

    Never on a positive mismatch, never with less evidence than is already there. Stricter than OpenClaw's own gate
    (facts: openclaw 6), which lets two users of one workspace pass.
    """
    match existing.compare(incoming):
        case Likeness.SAME:
            return None
        case Likeness.DIFFERENT:
            return Denied("another account's login")
        case Likeness.UNKNOWN if existing.known:
            return Denied("nothing shows that both are the same account")
        case _ if incoming.known:
            return None
        case _:
            return Denied("neither side tells whose login it is")
