"""Pure: what an `auth.json` says, and the same document with another credential in it (facts: codex 1).

Hazard: Codex loads all of the file or none, and what it loads badly it pays for with the refresh token:
without `last_refresh` it spends it, without `account_id` it signs out. So both are always written, and a
document that Codex would not load is `Unreadable` here too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from syncd.identity import claims_of, credential_of, identity_of
from syncd.model import Alien, Credential, Holds, Sighting, Slot, Unreadable, Vacant
from syncd.ports import Failed, Replacement

PROVIDER = "openai-codex"
SLOT = "chatgpt"

CHATGPT, EXTERNAL = "chatgpt", "chatgptAuthTokens"

# What decides where `auth_mode` is missing, in Codex's order; tokens beside them are ignored (facts: codex
# 1).
_OTHER_LOGINS = {
    "personal_access_token": "a personal access token",
    "bedrock_api_key": "a Bedrock API key",
    "OPENAI_API_KEY": "an API key",
}

# Loose on purpose: what passes may still be no date, but what fails is none to Codex either (seen with 0.169).
_DATE, _ANY_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d"), "2026-01-01T00:00:00Z"

Document = Mapping[str, object]


class _MisfitError(ValueError):
    """Codex would not load this document; the text is the sentence."""


def sight(store: str, document: Document, vacant: str = "no login in the file") -> Sighting:
    """What the one slot holds. `vacant` is the reason to give where it holds nothing."""
    content: Holds | Vacant | Alien | Unreadable
    credential = None
    try:
        if (reason := _alien(document)) is not None:
            content = Alien(reason)
        elif (credential := _credential(document)) is not None:
            content = Holds(credential.token)
        else:
            content = Vacant(vacant)
    except _MisfitError as fault:
        content = Unreadable(str(fault), "codex login")
    return Sighting(Slot(store, SLOT), content, etag(document), credential)


def etag(document: Document) -> str:
    """A digest of what Codex's login is; `last_refresh` and unknown keys are no part of it."""
    login = [document.get(key) for key in ("auth_mode", "OPENAI_API_KEY", "tokens")]
    return digest(json.dumps(login, sort_keys=True, separators=(",", ":")))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def mode(document: Document) -> str:
    """How Codex resolves the mode of the login."""
    said = _text(document, "auth_mode", "auth_mode")
    if said is not None:
        return said
    return next((key for key in _OTHER_LOGINS if document.get(key) is not None), CHATGPT)


def replaced(document: Document, old: Credential, replacement: Replacement) -> dict[str, object] | Failed:
    """The document with the credential in it: every other key and the order of the keys stay."""
    new, tokens = replacement.credential, dict(_tokens(document) or {})
    id_token = new.id_token or old.id_token
    account = _account(tokens.get("account_id"), old, new)
    if id_token is None:
        return Failed("no id token is known, and Codex does not load a login without one", "codex login")
    if account is None:
        return Failed("no account id is known, and Codex does not refresh a login without one", "codex login")
    if new.refresh is None and not replacement.access_only:
        return Failed("there is no refresh token to write")
    tokens["id_token"] = id_token.reveal()
    tokens["access_token"] = new.access.reveal()
    tokens["refresh_token"] = "" if replacement.access_only or new.refresh is None else new.refresh.reveal()
    tokens["account_id"] = account
    changed = dict(document) if "auth_mode" in document else {"auth_mode": None, **document}
    changed["auth_mode"] = EXTERNAL if replacement.access_only else CHATGPT
    changed["tokens"] = tokens
    changed["last_refresh"] = stamp(replacement.now)
    return changed


def same_login(one: Document, other: Document) -> bool:
    """Would Codex see the same login in both? The moment of the last refresh only has to be there."""
    tells = isinstance(one.get("last_refresh"), str)
    return tells and mode(one) == mode(other) and one.get("tokens") == other.get("tokens")


def stamp(now: float) -> str:
    """RFC 3339 as Codex writes it: UTC, nanoseconds, `Z`."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def _alien(document: Document) -> str | None:
    match mode(document):
        case "chatgpt" | "chatgptAuthTokens":
            return None
        case "apikey":
            return "an API key"
        case key if key in _OTHER_LOGINS:
            return _OTHER_LOGINS[key]
        case other:
            return f"not a ChatGPT login (auth_mode {other[:40]!r})"


def _credential(document: Document) -> Credential | None:
    tokens = _tokens(document)
    _text(document, "OPENAI_API_KEY", "OPENAI_API_KEY")
    if _DATE.match(_text(document, "last_refresh", "last_refresh") or _ANY_DATE) is None:
        raise _MisfitError("last_refresh is not a date, so Codex does not load the file")
    if tokens is None:
        return None
    access, refresh, id_token = (_needed(tokens, key) for key in ("access_token", "refresh_token", "id_token"))
    if not access:
        raise _MisfitError("tokens.access_token is empty")
    if not claims_of(id_token):
        raise _MisfitError("tokens.id_token is not a JWT, so Codex does not load the file")
    stored = identity_of(account_id=_text(tokens, "account_id", "tokens.account_id"))
    return credential_of(PROVIDER, access, refresh or None, id_token, stored=stored)


def _tokens(document: Document) -> Document | None:
    tokens = document.get("tokens")
    if tokens is not None and not isinstance(tokens, dict):
        raise _MisfitError("tokens is not an object")
    return tokens


def _text(table: Document, key: str, name: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise _MisfitError(f"{name} is not a string")
    return value


def _needed(tokens: Document, key: str) -> str:
    value = _text(tokens, key, f"tokens.{key}")
    if value is None:
        raise _MisfitError(f"tokens.{key} is missing")
    return value


def _account(found: object, old: Credential, new: Credential) -> str | None:
    """The file's own id while the account stays: a running Codex that finds another keeps its old tokens."""
    was, is_now = old.token.identity.account_id, new.token.identity.account_id
    if isinstance(found, str) and found and (is_now is None or was == is_now):
        return found
    return is_now
