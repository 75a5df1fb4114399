"""What the authority knows: families of single-use refresh tokens, and the rules by which they rotate.

The hazard it models: a refresh token is spent when the request ARRIVES, whether or not the answer ever
reaches the caller. A second use is answered as the real server does, with `refresh_token_reused`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tests.real.world.tokens import Account, Credential, mint


@dataclass(frozen=True, slots=True)
class Rotated:
    """The token was the newest of its family; here is its successor."""

    credential: Credential
    family: str
    generation: int
    code: str = "rotated"


@dataclass(frozen=True, slots=True)
class Refused:
    """The token buys nothing; the code is the one the real server gives."""

    code: str
    family: str | None = None
    generation: int | None = None


@dataclass(slots=True)
class Family:
    """The tokens that descend from one sign-in, oldest first."""

    name: str
    account: Account
    lifetime_s: int
    generations: list[Credential] = field(default_factory=list)
    refused_access: set[str] = field(default_factory=set)
    revoked: bool = False

    @property
    def newest(self) -> Credential:
        return self.generations[-1]

    def grow(self, issued_at: int, lifetime_s: int) -> Credential:
        """The next generation: its `iat` is later than its parent's, even within one second."""
        if self.generations:
            issued_at = max(issued_at, self.newest.issued_at + 1)
        expires_at = int(time.time()) + lifetime_s
        self.generations.append(mint(self.name, len(self.generations), self.account, issued_at, expires_at))
        return self.newest


class Families:
    """All sign-ins of one authority; every method is one step under one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._families: dict[str, Family] = {}

    def sign_in(self, account: Account, lifetime_s: int, first_lifetime_s: int, age_s: int) -> Credential:
        """A new family. Its first access token was issued `age_s` ago and ends in `first_lifetime_s`."""
        with self._lock:
            name = f"f{len(self._families) + 1}"
            family = self._families[name] = Family(name, account, lifetime_s)
            return family.grow(int(time.time()) - age_s, first_lifetime_s)

    def spend(self, refresh: str) -> Rotated | Refused:
        """One use of a refresh token, which is its last."""
        with self._lock:
            found = self._find(refresh)
            if found is None:
                return Refused("invalid_grant")
            family, generation = found
            if family.revoked:
                return Refused("refresh_token_invalidated", family.name, generation)
            if family.newest.refresh != refresh:
                return Refused("refresh_token_reused", family.name, generation)
            grown = family.grow(int(time.time()), family.lifetime_s)
            return Rotated(grown, family.name, generation)

    def revoke(self, refresh: str) -> bool:
        """Ends the family of this token, as a logout does."""
        with self._lock:
            found = self._find(refresh)
            if found is not None:
                found[0].revoked = True
            return found is not None

    def refuse_access(self, access: str) -> None:
        """From now on this access token is answered 401, though its `exp` is still to come."""
        with self._lock:
            for family in self._families.values():
                family.refused_access.add(access)

    def admits(self, access: str) -> tuple[str, int] | None:
        """The family and generation of a bearer that is good now; None for any other."""
        with self._lock:
            for family in self._families.values():
                for generation, one in enumerate(family.generations):
                    if one.access == access:
                        good = one.expires_at > time.time() and access not in family.refused_access
                        return (family.name, generation) if good and not family.revoked else None
        return None

    def newest(self, refresh: str) -> Credential | None:
        """The newest credential of the family that this token belongs to."""
        with self._lock:
            found = self._find(refresh)
            return found[0].newest if found else None

    def _find(self, refresh: str) -> tuple[Family, int] | None:
        for family in self._families.values():
            for generation, one in enumerate(family.generations):
                if one.refresh == refresh:
                    return family, generation
        return None
