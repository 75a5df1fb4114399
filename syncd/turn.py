"""The one pass: read, observe, record, plan, apply, report. The only place that orders effects.

Everything enters here at one door: a file event, a timer, a question on the socket. What was seen is durable before
any store is written; a write names the value that it expects to replace; what a store held is read back after the
write, and whatever the write turned out to displace is recorded as evidence and starts a new turn.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby

from syncd.errors import LedgerFault
from syncd.ledger import Change, Ledger
from syncd.lineage import Account, Event, Lineage, fresher
from syncd.locks import LineageBusy, lineage_lock
from syncd.model import (
    Credential,
    Displaced,
    Fact,
    FactBody,
    Fenced,
    Holds,
    Seen,
    Sighting,
    Slot,
    SlotState,
    Vacant,
    Wrote,
)
from syncd.plan import Finding, Policy, Write, survey
from syncd.ports import Busy, Changed, Clock, Failed, LookBack, Replacement, WriteOutcome, Written
from syncd.retry import Attempt, after
from syncd.shelf import Shelf

# A pool of 1 to 4 was best in a trial, 8 was worse.
POOL = 4

# Another syncd holds a lineage for one turn; this long is worth waiting for it (seconds).
LOCK_PATIENCE = 2.0

# A write that met something newer is followed by another; more than this in one turn is a contest.
ROUNDS = 3

# A tool that writes in place has written into the replaced file by then (docs/rules.md, 4), seconds.
LOOK_BACK_AFTER = 0.250


@dataclass(frozen=True, slots=True)
class Glance:
    """A replaced file to be looked at once more, at `at` on the monotonic clock."""

    at: float
    slot: Slot
    previous: str | None
    look: LookBack


@dataclass(slots=True)
class Report:
    """What a turn did. `again`: stores to read at once. `next_at`: when a write is tried again (monotonic, s)."""

    events: list[Event] = field(default_factory=list)
    written: list[Slot] = field(default_factory=list)
    failed: list[tuple[Slot, Busy | Failed]] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    next_at: float | None = None


@dataclass(slots=True)
class Keeper:
    """What a turn works on. Not thread-safe: one turn at a time.

    `ledger`: None where syncd only looks (a dry run, `status` without a daemon): facts are folded, not recorded, and
    nothing is written. `owed`: what a ledger that failed has still to be told, because no store will show it again.
    `wall` and `ticks` are seconds, since the epoch and monotonic.
    """

    shelf: Shelf
    policy: Policy
    ledger: Ledger | None
    lineage: Lineage = field(default_factory=Lineage)
    vault: dict[str, Credential] = field(default_factory=dict)
    wall: Clock = time.time
    ticks: Clock = time.monotonic
    attempts: dict[Slot, Attempt] = field(default_factory=dict)
    glances: list[Glance] = field(default_factory=list)
    owed: tuple[Sequence[FactBody], Sequence[Credential]] = ((), ())
    last_seq: int = 0

    def load(self, ledger: Ledger) -> list[Event]:
        """Fold what the ledger knows; `ledger` may be open for reading only."""
        self.vault = ledger.vault()
        return self._fold(ledger.facts(self.last_seq))

    def turn(self, due: Collection[str] | None = None, *, write: bool = True) -> Report:
        """One pass over the stores `due` (None: all of them), and over the accounts of whatever changed in them."""
        report = Report()
        touched = [*self._catch_up(), *self._pay(report)]
        sightings = self.shelf.read(self.shelf.stores if due is None else due)
        touched += self._observe(sightings, report)
        if write:
            self._mend_all(self.lineage.places if due is None else touched, report)
        return report

    def look_back(self) -> Report:
        """Read the replaced files whose time has come once more; what was written into them since is evidence."""
        report, now = Report(), self.ticks()
        slots = self._pay(report)
        for one in [one for one in self.glances if one.at <= now]:
            self.glances.remove(one)
            slots.append(one.slot)
            self._record(*_displaced(one.look(last=True), one.previous), report)
        if report.events:
            self._mend_all(slots, report)
        return report

    def rest(self) -> None:
        """Wait until something that this keeper waits for is due: a glance, or the next try; at most 0.3 s."""
        times = [one.at for one in self.glances] + [one.next_at for one in self.attempts.values()]
        if times:
            time.sleep(max(0.0, min(min(times) - self.ticks(), 0.3)))

    def findings(self) -> tuple[Finding, ...]:
        """How every slot stands now, with what is known of its last write."""
        found = survey(self.lineage, self.shelf.sightings(), self.shelf.usages, self.policy, self.wall())
        return tuple(self._with_attempt(one) for one in found)

    # -- read, observe, record ----------------------------------------------------------------------------------------

    def _catch_up(self) -> list[Slot]:
        """Fold what another syncd on the same ledger recorded meanwhile; the slots that it is about."""
        if self.ledger is None:
            return []
        known = self.last_seq
        events = self._fold(self.ledger.facts(known))
        if self.last_seq > known:
            self.vault = self.ledger.vault()
        return [one.slot for one in events if one.slot is not None]

    def _observe(self, sightings: Iterable[Sighting], report: Report) -> list[Slot]:
        """Record what is new in what was read, and what is gone; the slots that changed."""
        bodies: list[Seen] = []
        credentials: list[Credential] = []
        for one in sightings:
            if (fact := self._news(one)) is not None:
                bodies.append(fact)
            if one.credential is not None:
                credentials.append(one.credential)
        known = [slot for slot, place in self.lineage.places.items() if not isinstance(place.content, Vacant)]
        bodies += [Seen(slot, Vacant("it is not there any more"), "") for slot in self.shelf.gone(known)]
        self._record(bodies, credentials, report)
        return [one.slot for one in bodies]

    def _news(self, sighting: Sighting) -> Seen | None:
        """The fact that a sighting is; None where it is nothing new, or no evidence."""
        content, place = sighting.content, self.lineage.places.get(sighting.slot)
        if not isinstance(content, Holds | Fenced | Vacant):
            return None
        if place is None and isinstance(content, Vacant):
            return None
        if place is not None and place.etag == sighting.etag and type(place.content) is type(content):
            return None
        return Seen(sighting.slot, content, sighting.etag)

    def _worth_keeping(self, found: Iterable[Credential]) -> dict[str, Credential]:
        """Of what was found, the best credential of each refresh token, where the vault has none as good."""
        best: dict[str, Credential] = {}
        for one in found:
            name = one.token.fingerprint
            if name is not None and self._improves(name, one, best.get(name) or self.vault.get(name)):
                best[name] = one
        return best

    def _improves(self, fingerprint: str, found: Credential, kept: Credential | None) -> bool:
        """Never seen, or a newer access token of one that is live, or the same with an id token."""
        if kept is None:
            member = self.lineage.graph.members.get(fingerprint)
            return member is None or member.live
        if kept.token.access == found.token.access:
            return kept.id_token is None and found.id_token is not None  # Codex needs one, others have none
        return fresher(found.token, kept.token)

    def _record(self, bodies: Collection[FactBody], found: Collection[Credential], report: Report) -> None:
        """Durable first, then folded: a ledger that cannot be written teaches nothing and writes nothing."""
        bodies, found = [*self.owed[0], *bodies], [*self.owed[1], *found]
        facts: list[Fact] | None = None
        while facts is None:
            credentials = self._worth_keeping(found)
            change = Change(tuple(bodies), tuple(credentials.values()))
            if not change:
                return
            try:
                facts = self._record_once(change)
            except LedgerFault:
                self.owed = _not_to_be_seen_again(bodies, found)
                raise
        self.owed = ((), ())
        self.vault |= credentials
        report.events += self._fold(facts)

    def _record_once(self, change: Change) -> list[Fact] | None:
        """None where another syncd was faster: the same facts in the same order, or two memories part."""
        now = self.wall()
        if self.ledger is None:
            return [Fact(0, now, body) for body in change.facts]
        facts = self.ledger.record(change, now, self.last_seq)
        if facts is None:
            self._catch_up()
        return facts

    def _pay(self, report: Report) -> list[Slot]:
        """Tell the ledger what it is owed; the slots that it is about."""
        slots = [one.slot for one in self.owed[0] if isinstance(one, Wrote | Displaced)]
        if slots:
            self._record((), (), report)
        return slots

    def _fold(self, facts: Iterable[Fact]) -> list[Event]:
        events = []
        for fact in facts:
            events += self.lineage.apply(fact)
            self.last_seq = max(self.last_seq, fact.seq)
        return events

    def _clean_vault(self) -> None:
        """Only the newest credential of each family stays; a refused `reused` one stays too (docs/rules.md, 12)."""
        members = self.lineage.graph.members
        gone = [name for name in self.vault if name in members and members[name].child is not None]
        if gone and self.ledger is not None:
            self.ledger.record(Change(drop=gone), self.wall())
            for name in gone:
                del self.vault[name]

    # -- plan, apply --------------------------------------------------------------------------------------------------

    def _mend_all(self, slots: Iterable[Slot], report: Report) -> None:
        """Make every account current to which one of these slots belongs.

        What a write displaced, or what came right behind it, may be newer than what it wrote: then it is planned again.
        """
        if self.ledger is None:
            return
        slots, wanted = [*slots, *self.attempts], set()
        for _ in range(ROUNDS):
            places = [place for slot in slots if (place := self.lineage.places.get(slot)) is not None]
            found = [account for place in places if (account := self.lineage.account_at(place)) is not None]
            slots = []
            for account in {account.id: account for account in found}.values():
                writes = self._plan(account)
                wanted |= {write.slot for write in writes}
                slots += self._mend(account, [write for write in writes if self._is_due(write.slot)], report)
        # What is not to be written any more (its store is gone, or is unreadable) is not tried again either.
        self.attempts = {slot: one for slot, one in self.attempts.items() if slot in wanted}
        self._clean_vault()
        report.next_at = min((one.next_at for one in self.attempts.values()), default=None)

    def _mend(self, account: Account, writes: Collection[Write], report: Report) -> list[Slot]:
        """Write these stores of one account, alone with this lineage among the syncd of this user.

        The slots of which that taught something new.
        """
        if not writes:
            return []
        try:
            with lineage_lock(account, LOCK_PATIENCE):
                return self._settle(self._apply(writes), report)
        except LineageBusy as busy:
            for write in writes:
                self._note(write.slot, Busy(str(busy)), report)
            return []

    def _plan(self, account: Account) -> list[Write]:
        slots = {place.slot for place in self.lineage.places_of(account)}
        # What is read but not recorded yet (the ledger refused it) is not planned over.
        sightings = [one for one in self.shelf.sightings() if one.slot in slots and self._news(one) is None]
        findings = survey(self.lineage, sightings, self.shelf.usages, self.policy, self.wall())
        return [one.write for one in findings if one.write is not None]

    def _is_due(self, slot: Slot) -> bool:
        attempt = self.attempts.get(slot)
        return attempt is None or attempt.next_at <= self.ticks()

    def _apply(self, writes: Collection[Write]) -> list[tuple[Write, WriteOutcome]]:
        """Stores side by side, the slots of one store one after another; one that fails does not stop the others."""
        by_store = [list(group) for _, group in groupby(sorted(writes, key=_store_of), key=_store_of)]
        if len(by_store) == 1:
            return self._apply_to_store(by_store[0])
        with ThreadPoolExecutor(max_workers=min(POOL, len(by_store)), thread_name_prefix="write") as pool:
            return [outcome for done in pool.map(self._apply_to_store, by_store) for outcome in done]

    def _apply_to_store(self, writes: Collection[Write]) -> list[tuple[Write, WriteOutcome]]:
        return [(write, self._apply_one(write)) for write in writes]

    def _apply_one(self, write: Write) -> WriteOutcome:
        store = self.shelf.stores.get(write.slot.store)
        credential = self.vault.get(write.token.fingerprint or "")
        if store is None:
            return Changed()
        if credential is None or credential.token.access != write.token.access:
            return Failed("syncd holds no copy of the newest credential", "syncd status")
        request = Replacement(write.slot.name, write.expected, credential, self.wall(), write.access_only)
        return store.write(request)

    # -- report -------------------------------------------------------------------------------------------------------

    def _settle(self, outcomes: Collection[tuple[Write, WriteOutcome]], report: Report) -> list[Slot]:
        """Read back what was written, record it, and note what failed. The slots where something else was found."""
        done = [(write, outcome) for write, outcome in outcomes if isinstance(outcome, Written)]
        sightings = self.shelf.read(sorted({write.slot.store for write, _ in done}))
        displaced: list[FactBody] = []
        found: list[Credential] = []
        learnt: list[Slot] = []
        for write, written in done:
            place = self.lineage.places.get(write.slot)
            previous = place.fingerprint if place else None
            facts, credentials = _displaced(self._under(write, written, previous), previous)
            displaced += facts
            found += credentials
            learnt += [write.slot] * bool(facts)
        self._record([*displaced, *(self._read_back(write, written, report) for write, written in done)], found, report)
        learnt += self._observe(sightings, report)
        for write, outcome in outcomes:
            self._note(write.slot, outcome, report)
        return learnt

    def _under(self, write: Write, outcome: Written, previous: str | None) -> tuple[Sighting, ...]:
        """What lay under a write and was not expected; keeps the look back for later."""
        if outcome.look_back is None:
            return outcome.displaced
        at_once = outcome.look_back()
        self.glances.append(Glance(self.ticks() + LOOK_BACK_AFTER, write.slot, previous, outcome.look_back))
        return (*outcome.displaced, *at_once)

    def _read_back(self, write: Write, outcome: Written, report: Report) -> Wrote:
        """The fact of a write. It was there also where another program has replaced it by now: that came after it."""
        report.written.append(write.slot)
        now = self.shelf.sighting(write.slot)
        if now is not None and now.etag == outcome.etag and isinstance(now.content, Holds):
            return Wrote(write.slot, now.content, now.etag)
        token = replace(write.token, fingerprint=None) if write.access_only else write.token
        return Wrote(write.slot, Holds(token), outcome.etag)

    def _note(self, slot: Slot, outcome: WriteOutcome, report: Report) -> None:
        match outcome:
            case Written():
                self.attempts.pop(slot, None)
            case Changed():
                report.again.add(slot.store)
            case Busy() | Failed():
                self.attempts[slot] = after(outcome, self.attempts.get(slot), self.ticks())
                report.failed.append((slot, outcome))

    def _with_attempt(self, finding: Finding) -> Finding:
        attempt = self.attempts.get(finding.slot)
        if attempt is None or finding.write is None:
            return finding
        state = SlotState.BUSY if isinstance(attempt.outcome, Busy) else SlotState.BEHIND
        hint = attempt.outcome.hint if isinstance(attempt.outcome, Failed) else None
        return replace(finding, state=state, reason=f"not written: {attempt.outcome.reason}", hint=hint)


def _store_of(write: Write) -> str:
    return write.slot.store


def _displaced(under: Iterable[Sighting], previous: str | None) -> tuple[list[FactBody], list[Credential]]:
    """The facts and credentials of what lay under a write; what is no credential proves nothing."""
    held = [(one, one.content) for one in under if isinstance(one.content, Holds)]
    facts: list[FactBody] = [Displaced(one.slot, content, previous) for one, content in held]
    return facts, [one.credential for one, _ in held if one.credential is not None and one.credential.refresh]


def _not_to_be_seen_again(
    bodies: Iterable[FactBody], found: Iterable[Credential]
) -> tuple[Sequence[FactBody], Sequence[Credential]]:
    """Of what could not be recorded: syncd's own writes, and what they displaced. All else lies in a store."""
    facts = [one for one in bodies if isinstance(one, Wrote | Displaced)]
    displaced = {one.content.token.fingerprint for one in facts if isinstance(one, Displaced)}
    return facts, [one for one in found if one.token.fingerprint in displaced]
