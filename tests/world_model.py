"""A perfect model of the world around syncd: the authorization server, and the programs that hold a login.

It shares no code with syncd. Everything that really happened is known here: which token descends from which, which one
is live, who still holds it. Time moves only when somebody sets `Authority.now`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tests import fake

# How long an access token lives: what the real server gave in 2026 (facts: codex 3), seconds.
LIFETIME = 10 * 86_400


# -- What a slot of a store holds -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Login:
    """An access token, and the refresh token beside it (None: access-only)."""

    access: str
    refresh: str | None


@dataclass(frozen=True, slots=True)
class Fence:
    """OpenClaw took `login` out to spend it; `failed`: it threw it away afterwards. Nobody can read the login in it."""

    claim: int
    login: Login
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Torn:
    """Half of a write."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A credential that is not a login."""


Row = Login | Fence | Torn | ApiKey


@dataclass(slots=True)
class Inode:
    """The bytes of a file. Who holds it open goes on writing here after another file took its name."""

    rows: dict[str, Row] = field(default_factory=dict)


@dataclass(slots=True)
class Disk:
    """A path, and the file that bears its name now."""

    file: Inode = field(default_factory=Inode)

    @property
    def rows(self) -> Mapping[str, Row]:
        return self.file.rows

    def replace(self, name: str, row: Row | None) -> None:
        """A new file under the path, by rename; None: without that slot."""
        rows = dict(self.file.rows)
        rows.pop(name, None)
        self.file = Inode(rows if row is None else {**rows, name: row})


# -- The authorization server -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Family:
    """One sign-in: its refresh tokens, oldest first."""

    account: int
    session: str | None
    alive: bool = True
    tokens: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Authority:
    """Refresh tokens are single use, issue times strictly increase; `revokes`: a reuse ends the whole family."""

    sessions: bool = False
    revokes: bool = False
    now: float = 1_000_000.0
    families: list[Family] = field(default_factory=list)
    _issued: dict[str, int] = field(default_factory=dict)
    _refresh_of: dict[str, str] = field(default_factory=dict)
    _family_of: dict[str, Family] = field(default_factory=dict)

    def sign_in(self, account: int) -> Login:
        number = len(self.families)
        self.families.append(Family(account, f"session-{number}" if self.sessions else None))
        return self._grow(self.families[-1])

    def spend(self, refresh: str) -> Login | str:
        """The successor, or the code of the refusal."""
        family = self._family_of[refresh]
        if not family.alive:
            return "invalidated"
        if refresh == family.tokens[-1]:
            return self._grow(family)
        family.alive = not self.revokes
        return "reused"

    def renew(self, refresh: str) -> Login | None:
        """A new access token for the same refresh token, as some answers give; None where it is not live."""
        return Login(self._mint(refresh), refresh) if self.live(refresh) else None

    def revoke(self, refresh: str) -> None:
        self._family_of[refresh].alive = False

    def _grow(self, family: Family) -> Login:
        refresh = fake.refresh(f"{self.families.index(family)}-{len(family.tokens)}")
        family.tokens.append(refresh)
        self._family_of[refresh] = family
        return Login(self._mint(refresh), refresh)

    def _mint(self, refresh: str) -> str:
        self.now += 1
        family = self._family_of[refresh]
        owner = f"-fake-{family.account}"
        access = fake.jwt(
            self.now,
            LIFETIME,
            account=f"acct{owner}",
            user=f"user{owner}",
            email=f"fake{owner}@example.invalid",
            session=family.session,
        )
        self._issued[access], self._refresh_of[access] = int(self.now), refresh
        return access

    # -- the truth ----------------------------------------------------------------------------------------------------

    def live(self, refresh: str) -> bool:
        family = self._family_of[refresh]
        return family.alive and family.tokens[-1] == refresh

    def newest(self, account: int) -> Login:
        """The login that was issued last."""
        access = [one for one, refresh in self._refresh_of.items() if self._family_of[refresh].account == account][-1]
        return Login(access, self._refresh_of[access])

    def family(self, login: Login) -> Family:
        return self._family_of[self._refresh_of[login.access]]

    def issued(self, login: Login) -> int:
        return self._issued[login.access]

    def born(self, login: Login) -> int:
        """When its refresh token was issued, with the first of its access tokens."""
        refresh = self._refresh_of[login.access]
        return min(self._issued[access] for access, name in self._refresh_of.items() if name == refresh)

    def descends(self, younger: Login, elder: Login) -> bool:
        tokens = self.family(younger).tokens
        return self.family(elder) is self.family(younger) and tokens.index(self._refresh_of[younger.access]) > (
            tokens.index(self._refresh_of[elder.access])
        )

    def families_of(self, account: int) -> list[Family]:
        return [family for family in self.families if family.account == account]


