"""Pure: facts and credentials to JSON text and back, with a version on each.

Hazard: a record of a newer syncd must survive an older one. So an unknown kind, or a body that this version cannot
read, becomes `Unknown`: kept in the ledger, skipped by the fold, never dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from syncd.model import (
    Credential,
    Displaced,
    FactBody,
    Fenced,
    Holds,
    Identity,
    Refused,
    Rotated,
    Secret,
    Seen,
    Slot,
    Token,
    Unknown,
    Vacant,
    Wrote,
)

VERSION = 1


def kind_of(body: FactBody) -> str:
    """The word under which the ledger files a fact."""
    match body:
        case Seen(_, Vacant()):
            return "deleted"
        case Seen():
            return "sighting"
        case Wrote():
            return "written"
        case Displaced():
            return "displaced"
        case Rotated():
            return "rotated"
        case Refused():
            return "refused"
        case Unknown(kind):
            return kind


def dump(body: FactBody) -> str:
    """A fact's body as compact JSON; fingerprints and claims only, no secret."""
    return json.dumps(_packed(body), separators=(",", ":"), ensure_ascii=True)


def load(kind: str, version: int, text: str) -> FactBody:
    """The fact that `dump` wrote; `Unknown` for what this version cannot read."""
    if version > VERSION:
        return Unknown(kind)
    try:
        return _unpacked(kind, json.loads(text))
    except (KeyError, TypeError, ValueError):
        return Unknown(kind)


def _packed(body: FactBody) -> dict[str, Any]:
    match body:
        case Seen(slot, content, etag) | Wrote(slot, content, etag):
            return {"slot": [slot.store, slot.name], "etag": etag, **_packed_content(content)}
        case Displaced(slot, content, previous):
            return {"slot": [slot.store, slot.name], "previous": previous, **_packed_content(content)}
        case Rotated(parent, child):
            return {"parent": parent, "child": _packed_token(child)}
        case Refused(fingerprint, code):
            return {"fingerprint": fingerprint, "code": code}
        case Unknown():
            return {}


def _packed_content(content: Holds | Fenced | Vacant) -> dict[str, Any]:
    match content:
        case Holds(token, digests):
            return {"token": _packed_token(token), **({"digests": list(digests)} if digests else {})}
        case Fenced(failed, digest, provider, identity):
            owner = _packed_identity(identity)
            return {"fence": {"failed": failed, "digest": digest, "provider": provider, "identity": owner}}
        case Vacant(reason):
            return {"reason": reason}


def _packed_token(token: Token) -> dict[str, Any]:
    return {
        "provider": token.provider,
        "fingerprint": token.fingerprint,
        "access": token.access,
        "identity": _packed_identity(token.identity),
        "iat": token.issued_at,
        "exp": token.expires_at,
        "session": token.session,
    }


def _packed_identity(identity: Identity) -> list[str | None]:
    return [identity.account_id, identity.user_id, identity.email]


def _unpacked(kind: str, body: Mapping[str, Any]) -> FactBody:
    match kind:
        case "sighting" | "deleted" | "written":
            slot, content = Slot(*body["slot"]), _unpacked_content(body)
            if kind != "written":
                return Seen(slot, content, body["etag"])
            return Wrote(slot, content, body["etag"]) if isinstance(content, Holds) else Unknown(kind)
        case "displaced":
            content = _unpacked_content(body)
            if not isinstance(content, Holds):
                return Unknown(kind)
            return Displaced(Slot(*body["slot"]), content, body["previous"])
        case "rotated":
            return Rotated(body["parent"], _unpacked_token(body["child"]))
        case "refused":
            return Refused(body["fingerprint"], body["code"])
        case _:
            return Unknown(kind)


def _unpacked_content(body: Mapping[str, Any]) -> Holds | Fenced | Vacant:
    if "token" in body:
        digests = body.get("digests")
        return Holds(_unpacked_token(body["token"]), (digests[0], digests[1]) if digests else None)
    if "fence" in body:
        fence = body["fence"]
        return Fenced(fence["failed"], fence["digest"], fence["provider"], Identity(*fence["identity"]))
    return Vacant(body["reason"])


def _unpacked_token(body: Mapping[str, Any]) -> Token:
    return Token(
        provider=body["provider"],
        fingerprint=body["fingerprint"],
        access=body["access"],
        identity=Identity(*body["identity"]),
        issued_at=body["iat"],
        expires_at=body["exp"],
        session=body["session"],
    )


def dump_credential(credential: Credential) -> str:
    """A credential with its secrets in clear text: for the vault's row and nothing else."""
    return json.dumps(
        {
            "access": credential.access.reveal(),
            "refresh": credential.refresh.reveal() if credential.refresh else None,
            "id_token": credential.id_token.reveal() if credential.id_token else None,
            "token": _packed_token(credential.token),
        },
        ensure_ascii=True,
    )


def load_credential(text: str) -> Credential:
    """The credential that `dump_credential` wrote; raises ValueError, KeyError or TypeError where it is not one."""
    body = json.loads(text)
    refresh, id_token = body["refresh"], body["id_token"]
    return Credential(
        Secret(body["access"]),
        Secret(refresh) if refresh else None,
        Secret(id_token) if id_token else None,
        _unpacked_token(body["token"]),
    )
