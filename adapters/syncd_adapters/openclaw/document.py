"""Pure: from the JSON of a store to sightings, one a profile.

Hazard: one odd profile must not hide the others, and a profile that is not ours (an API key, GitHub Copilot's
login) must never look like one that may be written. Every profile is judged alone; what cannot be told is
`Unreadable`.

Facts: openclaw 2. `expires` is in milliseconds. A profile is of type oauth, token or api_key (old name:
`mode`).
"""

from __future__ import annotations

from collections.abc import Mapping

from syncd.identity import credential_of, identity_of
from syncd.model import Alien, Content, Credential, Fenced, Holds, Sighting, Slot, Unreadable, Vacant

from .fence import Fence, Odd, digest, fence_in
from .text import etag_of, shown

# Up to 2026.5.28 the provider of this login is `openai-codex`, from 2026.6.1 on `openai`: one login, one name
# here.
PROVIDER = "openai-codex"
OURS = frozenset({"openai-codex", "openai"})

WHOLE = "-"  # the slot name of a sighting about the store itself

# A real store has a dozen; more than this is not a store but an attack on whoever reads it.
MAX_PROFILES = 1_000

ENCRYPTED = (
    "its tokens are encrypted by OpenClaw 2026.5.12-5.28; upgrade OpenClaw, "
    "then run 'openclaw doctor --fix' or sign in again"
)

# JavaScript gives these names a meaning of their own: OpenClaw cannot hold a profile under them.
_BUILT_IN = frozenset({"__proto__", "constructor", "prototype"})


def unreadable(store: str, reason: str, hint: str | None = None, *, name: str = WHOLE) -> Sighting:
    return Sighting(Slot(store, name), Unreadable(reason, hint), etag_of([reason]))


def profiles_of(document: Mapping[str, object]) -> dict[str, object] | str:
    """The profiles of a store's document, or why there are none to be read."""
    version = document.get("version", 1)
    if version != 1 or isinstance(version, bool):
        return "its store version is not 1: written by an OpenClaw that this syncd does not know"
    profiles = document.get("profiles")
    if not isinstance(profiles, dict):
        return "it has no profiles: not an OpenClaw login store"
    if len(profiles) > MAX_PROFILES:
        return f"it has more than {MAX_PROFILES} profiles"
    return profiles


def sightings_of(store: str, document: Mapping[str, object]) -> tuple[Sighting, ...]:
    """One sighting a profile. An inactive replacement that OpenClaw's set-up left behind is none."""
    profiles = profiles_of(document)
    if isinstance(profiles, str):
        return (unreadable(store, profiles, "run 'openclaw doctor'"),)
    return tuple(sight(store, name, one) for name, one in profiles.items() if not _is_replacement(one))


def sight(store: str, name: str, profile: object) -> Sighting:
    """What the profile `name` holds."""
    if not _is_name(name):
        return unreadable(store, "its profile id is not a name that OpenClaw gives", name=f"?{shown(name)}")
    content, credential = _content(name, profile)
    return Sighting(Slot(store, name), content, etag_of(profile), credential)


def is_encrypted(sighting: Sighting) -> bool:
    return sighting.content == Alien(ENCRYPTED)


def _is_name(name: str) -> bool:
    return name not in _BUILT_IN and name != WHOLE and 0 < len(name) <= 512 and name.isprintable()


def _is_replacement(profile: object) -> bool:
    setup = profile.get("setup") if isinstance(profile, dict) else None
    return isinstance(setup, dict) and setup.get("replacement") is True


def _content(name: str, profile: object) -> tuple[Content, Credential | None]:
    if not isinstance(profile, dict):
        return Unreadable("its profile is not a JSON object"), None
    match profile.get("type", profile.get("mode")), profile.get("provider"):
        case "api_key", _:
            return Alien("an API key"), None
        case "token", _:
            return Alien("a token that never changes"), None
        case "oauth", str(provider) if provider.strip().lower() in OURS:
            return _login(name, provider, profile)
        case "oauth", str(provider) if provider.strip():
            return Alien(f"unsupported provider {shown(provider.strip())}"), None
        case "oauth", _:
            return Unreadable("its profile names no provider"), None
        case _:
            return Unreadable("its profile is of no known type"), None


def _login(name: str, provider: str, profile: Mapping[str, object]) -> tuple[Content, Credential | None]:
    access, refresh = profile.get("access"), profile.get("refresh")
    access, refresh = "" if access is None else access, "" if refresh is None else refresh
    if not isinstance(access, str) or not isinstance(refresh, str):
        return Unreadable("its tokens are not text"), None
    owner = identity_of(profile.get("accountId"), None, profile.get("email"))
    match fence_in(access, refresh, profile.get("expires")):
        case Fence(failed=failed, digest=named):
            return Fenced(failed, named, PROVIDER, owner), None
        case Odd():
            return Unreadable("OpenClaw fenced it in a way that this syncd does not know"), None
    if not access.strip():
        return _without_access(refresh, profile), None
    id_token = profile.get("idToken")
    credential = credential_of(
        PROVIDER,
        access,
        refresh if refresh.strip() else None,
        id_token if isinstance(id_token, str) else None,
        stored=owner,
        expires_at=_seconds(profile.get("expires")),
    )
    named_by = (digest(name, provider, "refresh", refresh), digest(name, provider, "access", access))
    return Holds(credential.token, named_by if credential.refresh else None), credential


def _without_access(refresh: str, profile: Mapping[str, object]) -> Content:
    if refresh.strip():
        # OpenClaw would spend it at its next call; without an access token nothing tells how old it is, or
        # whose.
        return Unreadable("it has a refresh token and no access token")
    return Alien(ENCRYPTED) if isinstance(profile.get("oauthRef"), dict) else Vacant("a profile without tokens")


def _seconds(milliseconds: object) -> float | None:
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return milliseconds / 1000
    except OverflowError:
        return None
