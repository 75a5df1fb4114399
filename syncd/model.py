"""The nouns of syncd, frozen; nothing here touches a disk, a clock or a socket.

Hazard: a token that reaches a log line, a traceback or a ledger fact. So the raw token lives in `Secret`, which never
prints itself, and everything that is compared, stored as a fact or shown uses the token's fingerprint instead.

Times are seconds since the Unix epoch (UTC), as floats, unless a name says otherwise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import NoReturn


class Secret:
    """A token. `str`, `repr` and `format` show eight hex digits of its SHA-256; pickling is refused."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The token itself; call it only where it is written into a store, the vault or a request."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the token, 64 hex digits."""
        return hashlib.sha256(self._value.encode("utf-8", "surrogatepass")).hexdigest()

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({short(self.fingerprint)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def short(fingerprint: str) -> str:
    """How people see a fingerprint: its first eight hex digits."""
    return fingerprint[:8]


class Likeness(Enum):
    """What two identities say about each other."""

    SAME = "same"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose login it is. Fields are normalised by `identity.identity_of`; None means not known."""

    account_id: str | None = None
    user_id: str | None = None
    email: str | None = None

    @property
    def known(self) -> bool:
        return self.account_id is not None or self.email is not None

    def compare(self, other: Identity) -> Likeness:
        """Account ids decide, else e-mails; user ids and e-mails can only contradict equal account ids.

        The members of one workspace share its account id (docs/rules.md, 6), so equal account ids with different
        users are two logins.
        """
        if self.account_id is not None and other.account_id is not None:
            agree = self.account_id == other.account_id
        elif self.email is not None and other.email is not None:
            agree = self.email == other.email
        else:
            return Likeness.UNKNOWN
        for mine, theirs in ((self.user_id, other.user_id), (self.email, other.email)):
            if mine is not None and theirs is not None and mine != theirs:
                agree = False
        return Likeness.SAME if agree else Likeness.DIFFERENT


NOBODY = Identity()


@dataclass(frozen=True, slots=True)
class Token:
    """What may be known, written down and shown of a credential: no secret in it.

    `fingerprint` is that of the refresh token; None for an access-only credential. `access` is that of the access
    token. `issued_at` and `expires_at` are the access token's `iat` and `exp`.
    """

    provider: str
    fingerprint: str | None
    access: str
    identity: Identity = NOBODY
    issued_at: float | None = None
    expires_at: float | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A login as a store holds it: the tokens themselves beside what they say."""

    access: Secret
    refresh: Secret | None
    id_token: Secret | None
    token: Token


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One place for one credential: a store's id and the profile id within it."""

    store: str
    name: str

    def __str__(self) -> str:
        return f"{self.store}#{self.name}"


# -- What a slot holds: met by `match` ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holds:
    """A credential. `digests` are the two values by which a fence would name it (refresh, access), where known."""

    token: Token
    digests: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Fenced:
    """OpenClaw (2026.9.5 on) took the credential out to spend it: pending, or failed for good.

    `digest` names the refresh token without showing it; `identity` is what the row still tells of its owner.
    """

    failed: bool
    digest: str
    provider: str
    identity: Identity = NOBODY


@dataclass(frozen=True, slots=True)
class Vacant:
    """No credential of ours: never there, logged out, or moved to a keyring."""

    reason: str = "no credential"


@dataclass(frozen=True, slots=True)
class Alien:
    """A credential that is not ours to touch: an API key, another provider's login."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What is there could not be read, or is not what belongs there; it proves nothing about the login."""

    reason: str
    hint: str | None = None


Content = Holds | Fenced | Vacant | Alien | Unreadable


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a slot held when syncd read it.

    `etag` is a digest of the whole value as found: a write names the etag that it expects to replace. `credential`
    is there exactly when `content` is `Holds`.
    """

    slot: Slot
    content: Content
    etag: str
    credential: Credential | None = field(default=None, repr=False)


# -- Whether the tool that is installed here uses a store: met by `match` ----------------------------------------


@dataclass(frozen=True, slots=True)
class Used:
    """The tool that is installed here reads this store."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """The tool does not read this store (any more): its sightings are evidence, it is never written or created."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """The tool reads this store, and syncd cannot write it safely."""

    reason: str


Usage = Used | Ignored | ReadOnly


class Role(Enum):
    """What syncd does for a store."""

    PEER = "peer"  # gets the whole credential
    FOLLOWER = "follower"  # gets the access token only, so its tool cannot spend
    OBSERVER = "observer"  # read, never written
    OFF = "off"  # not even read


class SlotState(Enum):
    """How a slot stands to the login; the words of `syncd status`."""

    CURRENT = "current"
    BEHIND = "behind"
    AHEAD = "ahead"
    FOREIGN = "foreign"
    EMPTY = "empty"
    REFUSED = "refused"
    BUSY = "busy"
    UNREADABLE = "unreadable"
    IGNORED = "ignored"
    CONTESTED = "contested"
    SEPARATE = "separate"


class Unify(Enum):
    """How the families of one account are brought together."""

    AUTO = "auto"  # all follow the newest live one, except a family proven separate
    ACCOUNT = "account"  # all follow the newest live one
    LINEAGE = "lineage"  # never across families


# -- Facts: the append-only record from which the lineage is folded -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """A slot's content changed, and was read. Only what is evidence: a credential, a fence, or its absence."""

    slot: Slot
    content: Holds | Fenced | Vacant
    etag: str


@dataclass(frozen=True, slots=True)
class Wrote:
    """syncd put a credential into a slot and read it back: `content` is what it read."""

    slot: Slot
    content: Holds
    etag: str


@dataclass(frozen=True, slots=True)
class Displaced:
    """What a write of syncd's turned out to have replaced, where it was not what syncd had read there (`previous`).

    Its tool wrote it in the moment between the last look and the write, so nobody else may know it.
    """

    slot: Slot
    content: Holds
    previous: str | None


@dataclass(frozen=True, slots=True)
class Rotated:
    """A spend of syncd's own was answered: the parent is spent, the child is its successor.

    Nothing in this version spends; the fold knows the fact already, so that a newer ledger can be read.
    """

    parent: str
    child: Token


@dataclass(frozen=True, slots=True)
class Refused:
    """The token endpoint refused a token, with its code."""

    fingerprint: str
    code: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact of a kind that a newer version wrote: kept, not understood."""

    kind: str


FactBody = Seen | Wrote | Displaced | Rotated | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact, when it was recorded (`at`), and its place in the record (`seq`, from 1)."""

    seq: int
    at: float
    body: FactBody
