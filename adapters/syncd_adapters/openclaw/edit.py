"""Pure: put a credential into one profile of a store's document, if the profile still is what the plan saw.

Hazard: the document is every login that the agent has. Only one profile is replaced, its other keys stay, and
nothing is ever added: a missing profile stays missing (from 2026.9.5 on agents inherit what they do not
have).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncd.identity import identity_of
from syncd.model import Credential, Fenced, Holds, Identity, Vacant
from syncd.ports import Changed, Failed, Replacement, WriteOutcome, Written

from .document import profiles_of, sight
from .text import etag_of

# A token that tells no expiry is taken to live an hour, as OpenClaw itself does with Codex's (facts: openclaw
# 5). Without a valid `expires` OpenClaw would refuse the profile.
UNKNOWN_LIFETIME = 3_600.0


@dataclass(frozen=True, slots=True)
class Edited:
    """The document to write, and the etag that the replaced profile then has."""

    document: dict[str, object]
    etag: str


def edit(document: Mapping[str, object], replacement: Replacement) -> Edited | WriteOutcome:
    """The new document; or the outcome where there is nothing to write."""
    profiles = profiles_of(document)
    if isinstance(profiles, str):
        return Failed(profiles)
    profile = profiles.get(replacement.name)
    if not isinstance(profile, dict):
        return Changed()
    etag = etag_of(profile)
    if _has(profile, replacement.credential):
        return Written(etag)
    if etag != replacement.expected:
        return Changed()
    match sight("", replacement.name, profile).content:
        case Holds() | Fenced() | Vacant():
            fresh = _renewed(profile, replacement.credential, replacement.now)
        case other:
            return Failed(other.reason)
    return Edited({**document, "profiles": {**profiles, replacement.name: fresh}}, etag_of(fresh))


def refusal(replacement: Replacement) -> Failed | None:
    """Why this credential cannot be put into any store of OpenClaw's."""
    if replacement.access_only or replacement.credential.refresh is None:
        return Failed("OpenClaw refreshes what it holds: an access token alone would end as a sign-in")
    return None


def _has(profile: Mapping[str, object], credential: Credential) -> bool:
    refresh = credential.refresh.reveal() if credential.refresh else None
    return profile.get("access") == credential.access.reveal() and profile.get("refresh") == refresh


def _renewed(profile: Mapping[str, object], credential: Credential, now: float) -> dict[str, object]:
    fresh = dict(profile)
    fresh["access"] = credential.access.reveal()
    fresh["refresh"] = credential.refresh.reveal() if credential.refresh else ""
    expires_at = credential.token.expires_at
    fresh["expires"] = round((now + UNKNOWN_LIFETIME if expires_at is None else expires_at) * 1000)
    fresh.update(_owner(profile, credential.token.identity))
    # What belongs to the replaced generation goes with it, as when OpenClaw itself refreshes: an id token
    # that nothing renews, and the reference to an encrypted copy, from which an old OpenClaw would take a
    # spent token again.
    fresh.pop("idToken", None)
    fresh.pop("oauthRef", None)
    if credential.id_token:
        fresh["idToken"] = credential.id_token.reveal()
    return fresh


def _owner(profile: Mapping[str, object], known: Identity) -> dict[str, object]:
    """Whose it is: without it OpenClaw adopts nothing after a claim. What it spelt otherwise stays."""
    stored = identity_of(profile.get("accountId"), None, profile.get("email"))
    owner: dict[str, object] = {}
    if known.account_id is not None and known.account_id != stored.account_id:
        owner["accountId"] = known.account_id
    if known.email is not None and known.email != stored.email:
        owner["email"] = known.email
    return owner