# -- The programs -----------------------------------------------------------------------------------------------------


class Client(Protocol):
    """A program that refreshes its login, one step at a time; `idle` between two refreshes."""

    @property
    def idle(self) -> bool: ...

    def step(self) -> None: ...

    def die(self) -> None: ...


@dataclass(slots=True)
class InPlace:
    """Codex up to 0.164: no lock, no comparison, truncates the file and writes into it."""

    authority: Authority
    disk: Disk
    name: str
    base: str | None = None
    answer: Login | None = None
    opened: Inode | None = None

    @property
    def idle(self) -> bool:
        return self.base is None

    def step(self) -> None:
        if self.base is None:
            row = self.disk.rows.get(self.name)
            self.base = row.refresh if isinstance(row, Login) else None
        elif self.answer is None:
            answer = self.authority.spend(self.base)
            if isinstance(answer, str):
                self.die()
            else:
                self.answer = answer
        elif self.opened is None:
            self.opened = self.disk.file
            self.opened.rows[self.name] = Torn()
        else:
            self.opened.rows[self.name] = self.answer
            self.die()

    def die(self) -> None:
        self.base = self.answer = self.opened = None


@dataclass(slots=True)
class Renaming:
    """Codex 0.169: compares under its save locks, then renames; where the disk moved on, the disk wins."""

    authority: Authority
    disk: Disk
    name: str
    base: str | None = None
    answer: Login | None = None

    @property
    def idle(self) -> bool:
        return self.base is None

    def step(self) -> None:
        row = self.disk.rows.get(self.name)
        held = row.refresh if isinstance(row, Login) else None
        if self.base is None:
            self.base = held
        elif self.answer is None:
            answer = self.authority.spend(self.base)
            if isinstance(answer, str):
                self.die()
            else:
                self.answer = answer
        else:
            if held == self.base:
                self.disk.replace(self.name, self.answer)
            self.die()

    def die(self) -> None:
        self.base = self.answer = None


@dataclass(slots=True)
class Fencing:
    """OpenClaw from 2026.9.5: a fence stands in the row while the token is out; any error makes it a failed one."""

    authority: Authority
    disk: Disk
    name: str
    claims: int = 0
    fence: Fence | None = None
    answer: Login | str | None = None
    offline: bool = False

    @property
    def idle(self) -> bool:
        return self.fence is None

    def step(self) -> None:
        row = self.disk.rows.get(self.name)
        if self.fence is None:
            if isinstance(row, Login) and row.refresh is not None:
                self.claims += 1
                self.fence = Fence(self.claims, row)
                self.disk.replace(self.name, self.fence)
        elif self.answer is None:
            self.answer = "offline" if self.offline else self.authority.spend(self.fence.login.refresh or "")
        else:
            if row == self.fence:
                failed = Fence(self.fence.claim, self.fence.login, failed=True)
                self.disk.replace(self.name, self.answer if isinstance(self.answer, Login) else failed)
            self.die()

    def die(self) -> None:
        self.fence = self.answer = None
        self.offline = False
