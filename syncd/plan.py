"""Pure: lineage and sightings to findings: how each slot stands to the login, and the write that would mend it.

Hazard: a write over a token that was the only live one. So a write goes only forward in the lineage, only past the
identity gate, never over a spend in flight, and it names the value that it expects to replace (docs/rules.md, 4 to 8).

`status` shows the findings, the turn applies their writes: one place decides both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from syncd.identity import gate
from syncd.lineage import Account, Family, Lineage, Member, Place
from syncd.model import (
    Alien,
    Fenced,
    Holds,
    Identity,
    Ignored,
    ReadOnly,
    Role,
    Sighting,
    Slot,
    SlotState,
    Token,
    Unify,
    Unreadable,
    Usage,
    Used,
)

# Codex and OpenClaw (from 2026.4.20) refresh on their own inside this margin before expiry, seconds (facts: codex 3,
# openclaw 5). There a client may be in flight, and an access token beside an unchanged refresh token would undo it.
CLIENT_MARGIN = 300.0

# Two undone writes can be a client that saves what it has in memory at exit; the third within ten minutes is a habit.
CONTEST_AFTER, CONTEST_WINDOW = 3, 600.0

# A contested slot is tried again after a minute, then after twice as long each time, at most an hour.
CONTEST_PAUSE, CONTEST_PAUSE_MAX = 60.0, 3_600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user decided: how families are brought together, and each store's role, by its id."""

    unify: Unify
    role_of: Callable[[str], Role]


@dataclass(frozen=True, slots=True)
class Write:
    """Put the credential of `token` into `slot`, which is expected to hold the value with the digest `expected`."""

    slot: Slot
    expected: str
    token: Token
    access_only: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """How a slot stands, why, and the write that would make it current (None: nothing to do, or not allowed)."""

    slot: Slot
    role: Role
    state: SlotState
    account: str | None
    fingerprint: str | None = None
    generation: int | None = None
    reason: str | None = None
    hint: str | None = None
    write: Write | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """An account as a whole: the family that its slots follow, that family's head, and what stands beside it."""

    account: Account
    head: Member | None
    disputed: str | None = None


def standing_of(lineage: Lineage, account: Account) -> Standing:
    """The newest live family of an account. Two that cannot be ordered dispute it, and nothing is written."""
    graph = lineage.graph
    if account.disputed:
        return Standing(account, None, "it matches accounts that contradict each other")
    tips = [member for family in graph.families_of(account) for member in graph.live_tips(family)]
    head = graph.newest(tips)
    if head is None and len(tips) > 1:
        head = _newest_of_separate(lineage, tips)
        if head is None:
            return Standing(
                account, None, "two credentials cannot be put in order: their issue times are equal or missing"
            )
    return Standing(account, head)


def _newest_of_separate(lineage: Lineage, tips: list[Member]) -> Member | None:
    """Families that live apart need no order among them: any of the unordered ones may lead, the first seen does."""
    graph = lineage.graph
    leading = [one for one in tips if not any(graph.newer(other, one) for other in tips)]
    for one in leading:
        for other in leading:
            if one is not other and not graph.separate(graph.family_of(one), graph.family_of(other)):
                return None
    return min(leading, key=lambda member: (member.first_seen, member.fingerprint), default=None)


