"""Pure: OpenClaw's fences, the marks that stand in a row while (or after) its refresh token is spent.

Hazard: a fence looks like a token, a long opaque string in `refresh`. Taken for one it would be copied into
every store. So whatever begins like a fence is never a token here, also where its rest is of a version not
yet known.

From 2026.9.5 on OpenClaw replaces both tokens by fences before it calls the token endpoint (facts: openclaw
4.6).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from syncd import files

MARK = "openclaw-oauth-refresh-fence:"

_FENCE = re.compile(r"openclaw-oauth-refresh-fence:v1:([0-9a-f]{32}):(failed:)?(access|refresh):([0-9a-f]{64})")

Kind = Literal["access", "refresh"]


@dataclass(frozen=True, slots=True)
class Fence:
    """Both tokens were taken out by the claim `claim`; `digest` names the refresh token."""

    claim: str
    failed: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Odd:
    """It begins like a fence, and is none that this syncd understands."""


def digest(profile: str, provider: str, kind: Kind, secret: str) -> str:
    """How a fence names a token without showing it: bound to its profile id and the row's provider."""
    named = ["openclaw.oauth-refresh-generation", 1, profile, provider, kind, secret]
    return hashlib.sha256(files.render(named, indent=None)).hexdigest()


def fence_in(access: str, refresh: str, expires: object) -> Fence | Odd | None:
    """The fence that a credential's fields form; None where neither token begins like one.

    A true fence has both halves of one claim in one state, and expires at 1 ms: OpenClaw takes nothing else
    for one.
    """
    if not (access.startswith(MARK) or refresh.startswith(MARK)):
        return None
    one, other = _FENCE.fullmatch(access), _FENCE.fullmatch(refresh)
    if not one or not other or expires != 1 or (one[3], other[3]) != ("access", "refresh"):
        return Odd()
    if (one[1], one[2]) != (other[1], other[2]):
        return Odd()
    return Fence(claim=other[1], failed=other[2] is not None, digest=other[4])
