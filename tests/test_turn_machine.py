"""The turn against a perfect model of the world: whatever the programs around it do, no login is lost by syncd's hand.

Hypothesis makes up lives: clients that refresh, sign in, sign out and die, backups that come back, disks that fill,
syncd killed at any moment, two syncd at once. After each step what really happened (world_model) is held against what
syncd wrote and what it keeps.

Where no session claim tells one sign-in from two, some lives of one look like two, which are then left apart
(`forked`): a crash between a store's write and its record, then a client's rotation before syncd looks again; an old
Codex that saves what it has in flight over a backup that came back meanwhile. Tokens that are copied from store to
store behind syncd's back are played with session claims only.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from syncd import locks
from syncd.errors import LedgerFault
from syncd.ledger import Change, Ledger
from syncd.lineage import Lineage
from syncd.model import Fact, Role, Unify
from syncd.plan import Policy
from syncd.ports import Busy, Changed, Failed
from syncd.turn import Keeper
from tests.fake_stores import FakeAdapter, FakeStore, shelf_of
from tests.world_model import ApiKey, Authority, Client, Family, Fence, Fencing, InPlace, Login, Renaming, Row

# A failure is worth the time that it takes to find its shortest story (seconds).
pytestmark = pytest.mark.timeout(900)

Place = tuple[str, str]

OLD_CODEX, NEW_CODEX, OBSERVED, SECOND = ("old", "main"), ("new", "main"), ("observed", "main"), ("second", "main")
CLAW, CLAW_TOO, FOLLOWER = ("claw", "main"), ("claw", "too"), ("follower", "main")
PLACES = (OLD_CODEX, NEW_CODEX, CLAW, CLAW_TOO, FOLLOWER, OBSERVED, SECOND)
REFRESHING = tuple(place for place in PLACES if place is not FOLLOWER)
STORES = ("old", "new", "claw", "follower", "observed", "second")
ROLES = {"follower": Role.FOLLOWER, "observed": Role.OBSERVER}

# Longer than every pause of the turn: what is still not written then never will be (seconds).
QUIET = 7_200.0

# Thousands of real fsyncs a second, where the system has a disk in memory.
MEMORY = Path("/dev/shm")  # noqa: S108  mkdtemp makes a folder of our own in it

places, refreshing, stores = st.sampled_from(PLACES), st.sampled_from(REFRESHING), st.sampled_from(STORES)


class Crash(BaseException):
    """syncd was killed here."""


class Brittle(Ledger):
    """A ledger whose disk is full, or whose process dies, at the `countdown`-th record from now."""

    countdown = 0
    dies_after = False

    def record(self, change: Change, now: float, after: int | None = None) -> list[Fact] | None:
        self.countdown -= 1
        if self.countdown == 0 and not self.dies_after:
            raise LedgerFault(self.path, "no space left on device")
        recorded = super().record(change, now, after)
        if self.countdown == 0:
            raise Crash
        return recorded


class Life(RuleBasedStateMachine):
    """Two accounts, six stores, two syncd on one ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="syncd-life-", dir=MEMORY if MEMORY.is_dir() else None))
        self.folder.chmod(0o700)
        self.patch = mock.patch.object(locks, "_folder", lambda: self.folder / "locks")
        self.patch.start()
        self.authority = Authority()
        self.stores = {name: FakeStore(name, locked=name in ("new", "claw", "follower")) for name in STORES}
        self.adapter = FakeAdapter(list(self.stores.values()))
        self.clients: dict[Place, Client] = {place: self._client(place) for place in REFRESHING}
        self.history: dict[Place, list[Login]] = {place: [] for place in PLACES}
        self.seen: set[Login] = set()
        self.shown: set[tuple[Place, str]] = set()
        self.put_last: dict[Place, Login] = {}
        self.met: dict[Place, set[int]] = {place: set() for place in PLACES}
        self.forked = False
        self.keepers: list[Keeper] = []

    def teardown(self) -> None:
        for keeper in self.keepers:
            self._ledger(keeper).close()
        self.patch.stop()
        shutil.rmtree(self.folder)

    @initialize(sessions=st.booleans(), revokes=st.booleans(), apart=st.booleans())
    def begin(self, sessions: bool, revokes: bool, apart: bool) -> None:
        self.authority.sessions, self.authority.revokes = sessions, revokes
        first, other = self.authority.sign_in(0), self.authority.sign_in(1)
        for place in PLACES:
            self._put(place, other if place in (SECOND, CLAW_TOO) else first)
        if apart:
            self._put(CLAW, self.authority.sign_in(0))
        self.keepers = [self._keeper(), self._keeper()]

    # -- the programs -------------------------------------------------------------------------------------------------

    @rule(place=refreshing)
    def client_refreshes(self, place: Place) -> None:
        self.client_works(place, 1)
        while not self.clients[place].idle:
            self.client_works(place, 1)

    @rule(place=refreshing, steps=st.integers(1, 4))
    def client_works(self, place: Place, steps: int) -> None:
        for _ in range(steps):
            self.clients[place].step()
            self._remember()

    @rule(place=refreshing, offline=st.booleans())
    def client_fails(self, place: Place, offline: bool) -> None:
        """It is killed; or its next request does not get through, which an OpenClaw takes for the end of the login."""
        client = self.clients[place]
        if offline and isinstance(client, Fencing):
            client.offline = True
        else:
            client.die()

    @rule(place=places, account=st.sampled_from([0, 0, 1]), revoking=st.booleans())
    def user_signs_in(self, place: Place, account: int, revoking: bool) -> None:
        if revoking:
            self._revoke(place)
        self._put(place, self.authority.sign_in(account))

    @rule(place=places, how=st.sampled_from(["signed out", "moved to the keyring", "an API key instead"]))
    def login_goes(self, place: Place, how: str) -> None:
        if how == "signed out":
            self._revoke(place)
        self._put(place, ApiKey() if how == "an API key instead" else None)

    @rule(place=places, which=st.integers(0, 30))
    def backup_is_restored(self, place: Place, which: int) -> None:
        if snapshots := self.history[place]:
            self.forked |= place in self.clients and not self.clients[place].idle
            self._put(place, snapshots[which % len(snapshots)])

    @precondition(lambda self: self.authority.sessions)
    @rule(source=places, to=places)
    def login_is_copied(self, source: Place, to: Place) -> None:
        row = self._row(source)
        if isinstance(row, Login) and row.refresh:
            self._put(to, row)

    @rule(place=places)
    def access_token_is_renewed(self, place: Place) -> None:
        """Not where a sign-in could be taken for its successor: its renewal afterwards would show that it is none."""
        row = self._row(place)
        if not isinstance(row, Login) or row.refresh is None or not self._is_told_apart(self.authority.family(row)):
            return
        if renewed := self.authority.renew(row.refresh):
            self._put(place, renewed)

    @rule(store=stores, how=st.sampled_from(["unreadable", "vanished", Busy("held"), Failed("read-only"), Changed()]))
    def store_fails(self, store: str, how: str | Busy | Failed | Changed) -> None:
        if how == "unreadable":
            self.stores[store].blind ^= True
        elif how == "vanished":
            self.adapter.hidden ^= {store}
        elif not isinstance(how, str):
            self.stores[store].scripted = [how, how]

    @rule(seconds=st.sampled_from([0.3, 5.0, 90.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.authority.now += seconds

    # -- syncd --------------------------------------------------------------------------------------------------------

    @rule(
        who=st.integers(0, 1), due=st.none() | st.frozensets(stores), write=st.sampled_from([True, True, True, False])
    )
    def syncd_turns(self, who: int, due: frozenset[str] | None, write: bool) -> None:
        self._turn(self.keepers[who], due, write=write)

    @rule(
        who=st.integers(0, 1),
        moment=st.sampled_from(["before", "swap", "read"]),
        place=refreshing,
        steps=st.integers(1, 5),
    )
    def syncd_turns_while_a_client_works(self, who: int, moment: str, place: Place, steps: int) -> None:
        self.stores[place[0]].hooks = {moment: lambda: self.client_works(place, steps)}
        self._turn(self.keepers[who])

    @rule(who=st.integers(0, 1), place=refreshing, steps=st.integers(1, 5))
    def client_works_right_behind_a_write(self, who: int, place: Place, steps: int) -> None:
        """Between the write and the moment in which syncd reads the store back."""
        store = self.stores[place[0]]
        store.hooks = {"before": lambda: store.hooks.update(read=lambda: self.client_works(place, steps))}
        self._turn(self.keepers[who])

    @rule(who=st.integers(0, 1), moment=st.sampled_from(["swap", "behind"]))
    def old_codex_saves_during_a_write(self, who: int, moment: str) -> None:
        """It has its answer, and saves it in the moment between syncd's look and its write, or just after."""
        client = self.clients[OLD_CODEX]
        for _ in range(2):
            client.step()
        self.stores["old"].hooks = {moment: lambda: self.client_works(OLD_CODEX, 2)}
        self._turn(self.keepers[who])

    @rule(who=st.integers(0, 1), store=stores)
    def both_syncd_turn_at_once(self, who: int, store: str) -> None:
        other = self.keepers[1 - who]
        self.stores[store].hooks = {"read": lambda: other.turn()}
        self._turn(self.keepers[who])

    @rule(who=st.integers(0, 1))
    def syncd_looks_back(self, who: int) -> None:
        self.authority.now += 0.3
        self._note(self.keepers[who].look_back, self.keepers[who])

    @rule(who=st.integers(0, 1))
    def syncd_restarts(self, who: int) -> None:
        self._ledger(self.keepers[who]).close()
        self.keepers[who] = self._keeper()

    @rule(who=st.integers(0, 1), due=st.none() | st.frozensets(stores), which=st.integers(1, 3))
    def disk_is_full(self, who: int, due: frozenset[str] | None, which: int) -> None:
        """The same syncd goes on afterwards, as the daemon does."""
        ledger = self._ledger(self.keepers[who])
        ledger.countdown = which
        self._turn(self.keepers[who], due)
        ledger.countdown = 0

    @rule(who=st.integers(0, 1), store=st.none() | stores, which=st.integers(1, 3))
    def syncd_is_killed(self, who: int, store: str | None, which: int) -> None:
        """In a write, or right behind a record."""
        ledger = self._ledger(self.keepers[who])
        if store is not None:
            self.stores[store].scripted = [Crash()]
        else:
            ledger.countdown, ledger.dies_after = which, True
        self._turn(self.keepers[who])
        if store is not None:
            self.stores[store].scripted = []
        self.syncd_restarts(who)

    # -- what must hold -----------------------------------------------------------------------------------------------

    @rule(who=st.integers(0, 1))
    def quiet_turns_make_everything_current(self, who: int) -> None:
        for client in self.clients.values():
            while not client.idle:
                client.step()
        self.adapter.hidden.clear()
        for store in self.stores.values():
            store.blind, store.scripted, store.hooks = False, [], {}
        keeper = self.keepers[who]
        self.authority.now += QUIET
        for _ in range(4):
            self._turn(keeper)
            self.authority.now += 0.3
            self._note(keeper.look_back, keeper)
        report = keeper.turn()
        assert (report.written, report.failed, report.again, report.next_at) == ([], [], set(), None)
        for place in PLACES:
            self._is_current(place)

    @invariant()
    def newest_login_is_never_lost(self) -> None:
        """The newest token that syncd ever saw of each login is in the vault, durable."""
        kept = self._vault()
        for newest in self._newest():
            assert kept.get(newest.refresh or "", 0) >= self.authority.issued(newest), f"{newest.refresh} is lost"

    def _newest(self) -> Iterator[Login]:
        """Of each account; where session claims tell the families apart, of each family."""
        groups: dict[object, list[Login]] = {}
        for login in self.seen:
            family = self.authority.family(login)
            groups.setdefault(family.session or family.account, []).append(login)
        return (max(group, key=self.authority.issued) for group in groups.values())

    def _is_current(self, place: Place) -> None:
        """A slot that syncd may write holds the newest of its login that syncd ever saw."""
        row, role = self._row(place), ROLES.get(place[0], Role.PEER)
        if role is Role.OBSERVER or not isinstance(row, Login | Fence):
            return
        login = row.login if isinstance(row, Fence) else row
        last = self.put_last.get(place, login)
        if row is login and self.authority.family(last).account == self.authority.family(login).account:
            assert self.authority.issued(login) >= self.authority.issued(last), f"{place} went backwards"
        if isinstance(row, Fence) and not (row.failed and (place, login.refresh) in self.shown):
            return  # an orphan of a killed client; or a failed one that names a token never seen there
        family = self.authority.family(login)
        if not self._is_told_apart(family) or (family.session is None and self.forked):
            return
        newest = max((one for one in self.seen if self.authority.family(one) is family), key=self.authority.issued)
        assert row == (Login(newest.access, None) if role is Role.FOLLOWER else newest), f"{place} was left behind"

    def _is_told_apart(self, family: Family) -> bool:
        """Can its tokens be told from another sign-in's? By a session claim, or because there is no other."""
        return family.session is not None or len(self.authority.families_of(family.account)) == 1

    def _never_backwards(self) -> None:
        for mark in [mark for store in self.stores.values() for mark in store.marks]:
            held = mark.compared.login if isinstance(mark.compared, Fence) else mark.compared
            assert isinstance(held, Login), f"{mark.compared} was written over"
            assert ROLES.get(mark.store) is not Role.OBSERVER
            assert self.authority.family(held).account == self.authority.family(mark.put).account
            assert not self.authority.descends(held, mark.put), "a token was written over its own descendant"
            # A fence names its refresh token, and not the newest access token that there was of it.
            age = self.authority.born(held) if isinstance(mark.compared, Fence) else self.authority.issued(held)
            assert self.authority.issued(mark.put) >= age, "an older login over a newer one"
            if isinstance(mark.compared, Fence) and not mark.compared.failed:
                assert mark.put.refresh != held.refresh, "a pending fence of the newest login was written over"

    def _never_across(self) -> None:
        """Two sign-ins that session claims tell apart, and that no slot was seen to change between, are left apart."""
        for mark in [mark for store in self.stores.values() for mark in store.marks if self.authority.sessions]:
            held, put = self._sign_in(mark.compared), self._sign_in(mark.put)
            assert held == put or any({held, put} <= met for met in self.met.values()), "a healthy sign-in was replaced"

    def _sign_in(self, row: Row) -> int:
        login = row.login if isinstance(row, Fence) else row
        assert isinstance(login, Login)
        return self.authority.families.index(self.authority.family(login))

    # -- how it is done -----------------------------------------------------------------------------------------------

    def _turn(self, keeper: Keeper, due: frozenset[str] | None = None, *, write: bool = True) -> None:
        keeper.shelf.discover()
        self._note(lambda: keeper.turn(due, write=write), keeper)

    def _note(self, act: object, keeper: Keeper) -> None:
        """Do it; then hold its writes, its memory and its record against the truth."""
        assert callable(act)
        finished = False
        try:
            act()
            finished = True
        except (Crash, LedgerFault):
            self.forked |= any(store.marks for store in self.stores.values())
        else:
            self._memory_is_the_record(keeper)
        self._notice(finished)
        self._never_backwards()
        self._never_across()
        for store in self.stores.values():
            store.shown, store.marks, store.hooks = [], [], {}
        self._remember()

    def _notice(self, finished: bool) -> None:
        """syncd has seen what it was shown, if it lived to record it."""
        kept = {} if finished else self._vault()
        for name, store in self.stores.items():
            written = {(one.name, one.put) for one in store.marks}
            for slot, row in store.shown:
                if isinstance(row, Login | Fence):
                    self.met[name, slot].add(self._sign_in(row))
                if not isinstance(row, Login):
                    continue
                if finished and (slot, row) not in written:
                    self.put_last[name, slot] = row
                if row.refresh and (finished or kept.get(row.refresh, 0) >= self.authority.issued(row)):
                    self.seen.add(row)
                if row.refresh and finished:
                    self.shown.add(((name, slot), row.refresh))

    def _vault(self) -> dict[str, float]:
        """The issue time of every credential that syncd keeps, by its refresh token, as another process finds it."""
        ledger = Ledger.open(self.folder / "state")
        if ledger is None:
            return {}
        vault = ledger.vault().values()
        ledger.close()
        return {one.refresh.reveal(): one.token.issued_at or 0 for one in vault if one.refresh}

    def _memory_is_the_record(self, keeper: Keeper) -> None:
        facts = [fact for fact in self._ledger(keeper).facts() if fact.seq <= keeper.last_seq]
        again, lineage = Lineage(facts), keeper.lineage
        assert again.graph.members == lineage.graph.members
        assert again.graph.families == lineage.graph.families
        assert again.graph.accounts == lineage.graph.accounts
        assert again.places == lineage.places

    def _keeper(self) -> Keeper:
        ledger = Brittle.create(self.folder / "state")
        policy = Policy(Unify.AUTO, lambda store: ROLES.get(store, Role.PEER))
        shelf = shelf_of(self.adapter, policy.role_of)
        keeper = Keeper(shelf, policy, ledger, wall=lambda: self.authority.now, ticks=lambda: self.authority.now)
        keeper.load(ledger)
        return keeper

    @staticmethod
    def _ledger(keeper: Keeper) -> Brittle:
        assert isinstance(keeper.ledger, Brittle)
        return keeper.ledger

    def _client(self, place: Place) -> Client:
        disk = self.stores[place[0]].disk
        match place[0]:
            case "claw":
                return Fencing(self.authority, disk, place[1])
            case "new":
                return Renaming(self.authority, disk, place[1])
            case _:
                return InPlace(self.authority, disk, place[1])

    def _row(self, place: Place) -> Row | None:
        return self.stores[place[0]].row(place[1])

    def _put(self, place: Place, row: Row | None) -> None:
        self._remember()
        self.stores[place[0]].put(row, place[1])
        self._remember()

    def _remember(self) -> None:
        for place, rows in self.history.items():
            row = self._row(place)
            if isinstance(row, Login) and row.refresh and row not in rows:
                rows.append(row)

    def _revoke(self, place: Place) -> None:
        row = self._row(place)
        if isinstance(row, Login) and row.refresh:
            self.authority.revoke(row.refresh)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=400,
    stateful_step_count=40,
    deadline=None,  # an fsync takes as long as it takes
    print_blob=True,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