def survey(
    lineage: Lineage,
    sightings: Iterable[Sighting],
    usages: Mapping[str, Usage],
    policy: Policy,
    now: float,
) -> tuple[Finding, ...]:
    """A finding for every slot that was read. `usages` by store id; `now` in seconds since the epoch."""
    standings: dict[str, Standing] = {}
    return tuple(
        _Look(lineage, sighting, usages.get(sighting.slot.store, Used()), policy, now, standings).finding()
        for sighting in sightings
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """One slot under the loupe. `standings` remembers what was found for each account in this survey."""

    lineage: Lineage
    sighting: Sighting
    usage: Usage
    policy: Policy
    now: float
    standings: dict[str, Standing]

    @property
    def slot(self) -> Slot:
        return self.sighting.slot

    @property
    def role(self) -> Role:
        return self.policy.role_of(self.slot.store)

    @property
    def place(self) -> Place | None:
        return self.lineage.places.get(self.slot)

    @property
    def account(self) -> Account | None:
        return self.lineage.account_at(self.place) if self.place else None

    def finding(self) -> Finding:
        match self.sighting.content:
            case Unreadable(reason, hint):
                if isinstance(self.usage, Ignored):
                    return self._found(SlotState.IGNORED, f"{self.usage.reason}; and it cannot be read: {reason}")
                return self._found(SlotState.UNREADABLE, reason, hint=hint)
            case Alien(reason):
                return self._found(SlotState.FOREIGN, reason)
            case Fenced() as fence:
                return self._guarded(self._fenced(fence))
            case Holds() as holds:
                return self._guarded(self._holding(holds))
            case vacant:
                return self._found(SlotState.EMPTY, vacant.reason)

    def _guarded(self, finding: Finding) -> Finding:
        """What the store's usage and role forbid, whatever the lineage says."""
        match self.usage:
            case Ignored(reason):
                return _without_write(finding, SlotState.IGNORED, reason)
            case ReadOnly(reason):
                return _without_write(finding, finding.state, reason)
            case _ if self.role in (Role.OBSERVER, Role.OFF):
                return _without_write(finding, finding.state, finding.reason)
            case _:
                return finding

    # -- a credential ---------------------------------------------------------------------------------------------

    def _holding(self, holds: Holds) -> Finding:
        account, member = self.account, self.lineage.member_in(self.place)
        if account is None:
            return self._found(SlotState.FOREIGN, "an access token whose account is not known here")
        if member is None:
            return self._stray_access(holds.token, account)
        standing = self._standing(account)
        if standing.head is None:
            if standing.disputed:
                return self._found(SlotState.CONTESTED, standing.disputed)
            return self._found(SlotState.REFUSED, _refusal(member), hint="codex login")
        head = self._target(member, standing.head)
        if isinstance(head, str):
            return self._found(SlotState.CONTESTED, head)
        if member is head:
            state = SlotState.CURRENT if head is standing.head else SlotState.SEPARATE
            reason = None if state is SlotState.CURRENT else "another sign-in of the same account, alive beside it"
            return self._same_token(holds, head, state, reason)
        return self._forward(head, holds.token.identity)

    def _standing(self, account: Account) -> Standing:
        if account.id not in self.standings:
            self.standings[account.id] = standing_of(self.lineage, account)
        return self.standings[account.id]

    def _target(self, member: Member, best: Member) -> Member | str:
        """The member that this slot should hold; a sentence where that cannot be told."""
        graph = self.lineage.graph
        mine, theirs = graph.family_of(self._put_last(member)), graph.family_of(best)
        own = graph.head_of(mine)
        if mine is theirs:
            return best
        if own is not None and self._stays(mine, theirs):
            return own
        if own is None and graph.live_tips(mine):
            return "two credentials of one sign-in cannot be put in order: their issue times are equal or missing"
        if member.live and not graph.newer(best, member):
            return "it cannot be put in order with the newest login: their issue times are equal or missing"
        return best

    def _put_last(self, member: Member) -> Member:
        """What the slot's own program put there last: what a write of syncd's displaced, where that was newer."""
        graph, name = self.lineage.graph, self.place.displaced if self.place else None
        displaced = graph.members.get(name or "")
        if displaced is None or graph.account_of(displaced) is not graph.account_of(member):
            return member
        return displaced if graph.newer(displaced, member) else member

    def _stays(self, mine: Family, theirs: Family) -> bool:
        match self.policy.unify:
            case Unify.LINEAGE:
                return True
            case Unify.ACCOUNT:
                return False
            case Unify.AUTO:
                return self.lineage.graph.separate(mine, theirs)

    def _same_token(self, holds: Holds, head: Member, state: SlotState, reason: str | None) -> Finding:
        """The right refresh token is there; is it the form that the role asks for, with the newest access token?"""
        follows = self._follows()
        if (holds.token.fingerprint is None) is not follows:
            return self._forward(head, holds.token.identity)
        if holds.token.access == head.token.access:
            return self._found(state, reason)
        expires = holds.token.expires_at
        if follows or (expires is not None and expires - self.now > CLIENT_MARGIN):
            return self._forward(head, holds.token.identity)
        return self._found(SlotState.BEHIND, "its access token runs out, its own tool may be renewing it just now")

    def _stray_access(self, token: Token, account: Account) -> Finding:
        """An access-only credential that came from elsewhere: written over only by a later one."""
        head = self._standing(account).head
        if head is None or not self._follows():
            return self._found(SlotState.AHEAD, "an access token that syncd has not seen with a refresh token")
        if head.token.issued_at is None or token.issued_at is None or head.token.issued_at <= token.issued_at:
            return self._found(SlotState.AHEAD, "its access token is newer than any that syncd knows")
        return self._forward(head, token.identity)

    def _follows(self) -> bool:
        """Does this slot get the access token only? By its role; or because somebody else made it access-only.

        A peer that holds no refresh token although syncd never took it away is another tool's decision: kept.
        """
        if self.role is Role.FOLLOWER:
            return True
        content = self.sighting.content
        only = isinstance(content, Holds) and content.token.fingerprint is None
        return only and not (self.place is not None and self.place.ours_access_only)

    # -- a fence --------------------------------------------------------------------------------------------------

    def _fenced(self, fence: Fenced) -> Finding:
        """Over a pending fence only what is known to be newer; over a failed one also the token that it threw away."""
        member, account = self.lineage.member_in(self.place), self.account
        best = self._standing(account).head if account else None
        if member is None or best is None:
            return self._busy(fence, "its token is not known here")
        head = self._target(member, best)
        if isinstance(head, str):
            return self._busy(fence, head)
        if member is not head and self.lineage.graph.newer(head, member):
            return self._forward(head, fence.identity)
        if not fence.failed:
            return self._busy(fence, "the newest login is being refreshed")
        expires = head.token.expires_at
        if member is head and expires is not None and expires - self.now > CLIENT_MARGIN:
            return self._forward(head, fence.identity)
        return self._busy(fence, "its tool threw the newest login away after a failed refresh")

    def _busy(self, fence: Fenced, reason: str) -> Finding:
        return self._found(SlotState.BUSY, f"{'failed' if fence.failed else 'pending'} refresh fence: {reason}")

    # -- a write --------------------------------------------------------------------------------------------------

    def _forward(self, head: Member, existing: Identity) -> Finding:
        if denied := gate(existing, head.token.identity):
            return self._found(SlotState.REFUSED, denied.reason)
        if (wait := self._contested()) is not None:
            return self._found(SlotState.CONTESTED, f"another program keeps writing an older login back; {wait}")
        write = Write(self.slot, self.sighting.etag, head.token, self._follows())
        return self._found(SlotState.BEHIND, write=write)

    def _contested(self) -> str | None:
        undone = self.place.undone if self.place else []
        if len([at for at in undone if undone[-1] - at <= CONTEST_WINDOW]) < CONTEST_AFTER:
            return None
        pause = min(CONTEST_PAUSE * 2 ** (len(undone) - CONTEST_AFTER), CONTEST_PAUSE_MAX)
        left = undone[-1] + pause - self.now
        if left > pause:
            return None  # the clock was set back: a time in the future tells nothing
        return f"next try in {left:.0f} s" if left > 0 else None

    def _found(
        self, state: SlotState, reason: str | None = None, *, hint: str | None = None, write: Write | None = None
    ) -> Finding:
        member, account = self.lineage.member_in(self.place), self.account
        return Finding(
            slot=self.slot,
            role=self.role,
            state=state,
            account=account.id if account else None,
            fingerprint=member.fingerprint if member else None,
            generation=member.generation if member else None,
            reason=reason,
            hint=hint,
            write=write,
        )


def _refusal(member: Member) -> str:
    return (
        f"refused by the provider: {member.refused}"
        if member.refused
        else "no live credential of this account is known"
    )


def _without_write(finding: Finding, state: SlotState, reason: str | None) -> Finding:
    return replace(finding, state=state, reason=reason, write=None)
