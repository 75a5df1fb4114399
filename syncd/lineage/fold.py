"""Facts in; the graph, what each slot holds, and what happened, out. The same facts give the same lineage.

Hazard: syncd's own writes must teach it nothing. A slot that changed because syncd wrote it shows no descent, so its
writes are facts of their own (`Wrote`), apart from what other programs did (`Seen`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from syncd.lineage.graph import Account, Graph, Member, later, sessions_differ
from syncd.model import Displaced, Fact, Fenced, Holds, Refused, Rotated, Seen, Slot, Token, Vacant, Wrote

# A store that is migrated loses its slot a moment before, or after, another one shows the same token (seconds).
MOVE_WINDOW = 60.0

# How many undone writes of a slot are remembered: enough to tell a habit from an accident.
UNDONE_KEPT = 10


class Happening(Enum):
    """What a fact meant for the lineage; the words of `syncd history`."""

    FIRST_SEEN = "first seen"
    ROTATED = "rotated"
    SIGNED_IN = "signed in"
    FORKED = "forked"
    OLD_COPY = "old copy"
    ROLLED_BACK = "rolled back"
    FOLLOWED = "followed"
    RENEWED = "renewed"
    LOGGED_OUT = "logged out"
    FENCED = "fenced"
    FENCE_FAILED = "fence failed"
    MIRRORED = "mirrored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Event:
    """One happening: when, where (None: syncd itself), of which token, and which one it came from or replaced."""

    at: float
    happening: Happening
    slot: Slot | None
    fingerprint: str | None
    other: str | None = None
    detail: str | None = None


@dataclass(slots=True)
class Place:
    """What is known of a slot: its content, the token in it and since when, and whether syncd wrote it.

    `ours` is the token that syncd wrote there last, and `ours_access_only` whether syncd took the refresh token away.
    `displaced` is what the slot's own program put there in the moment of that write, so that it is gone from there.
    `undone` are the times at which another program put an older token over it.
    """

    slot: Slot
    content: Holds | Fenced | Vacant
    etag: str
    since: float
    fingerprint: str | None = None
    account: str | None = None
    ours: str | None = None
    ours_access_only: bool = False
    displaced: str | None = None
    undone: list[float] = field(default_factory=list)


class Lineage:
    """The graph and the slots, folded from facts."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self.graph = Graph()
        self.places: dict[Slot, Place] = {}
        self._by_digest: dict[str, str] = {}
        for fact in facts:
            self.apply(fact)

    def account_at(self, place: Place) -> Account | None:
        """The account of what a slot holds, or held last."""
        member = self.member_in(place)
        return self.graph.account_of(member) if member else self.graph.accounts.get(place.account or "")

    def places_of(self, account: Account) -> Iterator[Place]:
        return (place for place in self.places.values() if self.account_at(place) is account)

    def member_in(self, place: Place | None) -> Member | None:
        """The token that a slot holds, or that its fence names."""
        return self.graph.members.get(place.fingerprint) if place and place.fingerprint else None

    def apply(self, fact: Fact) -> list[Event]:
        """Fold one fact in; what it meant."""
        match fact.body:
            case Seen(slot, Holds() as content, etag):
                return self._seen_credential(fact.at, slot, content, etag)
            case Seen(slot, Fenced() as content, etag):
                return self._seen_fence(fact.at, slot, content, etag)
            case Seen(slot, Vacant() as content, etag):
                return self._seen_nothing(fact.at, slot, content, etag)
            case Wrote(slot, content, etag):
                return self._wrote(fact.at, slot, content, etag)
            case Displaced(slot, content, previous):
                return self._displaced(fact.at, slot, content.token, previous)
            case Rotated(parent, child):
                return self._rotated(fact.at, parent, child)
            case Refused(fingerprint, code):
                return self._refused(fact.at, fingerprint, code)
            case _:
                return []

    # -- a slot was seen to hold a credential -----------------------------------------------------------------

    def _seen_credential(self, at: float, slot: Slot, content: Holds, etag: str) -> list[Event]:
        before = self.places.get(slot)
        member = self.graph.member_of(content.token)
        events: list[Event] = []
        if member is not None:
            events = self._known(at, slot, member, content.token, before)
        elif content.token.fingerprint is not None:
            settled = before is not None and isinstance(before.content, Fenced) and not before.content.failed
            member, event = self._unknown(at, slot, content.token, self.member_in(before), settled=settled)
            self._note_undone(at, before, event)
            events = [event]
        place = self._place(at, slot, content, etag, member)
        if member is None:  # an access token of unknown descent: it has no place in the graph
            like = self.graph.account_like(content.token)
            place.account = like.id if like else None
        return events

    def _known(self, at: float, slot: Slot, member: Member, token: Token, before: Place | None) -> list[Event]:
        events = []
        self._settle_move(at, slot, member)
        if not self.graph.knows_access(token) and self.graph.renew(member, token):
            events.append(Event(at, Happening.RENEWED, slot, member.fingerprint))
        previous = self.member_in(before)
        if previous is None or previous is member:
            return events
        self.graph.relate(previous, member)
        happening = Happening.FOLLOWED if self.graph.newer(member, previous) else Happening.ROLLED_BACK
        event = Event(at, happening, slot, member.fingerprint, previous.fingerprint)
        self._note_undone(at, before, event)
        return [*events, event]

    def _unknown(
        self, at: float, slot: Slot, token: Token, previous: Member | None, *, settled: bool = False
    ) -> tuple[Member, Event]:
        """A never-seen token where `previous` was: its successor, or the first of a family."""
        fingerprint = token.fingerprint or token.access
        if previous is not None and self.graph.succeeds(token, previous, settled=settled):
            member = self.graph.add(at, token, fingerprint, previous, proven=settled)
            how = "its fence settled" if settled else None
            return member, Event(at, Happening.ROTATED, slot, fingerprint, previous.fingerprint, how)
        member = self.graph.add(at, token, fingerprint, None)
        if previous is None:
            return member, Event(at, Happening.FIRST_SEEN, slot, fingerprint)
        self.graph.relate(previous, member)
        return member, Event(at, self._beside(member, previous), slot, fingerprint, previous.fingerprint)

    def _note_undone(self, at: float, before: Place | None, event: Event) -> None:
        """Another program put an older token over the one that syncd wrote."""
        older = event.happening in (Happening.ROLLED_BACK, Happening.OLD_COPY)
        now, then = (self.graph.members.get(name or "") for name in (event.fingerprint, event.other))
        if now is None or then is None or self.graph.account_of(now) is not self.graph.account_of(then):
            return  # a switcher of accounts is no contest
        if before is not None and older and before.ours == event.other:
            before.undone = [*before.undone, at][-UNDONE_KEPT:]

    def _beside(self, member: Member, previous: Member) -> Happening:
        """A never-seen token came where `previous` was, and is not its successor: what is it?"""
        if self.graph.account_of(member) is not self.graph.account_of(previous):
            return Happening.SIGNED_IN
        if not later(member.token, previous.token):
            return Happening.OLD_COPY
        if previous.child is None or sessions_differ(member.token, previous.token):
            return Happening.SIGNED_IN
        # `previous` has its one child elsewhere. One of the two is another sign-in, and nothing tells which.
        self.graph.part(self.graph.family_of(member), self.graph.family_of(previous))
        return Happening.FORKED

    # -- a slot was seen to hold a fence, or nothing ----------------------------------------------------------

    def _seen_fence(self, at: float, slot: Slot, content: Fenced, etag: str) -> list[Event]:
        before = self.places.get(slot)
        member = self.graph.members.get(self._by_digest.get(content.digest, ""))
        place = self._place(at, slot, content, etag, member)
        if member is None and before is not None:
            place.account = before.account
        happening = Happening.FENCE_FAILED if content.failed else Happening.FENCED
        return [Event(at, happening, slot, place.fingerprint)]

    def _seen_nothing(self, at: float, slot: Slot, content: Vacant, etag: str) -> list[Event]:
        before = self.places.get(slot)
        place = self._place(at, slot, content, etag, None)
        if before is None or isinstance(before.content, Vacant):
            return []
        place.account = before.account
        gone = self.member_in(before)
        if gone is not None and gone.live and not self._moved(at, gone):
            account = self.graph.account_of(gone)
            account.suspect, account.missing = at, slot
        return [Event(at, Happening.LOGGED_OUT, slot, None, gone.fingerprint if gone else None, content.reason)]

    def _moved(self, at: float, member: Member) -> bool:
        """Did another slot come to hold this token just now? Then it was moved (a migration), not logged out."""
        return any(
            place.fingerprint == member.fingerprint and at - place.since <= MOVE_WINDOW
            for place in self.places.values()
        )

    def _settle_move(self, at: float, slot: Slot, member: Member) -> None:
        """It was moved, or is back where it was (a folder that was not mounted): not logged out."""
        account = self.graph.account_of(member)
        if account.suspect is not None and (account.missing == slot or at - account.suspect <= MOVE_WINDOW):
            account.suspect = None

    # -- syncd's own doings -----------------------------------------------------------------------------------

    def _wrote(self, at: float, slot: Slot, content: Holds, etag: str) -> list[Event]:
        member = self.graph.member_of(content.token)
        if member is None:
            return []
        before = self.places.get(slot)
        replaced = self.member_in(before)
        place = self._place(at, slot, content, etag, member)
        place.ours = member.fingerprint
        taken = before is None or before.ours_access_only or not _is_access_only(before.content)
        place.ours_access_only = taken and _is_access_only(content)
        place.displaced = before.displaced if before else None
        other = replaced.fingerprint if replaced else None
        return [Event(at, Happening.MIRRORED, slot, member.fingerprint, other)]

    def _displaced(self, at: float, slot: Slot, token: Token, previous: str | None) -> list[Event]:
        """The slot's own content is not touched: syncd's write stands there now."""
        events: list[Event] = []
        member = self.graph.member_of(token)
        if member is None and token.fingerprint is not None:
            elder = self.graph.members.get(previous or "")
            member, event = self._unknown(at, slot, token, elder)
            events = [replace(event, detail="just before syncd wrote")]
        elif member is not None and not self.graph.knows_access(token) and self.graph.renew(member, token):
            events = [Event(at, Happening.RENEWED, slot, member.fingerprint)]
        if member is not None and (place := self.places.get(slot)) is not None:
            known = self.graph.members.get(place.displaced or "")
            if known is None or self.graph.newer(member, known):
                place.displaced = member.fingerprint
        return events

    def _rotated(self, at: float, parent: str, child: Token) -> list[Event]:
        elder = self.graph.members.get(parent)
        if elder is None or child.fingerprint is None:
            return []
        member = self.graph.member_of(child)
        if member is None:
            self.graph.disprove(elder)
            single = elder.child is None and self.graph.accepts(elder, child)
            member = self.graph.add(at, child, child.fingerprint, elder if single else None, proven=True)
        elif member.parent == parent:
            member.proven = True
        self.graph.account_of(member).suspect = None
        return [Event(at, Happening.ROTATED, None, member.fingerprint, parent, "by syncd")]

    def _refused(self, at: float, fingerprint: str, code: str) -> list[Event]:
        member = self.graph.members.get(fingerprint)
        if member is not None:
            member.refused = code
        return [Event(at, Happening.REFUSED, None, fingerprint, None, code)]

    def _place(
        self, at: float, slot: Slot, content: Holds | Fenced | Vacant, etag: str, member: Member | None
    ) -> Place:
        place = Place(slot, content, etag, at)
        if member is not None:
            place.fingerprint = member.fingerprint
            place.account = self.graph.account_of(member).id
            if isinstance(content, Holds) and content.digests:
                self._by_digest[content.digests[0]] = member.fingerprint
        if (old := self.places.get(slot)) is not None:
            place.ours, place.undone = old.ours, old.undone
            place.ours_access_only = old.ours_access_only and _is_access_only(content)
            if old.fingerprint == place.fingerprint:
                place.since = old.since
        self.places[slot] = place
        return place


def _is_access_only(content: Holds | Fenced | Vacant) -> bool:
    return isinstance(content, Holds) and content.token.fingerprint is None
