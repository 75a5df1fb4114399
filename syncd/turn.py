"""The one pass: read, observe, record, plan, apply, report. The only place that orders effects.

Everything enters here at one door: a file event, a timer, a question on the socket. What was seen is durable before
any store is written; a write names the value that it expects to replace; what a store held is read back after the
write, and whatever the write turned out to displace is recorded as evidence and starts a new turn.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby

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

# A pool of 1 to 4 was best in a trial, 8 was worse (DESIGN section 12).
POOL = 4

# Another syncd holds a lineage for one turn; this long is worth waiting for it (seconds).
LOCK_PATIENCE = 2.0

# A write that displaced something newer is followed by another; more than this in one turn is a contest.
ROUNDS = 3

# A tool that writes in place has written into the replaced file by then (DESIGN rule 4), seconds.
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
    nothing is written. `wall` and `ticks` are seconds, since the epoch and monotonic.
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
    last_seq: int = 0

    def load(self, ledger: Ledger) -> list[Event]:
        """Fold what the ledger knows; `ledger` may be open for reading only."""
        self.vault = ledger.vault()
        return self._fold(ledger.facts(self.last_seq))

    def turn(self, due: Collection[str] | None = None, *, write: bool = True) -> Report:
        """One pass over the stores `due` (None: all of them), and over the accounts of whatever changed in them."""
        report = Report()
        touched = self._catch_up()
        sightings = self.shelf.read(self.shelf.stores if due is None else due)
        touched += self._observe(sightings, report)
        if write:
            every = self.lineage.places if due is None else [*touched, *self.attempts]
            self._mend_all(every, report)
        return report

    def look_back(self) -> Report:
        """Read the replaced files whose time has come once more; what was written into them since is evidence."""
        report, now = Report(), self.ticks()
        ripe = [one for one in self.glances if one.at <= now]
        self.glances = [one for one in self.glances if one.at > now]
        for one in ripe:
            self._record(*_displaced(one.look(last=True), one.previous), report)
        if report.events:
            self._mend_all([one.slot for one in ripe], report)
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
        events = self._fold(self.ledger.facts(self.last_seq)) if self.ledger is not None else []
        if events and self.ledger is not None:
            self.vault = self.ledger.vault()
        return [one.slot for one in events if one.slot is not None]

    def _observe(self, sightings: Iterable[Sighting], report: Report) -> list[Slot]:
        """Record what is new in what was read, and what is gone; the slots that changed."""
        bodies: list[Seen] = []
        credentials: list[Credential] = []
        for one in sightings:
            if (fact := self._news(one)) is not None:
                bodies.append(fact)
            if one.credential is not None and self._is_worth_keeping(one.credential):
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

    def _is_worth_keeping(self, credential: Credential) -> bool:
        """Never seen, or a newer access token of one that is live, or the same with an id token."""
        fingerprint = credential.token.fingerprint
        if fingerprint is None:
            return False
        member = self.lineage.graph.members.get(fingerprint)
        kept = self.vault.get(fingerprint)
        if kept is None:
            return member is None or member.live
        if kept.token.access == credential.token.access:
            return kept.id_token is None and credential.id_token is not None  # Codex needs one, others have none
        return fresher(credential.token, kept.token)

    def _record(self, bodies: Collection[FactBody], credentials: Collection[Credential], report: Report) -> None:
        """Durable first, then folded: a ledger that cannot be written teaches nothing and writes nothing."""
        change = Change(tuple(bodies), tuple(credentials))
        if not change:
            return
        now = self.wall()
        if self.ledger is not None:
            facts = self.ledger.record(change, now)
        else:
            facts = [Fact(0, now, body) for body in bodies]
        for credential in credentials:
            self.vault[credential.token.fingerprint or ""] = credential
        report.events += self._fold(facts)

    def _fold(self, facts: Iterable[Fact]) -> list[Event]:
        events = []
        for fact in facts:
            events += self.lineage.apply(fact)
            self.last_seq = max(self.last_seq, fact.seq)
        return events

    def _clean_vault(self) -> None:
        """Only the newest credential of each family stays; a refused `reused` one stays too (DESIGN rule 12)."""
        members = self.lineage.graph.members
        gone = [name for name in self.vault if name in members and members[name].child is not None]
        if gone and self.ledger is not None:
            self.ledger.record(Change(drop=gone), self.wall())
            for name in gone:
                del self.vault[name]

    # -- plan, apply --------------------------------------------------------------------------------------------------

    def _mend_all(self, slots: Iterable[Slot], report: Report) -> None:
        """Make every account current to which one of these slots belongs."""
        if self.ledger is None:
            return
        places = [place for slot in slots if (place := self.lineage.places.get(slot)) is not None]
        found = [account for place in places if (account := self.lineage.account_at(place)) is not None]
        for account in {account.id: account for account in found}.values():
            self._mend(account, report)
        self._clean_vault()
        report.next_at = min((one.next_at for one in self.attempts.values()), default=None)

    def _mend(self, account: Account, report: Report) -> None:
        """Make the stores of one account current, alone with this lineage among the syncd of this user.

        What a write displaced may be newer than what it wrote: then the plan is made again, at most ROUNDS times.
        """
        for _ in range(ROUNDS):
            writes = [write for write in self._plan(account) if self._is_due(write.slot)]
            if not writes:
                return
            try:
                with lineage_lock(account, LOCK_PATIENCE):
                    learnt = self._settle(self._apply(writes), report)
            except LineageBusy as busy:
                for write in writes:
                    self._note(write.slot, Busy(str(busy)), report)
                return
            if not learnt:
                return

    def _plan(self, account: Account) -> list[Write]:
        slots = {place.slot for place in self.lineage.places_of(account)}
        sightings = [one for one in self.shelf.sightings() if one.slot in slots]
        findings = survey(self.lineage, sightings, self.shelf.usages, self.policy, self.wall())
        for one in findings:
            if one.write is None:
                self.attempts.pop(one.slot, None)
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

    def _settle(self, outcomes: Collection[tuple[Write, WriteOutcome]], report: Report) -> bool:
        """Read back what was written, record it, and note what failed. True where something was displaced."""
        done = [(write, outcome) for write, outcome in outcomes if isinstance(outcome, Written)]
        self.shelf.read(sorted({write.slot.store for write, _ in done}))
        bodies: list[FactBody] = []
        found: list[Credential] = []
        for write, written in done:
            place = self.lineage.places.get(write.slot)
            previous = place.fingerprint if place else None
            facts, credentials = _displaced(self._under(write, written, previous), previous)
            bodies += facts
            found += credentials
        learnt = bool(bodies)
        bodies += [fact for write, written in done if (fact := self._read_back(write, written, report)) is not None]
        self._record(bodies, found, report)
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

    def _read_back(self, write: Write, outcome: Written, report: Report) -> Wrote | None:
        """The fact of a write, where the store holds it; where it holds something else by now, look again."""
        now = self.shelf.sighting(write.slot)
        if now is not None and now.etag == outcome.etag and isinstance(now.content, Holds):
            report.written.append(write.slot)
            return Wrote(write.slot, now.content, now.etag)
        report.again.add(write.slot.store)
        return None

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
