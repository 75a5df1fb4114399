"""Tokens, families and accounts, and the questions about them: what descends from what, what is newer, what is apart.

Invariant: a member has one parent and one child at most, both of its own family, and a child's generation is one more
than its parent's. So descent is a walk along one chain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from syncd.model import Identity, Likeness, Slot, Token


@dataclass(slots=True)
class Member:
    """One refresh token of a family. `token` carries its newest access token; `generation` is its depth, from 0."""

    token: Token
    fingerprint: str
    family: str
    first_seen: float
    generation: int = 0
    parent: str | None = None
    child: str | None = None
    proven: bool = False
    refused: str | None = None

    @property
    def spent(self) -> bool:
        return self.child is not None or self.refused == "refresh_token_reused"

    @property
    def live(self) -> bool:
        return self.child is None and self.refused is None


@dataclass(slots=True)
class Family:
    """The refresh tokens that descend from one sign-in. `tips` have no successor; `id` is its first member.

    `related`: families between which a slot was seen to change. `apart`: families proven to live beside this one.
    """

    id: str
    account: str
    tips: set[str] = field(default_factory=set)
    related: set[str] = field(default_factory=set)
    apart: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Account:
    """One login of one provider. `identities` are all that were seen of it, none of which contradicts another.

    `suspect`: since when its newest token is gone from where it was (`missing`), perhaps logged out. `disputed`: a
    credential matched accounts that contradict each other, so that this one, its own, is never written.
    """

    id: str
    provider: str
    identities: list[Identity]
    families: list[str] = field(default_factory=list)
    suspect: float | None = None
    missing: Slot | None = None
    disputed: bool = False


def later(token: Token, than: Token) -> bool:
    """Was `token` issued strictly later? False where either does not tell."""
    return token.issued_at is not None and than.issued_at is not None and token.issued_at > than.issued_at


def fresher(token: Token, than: Token) -> bool:
    """Of two access tokens of one refresh token: is `token` the newer one, by `iat`, then `exp`?"""
    return _version(token) > _version(than)


def _version(token: Token) -> tuple[float, float]:
    return (token.issued_at or 0.0, token.expires_at or 0.0)


def sessions_differ(one: Token, other: Token) -> bool:
    """Do both carry a session claim, and not the same one? Then they come from two sign-ins."""
    return one.session is not None and other.session is not None and one.session != other.session


class Graph:
    """Every refresh token ever seen, by fingerprint, in families, in accounts."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.families: dict[str, Family] = {}
        self.accounts: dict[str, Account] = {}
        self._by_access: dict[str, str] = {}

    # -- questions ----------------------------------------------------------------------------------------------------

    def member_of(self, token: Token) -> Member | None:
        """The member that a token is; for an access-only one, the member whose access token it is."""
        fingerprint = token.fingerprint or self._by_access.get(token.access)
        return self.members.get(fingerprint) if fingerprint else None

    def family_of(self, member: Member) -> Family:
        return self.families[member.family]

    def account_of(self, member: Member) -> Account:
        return self.accounts[self.families[member.family].account]

    def families_of(self, account: Account) -> list[Family]:
        return [self.families[name] for name in account.families]

    def descends(self, younger: Member, elder: Member) -> bool:
        """Is `younger` a successor, however distant, of `elder`?"""
        while younger.parent and younger.family == elder.family and younger.generation > elder.generation:
            younger = self.members[younger.parent]
            if younger is elder:
                return True
        return False

    def newer(self, one: Member, other: Member) -> bool | None:
        """Is `one` newer than `other`? By descent, else strictly by issue time; None where neither tells."""
        if self.descends(one, other):
            return True
        if self.descends(other, one):
            return False
        if later(one.token, other.token):
            return True
        return False if later(other.token, one.token) else None

    def newest(self, members: Iterable[Member]) -> Member | None:
        """The one that is newer than every other; None where there is none."""
        candidates = list(members)
        for one in candidates:
            if all(self.newer(one, other) for other in candidates if other is not one):
                return one
        return None

    def live_tips(self, family: Family) -> list[Member]:
        """The members without a successor that were not refused; more than one where their order is not known."""
        return [member for member in map(self.members.__getitem__, family.tips) if member.live]

    def head_of(self, family: Family) -> Member | None:
        """The newest live member; None where there is none, or where two cannot be told apart."""
        return self.newest(self.live_tips(family))

    def separate(self, one: Family, other: Family) -> bool:
        """Are both proven to be sign-ins that live side by side (`[account] unify`)?"""
        if other.id in one.apart:
            return True
        if other.id in one.related:
            return False
        mine, theirs = self._session(one), self._session(other)
        return mine is not None and theirs is not None and mine != theirs

    def _session(self, family: Family) -> str | None:
        known = (self.members[tip].token.session for tip in family.tips)
        return next((session for session in known if session), None)

    # -- growth -------------------------------------------------------------------------------------------------------

    def succeeds(self, token: Token, previous: Member, *, settled: bool) -> bool:
        """May a never-seen `token`, found where `previous` was, be its successor?

        `settled`: a pending fence of `previous` stood there, and only its answer takes that away; or somebody put an
        old copy or a sign-in over the fence, which an earlier issue time or another session tells.
        """
        if previous.child is not None or not self.accepts(previous, token) or sessions_differ(token, previous.token):
            return False
        return later(token, previous.token) or (settled and not later(previous.token, token))

    def accepts(self, previous: Member, token: Token) -> bool:
        """May `token` be of the account of `previous`? Not where it contradicts anything that is known of that."""
        account = self.account_of(previous)
        if account.provider != token.provider:
            return False
        return all(token.identity.compare(known) is not Likeness.DIFFERENT for known in account.identities)

    def add(self, at: float, token: Token, fingerprint: str, parent: Member | None, *, proven: bool = False) -> Member:
        """A never-seen token: the child of `parent`, or the first of a family."""
        family = self.family_of(parent) if parent else self._family_for(fingerprint, token)
        member = Member(token, fingerprint, family.id, at, proven=proven)
        self.members[fingerprint] = member
        self._by_access[token.access] = fingerprint
        family.tips.add(fingerprint)
        account = self.accounts[family.account]
        account.suspect = None
        if token.identity not in account.identities:
            account.identities.append(token.identity)
        if parent is not None:
            self._link(parent, member, family, account)
        return member

    def renew(self, member: Member, token: Token) -> bool:
        """Note an access token of a known refresh token; True where it is the newest."""
        self._by_access[token.access] = member.fingerprint
        if not fresher(token, member.token):
            return False
        member.token = token
        self.account_of(member).suspect = None
        return True

    def knows_access(self, token: Token) -> bool:
        return token.access in self._by_access

    def relate(self, one: Member, other: Member) -> None:
        """A slot was seen to change between their families."""
        if one.family != other.family and self.account_of(one) is self.account_of(other):
            self.family_of(one).related.add(other.family)
            self.family_of(other).related.add(one.family)

    def part(self, one: Family, other: Family) -> None:
        """Both are proven to live side by side."""
        if one is not other:
            one.apart.add(other.id)
            other.apart.add(one.id)

    def disprove(self, parent: Member) -> None:
        """The child of `parent` was inferred, and another one is proven: it is the first of another sign-in."""
        child = self.members.get(parent.child or "")
        if child is None or child.proven:
            return
        old, new = self.family_of(parent), Family(child.fingerprint, self.family_of(parent).account)
        self.families[new.id] = new
        self.accounts[new.account].families.append(new.id)
        old.tips.add(parent.fingerprint)
        parent.child = child.parent = None
        moved: Member | None = child
        while moved is not None:
            elder = self.members.get(moved.parent or "")
            moved.family, moved.generation = new.id, elder.generation + 1 if elder else 0
            if moved.child is None:
                old.tips.discard(moved.fingerprint)
                new.tips.add(moved.fingerprint)
            moved = self.members.get(moved.child or "")
        self.part(old, new)

    def _link(self, parent: Member, child: Member, family: Family, account: Account) -> None:
        child.parent, parent.child = parent.fingerprint, child.fingerprint
        child.generation = parent.generation + 1
        family.tips.discard(parent.fingerprint)
        # The parent was alive just now. So what was issued after it does not descend from it: it is another sign-in.
        for other in self.families_of(account):
            if any(later(self.members[tip].token, parent.token) for tip in other.tips):
                self.part(family, other)

    def _family_for(self, fingerprint: str, token: Token) -> Family:
        account = self._account_for(fingerprint, token)
        for family in self.families_of(account):
            if token.session and self._session(family) == token.session:
                return family
        family = Family(fingerprint, account.id)
        self.families[family.id] = family
        account.families.append(family.id)
        return family

    # -- accounts -----------------------------------------------------------------------------------------------------

    def account_like(self, token: Token) -> Account | None:
        """The one account that this credential positively matches."""
        matching = self._accounts_like(token)
        return matching[0] if len(matching) == 1 else None

    def _account_for(self, fingerprint: str, token: Token) -> Account:
        matching = self._accounts_like(token)
        if matching and _agree(matching):
            return self._merged(matching)
        account = Account(f"{token.provider}:{fingerprint}", token.provider, [token.identity], disputed=bool(matching))
        self.accounts[account.id] = account
        return account

    def _accounts_like(self, token: Token) -> list[Account]:
        return [
            account
            for account in self.accounts.values()
            if account.provider == token.provider and not account.disputed and _belongs(token.identity, account)
        ]

    def _merged(self, accounts: list[Account]) -> Account:
        """One credential tells that these are one account: an account id here, the same login's e-mail there."""
        first, *others = accounts
        for other in others:
            for family in self.families_of(other):
                family.account = first.id
            first.families += other.families
            first.identities += other.identities
            del self.accounts[other.id]
        return first


def _belongs(identity: Identity, account: Account) -> bool:
    likenesses = [identity.compare(known) for known in account.identities]
    return Likeness.SAME in likenesses and Likeness.DIFFERENT not in likenesses


def _agree(accounts: list[Account]) -> bool:
    return not any(
        mine.compare(theirs) is Likeness.DIFFERENT
        for index, account in enumerate(accounts)
        for other in accounts[index + 1 :]
        for mine in account.identities
        for theirs in other.identities
    )
