"""The turn, by value: what is recorded before what is written, and what becomes of every outcome of a write."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from syncd import locks, turn
from syncd.errors import LedgerFault
from syncd.ledger import Change, Ledger
from syncd.lineage import Happening, Lineage
from syncd.model import Fact, Role, SlotState, Unify
from syncd.plan import Policy
from syncd.ports import Busy, Changed, Failed
from syncd.turn import Keeper
from tests.fake_stores import FakeAdapter, FakeStore, credential_for, shelf_of
from tests.world_model import Authority, Fence, Fencing, InPlace, Login, Renaming


class FullDisk(Ledger):
    """A ledger that takes nothing more while `full`."""

    full = False

    def record(self, change: Change, now: float, after: int | None = None) -> list[Fact] | None:
        if self.full:
            raise LedgerFault(self.path, "no space left on device")
        return super().record(change, now, after)


class House:
    """Stores on one login, `first`, and a clock that only the test moves."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.authority = Authority()
        self.first = self.authority.sign_in(0)
        self.roles: dict[str, Role] = {}
        self.adapter = FakeAdapter([])
        self.ledgers: list[FullDisk] = []

    def store(self, name: str, *, locked: bool = True, role: Role = Role.PEER) -> FakeStore:
        """One more store, of this role, on the first login."""
        store = FakeStore(name, locked=locked)
        store.put(self.first)
        self.roles[name] = role
        self.adapter.stores.append(store)
        return store

    def syncd(self) -> Keeper:
        """One more syncd on the ledger of this state folder."""
        ledger = FullDisk.create(self.state)
        assert isinstance(ledger, FullDisk)
        self.ledgers.append(ledger)
        keeper = self.onlooker()
        keeper.ledger = ledger
        keeper.load(ledger)
        return keeper

    def onlooker(self) -> Keeper:
        """A syncd without a ledger."""
        policy = Policy(Unify.AUTO, lambda name: self.roles[name])
        shelf = shelf_of(self.adapter, policy.role_of)
        return Keeper(shelf, policy, None, wall=lambda: self.authority.now, ticks=lambda: self.authority.now)

    def spend(self, login: Login) -> Login:
        answer = self.authority.spend(login.refresh or "")
        assert isinstance(answer, Login)
        return answer

    def kept(self) -> set[str]:
        """The access tokens in the vault, as another process finds them."""
        ledger = Ledger.open(self.state)
        assert ledger is not None
        vault = ledger.vault()
        ledger.close()
        return {one.access.reveal() for one in vault.values()}


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other test, and no syncd of the developer's, waits for a lock that is taken here."""
    monkeypatch.setattr(locks, "_folder", lambda: tmp_path / "locks")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "state")
    yield house
    for ledger in house.ledgers:
        ledger.close()


def full_disk(keeper: Keeper) -> FullDisk:
    assert isinstance(keeper.ledger, FullDisk)
    return keeper.ledger


def state_of(keeper: Keeper, store: FakeStore) -> SlotState:
    return next(one.state for one in keeper.findings() if one.slot == store.slot())


class TestMirroring:
    def test_the_newest_login_reaches_every_store(self, house: House) -> None:
        stores = [house.store(name) for name in ("a", "b", "c", "d", "e")]
        keeper = house.syncd()
        keeper.turn()
        newest = house.spend(house.first)
        stores[2].put(newest)

        report = keeper.turn({"c"})

        assert [store.row() for store in stores] == [newest] * 5
        assert set(report.written) == {store.slot() for store in stores} - {stores[2].slot()}
        assert {state_of(keeper, store) for store in stores} == {SlotState.CURRENT}

    def test_a_turn_with_nothing_new_writes_nothing_and_records_nothing(self, house: House) -> None:
        store = house.store("a")
        keeper = house.syncd()
        keeper.turn()
        before = keeper.last_seq

        report = keeper.turn()

        assert (report.events, report.written, store.writes, keeper.last_seq) == ([], [], 0, before)

    def test_two_access_tokens_of_one_refresh_token_seen_at_once(self, house: House) -> None:
        """The first sight of a login must keep the newer of them, whichever store is read last."""
        old, new, older = house.store("old"), house.store("new"), house.store("older")
        renewed = house.authority.renew(house.first.refresh or "")
        assert renewed is not None
        new.put(renewed)

        report = house.syncd().turn()

        assert [old.row(), new.row(), older.row()] == [renewed] * 3
        assert report.failed == []

    def test_rolled_back_store_is_healed(self, house: House) -> None:
        a, b = house.store("a"), house.store("b")
        keeper = house.syncd()
        keeper.turn()
        newest = house.spend(house.first)
        a.put(newest)
        keeper.turn()
        b.put(house.first)

        report = keeper.turn({"b"})

        assert [one.happening for one in report.events] == [Happening.ROLLED_BACK, Happening.MIRRORED]
        assert b.row() == newest

    def test_follower_gets_no_refresh_token_and_a_peer_gets_it_back(self, house: House) -> None:
        house.store("peer")
        store = house.store("follower", role=Role.FOLLOWER)
        keeper = house.syncd()
        keeper.turn()
        assert store.row() == Login(house.first.access, None)

        house.roles["follower"] = Role.PEER
        keeper.turn()
        assert store.row() == house.first

    def test_new_sign_in_in_a_followers_slot_is_kept_and_passed_on_before_it_is_stripped(self, house: House) -> None:
        peer = house.store("peer")
        store = house.store("follower", role=Role.FOLLOWER)
        keeper = house.syncd()
        keeper.turn()
        signed_in = house.authority.sign_in(0)
        store.put(signed_in)
        store.hooks["before"] = lambda: kept.update(house.kept())
        kept: set[str] = set()

        keeper.turn({"follower"})

        assert (store.row(), peer.row()) == (Login(signed_in.access, None), signed_in)
        assert signed_in.access in kept

    @pytest.mark.parametrize("role", [Role.OBSERVER, Role.OFF])
    def test_observer_is_never_written(self, house: House, role: Role) -> None:
        a, b = house.store("a"), house.store("b", role=role)
        keeper = house.syncd()
        keeper.turn()
        a.put(house.spend(house.first))

        keeper.turn()

        assert (b.row(), b.writes) == (house.first, 0)


class TestRecordBeforeWrite:
    def test_a_new_login_is_durable_before_any_store_is_written(self, house: House) -> None:
        a, b = house.store("a"), house.store("b")
        keeper = house.syncd()
        keeper.turn()
        newest = house.spend(house.first)
        a.put(newest)
        kept: list[set[str]] = []
        b.hooks["before"] = lambda: kept.append(house.kept())

        keeper.turn()

        assert b.row() == newest
        assert newest.access in kept[0]

    def test_a_ledger_that_records_nothing_writes_nothing(self, house: House) -> None:
        a, b = house.store("a"), house.store("b")
        keeper = house.syncd()
        keeper.turn()
        newest = house.spend(house.first)
        a.put(newest)
        full_disk(keeper).full = True

        with pytest.raises(LedgerFault):
            keeper.turn()
        assert b.writes == 0

        full_disk(keeper).full = False
        keeper.turn()
        assert b.row() == newest

    def test_what_could_not_be_recorded_is_not_written_over_later(self, house: House) -> None:
        """The ledger refuses a new login, then works again for a turn of other stores: the login is safe."""
        a, b, c = house.store("a"), house.store("b"), house.store("c")
        keeper = house.syncd()
        keeper.turn()
        second = house.authority.sign_in(0)
        b.put(second)
        full_disk(keeper).full = True
        with pytest.raises(LedgerFault):
            keeper.turn({"b"})

        full_disk(keeper).full = False
        third = house.authority.sign_in(0)
        a.put(third)
        keeper.turn({"a"})

        assert (b.row(), c.row()) == (second, third)

    def test_what_no_store_shows_again_is_remembered_until_the_ledger_takes_it(self, house: House) -> None:
        """The disk is full just when a write turned out to have displaced a sign-in that nobody else knows."""
        a, codex = house.store("a"), house.store("codex", locked=False)
        keeper = house.syncd()
        keeper.turn()
        one, other = house.authority.sign_in(0), house.authority.sign_in(0)
        a.put(one)

        def sign_in_while_the_disk_fills() -> None:
            codex.disk.file.rows.update(main=other)
            full_disk(keeper).full = True

        codex.hooks["swap"] = sign_in_while_the_disk_fills
        with pytest.raises(LedgerFault):
            keeper.turn()
        keeper.glances.clear()  # the file itself is not read again
        with pytest.raises(LedgerFault):
            keeper.turn()

        full_disk(keeper).full = False
        report = keeper.turn(set())
        assert [a.row(), codex.row()] == [one, other]
        assert Happening.MIRRORED in {event.happening for event in report.events}
        assert keeper.owed == ((), ())

    def test_a_write_that_could_not_be_recorded_is_known_as_ours_all_the_same(self, house: House) -> None:
        """Else what its tool makes of it would look like another sign-in."""
        a, b, c = house.store("a"), house.store("b"), house.store("c")
        keeper = house.syncd()
        keeper.turn()
        second = house.spend(house.first)
        a.put(second)
        b.hooks["before"] = lambda: setattr(full_disk(keeper), "full", True)
        with pytest.raises(LedgerFault):
            keeper.turn()
        assert b.row() == second
        newest = house.spend(second)
        b.put(newest)

        full_disk(keeper).full = False
        keeper.turn()
        assert [a.row(), b.row(), c.row()] == [newest] * 3

    def test_without_a_ledger_syncd_only_looks(self, house: House) -> None:
        a, b = house.store("a"), house.store("b")
        keeper = house.onlooker()
        a.put(house.spend(house.first))

        report = keeper.turn()

        assert (b.row(), report.written) == (house.first, [])
        assert state_of(keeper, b) is SlotState.BEHIND
        assert not house.state.exists()

    def test_a_turn_that_may_not_write_records_all_the_same(self, house: House) -> None:
        a, b = house.store("a"), house.store("b")
        keeper = house.syncd()
        newest = house.spend(house.first)
        a.put(newest)

        keeper.turn(write=False)

        assert b.writes == 0
        assert newest.access in house.kept()

    def test_vault_holds_the_newest_of_each_family_and_nothing_else(self, house: House) -> None:
        a, other = house.store("a"), house.store("other")
        house.store("b")
        beside = house.authority.sign_in(1)
        other.put(beside)
        keeper = house.syncd()
        newest = house.first
        for _ in range(3):
            keeper.turn()
            newest = house.spend(newest)
            a.put(newest)
        keeper.turn()

        assert house.kept() == {newest.access, beside.access}
        assert {one.access.reveal() for one in keeper.vault.values()} == house.kept()


class TestOutcomes:
    @pytest.mark.parametrize("outcome", [Busy("held"), Failed("read-only", "chmod"), Changed()])
    def test_one_store_that_fails_does_not_stop_the_others(
        self, house: House, outcome: Busy | Failed | Changed
    ) -> None:
        stores = [house.store(name) for name in ("a", "b", "c", "d")]
        keeper = house.syncd()
        keeper.turn()
        newest = house.spend(house.first)
        stores[0].put(newest)
        stores[1].scripted = [outcome]

        report = keeper.turn()

        assert [store.row() for store in stores] == [newest, house.first, newest, newest]
        assert stores[1].slot() not in report.written

    def test_a_busy_store_is_tried_after_10_to_100_ms_and_more_slowly_after_a_minute(self, house: House) -> None:
        store, keeper = self._behind(house)
        store.scripted = [Busy("held")] * 1_000
        waits = self._waits(house, keeper, for_seconds=70.0)

        assert waits[:6] == [0.01, 0.02, 0.04, 0.08, 0.1, 0.1]
        assert set(waits[5:500]) == {0.1}
        assert waits[-1] >= 1.0

    def test_a_store_that_cannot_be_written_is_tried_after_1_s_to_5_minutes(self, house: House) -> None:
        store, keeper = self._behind(house)
        store.scripted = [Failed("read-only")] * 100

        assert self._waits(house, keeper, for_seconds=1_200.0)[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]

    def test_not_before_its_time_whatever_else_is_due(self, house: House) -> None:
        store, keeper = self._behind(house)
        store.scripted = [Failed("read-only")]
        keeper.turn()
        keeper.turn()
        keeper.turn({"b"})
        assert store.writes == 1

        house.authority.now += 1.0
        keeper.turn(set())
        assert (store.writes, store.row()) == (2, house.authority.newest(0))
        assert keeper.attempts == {}

    def test_the_reason_is_shown(self, house: House) -> None:
        store, keeper = self._behind(house)
        store.scripted = [Failed("the disk is read-only", "mount")]
        keeper.turn()

        found = next(one for one in keeper.findings() if one.slot == store.slot())

        assert (found.state, found.reason, found.hint) == (
            SlotState.BEHIND,
            "not written: the disk is read-only",
            "mount",
        )

    @pytest.mark.parametrize("kept", ["nothing", "an older access token"])
    def test_what_syncd_holds_no_copy_of_is_not_written(self, house: House, kept: str) -> None:
        """The store that held the newest login is gone, and so is its row in the vault."""
        store, keeper = self._behind(house)
        newest = house.authority.newest(0)
        renewed = house.authority.renew(newest.refresh or "")
        house.adapter.stores[0].put(renewed)
        keeper.turn(write=False)
        house.adapter.hidden = {"a"}
        keeper.shelf.discover()
        keeper.vault.clear()
        if kept == "an older access token":
            keeper.vault[credential_for(newest).token.fingerprint or ""] = credential_for(newest)

        report = keeper.turn()

        assert (store.row(), store.writes) == (house.first, 0)
        assert report.failed == [(store.slot(), Failed("syncd holds no copy of the newest credential", "syncd status"))]

    @pytest.mark.parametrize("how", ["deleted", "not found any more", "unreadable"])
    def test_a_store_that_went_away_is_not_tried_again(self, house: House, how: str) -> None:
        """Else a syncd would wake at once, for ever, for a write that nobody wants."""
        store, keeper = self._behind(house)
        store.scripted = [Failed("read-only")]
        assert keeper.turn().next_at is not None

        if how == "deleted":
            store.put(None)
        elif how == "unreadable":
            store.blind = True
        else:
            house.adapter.hidden = {store.id}
            keeper.shelf.discover()

        assert keeper.turn().next_at is None

    def test_a_store_that_changed_under_the_write_is_read_again(self, house: House) -> None:
        """Another program was faster, with a sign-in of its own."""
        store, keeper = self._behind(house)
        signed_in = house.authority.sign_in(0)
        store.hooks["before"] = lambda: store.put(signed_in)

        report = keeper.turn()
        assert (store.row(), report.again) == (signed_in, {store.id})

        keeper.turn(report.again)
        assert store.row() == signed_in
        assert signed_in.access in house.kept()

    @staticmethod
    def _behind(house: House) -> tuple[FakeStore, Keeper]:
        """A store that the next turn will write, and its syncd."""
        a, b = house.store("a"), house.store("b")
        keeper = house.syncd()
        keeper.turn()
        a.put(house.spend(house.first))
        return b, keeper

    @staticmethod
    def _waits(house: House, keeper: Keeper, *, for_seconds: float) -> list[float]:
        """The pauses between the tries, each taken as soon as it is due."""
        waits: list[float] = []
        while sum(waits) < for_seconds:
            next_at = keeper.turn(set() if waits else None).next_at
            assert next_at is not None
            waits.append(round(next_at - house.authority.now, 6))
            house.authority.now = next_at
        return waits


class TestRaces:
    def test_what_a_write_displaced_is_kept_and_put_back(self, house: House) -> None:
        """A sign-in lands between syncd's last look and its write: nobody else knows it."""
        a, codex = house.store("a"), house.store("codex", locked=False)
        keeper = house.syncd()
        keeper.turn()
        one, other = house.authority.sign_in(0), house.authority.sign_in(0)
        a.put(one)
        codex.hooks["swap"] = lambda: codex.disk.file.rows.update(main=other)

        keeper.turn()

        assert [a.row(), codex.row()] == [one, other]
        assert {one.access, other.access} <= house.kept()

    def test_what_a_write_displaced_reaches_every_store(self, house: House) -> None:
        """As above, where a session claim tells that it is of the login that the other stores follow."""
        house.authority.sessions = True
        start = house.authority.sign_in(0)
        newest = house.spend(house.spend(start))
        a, codex = house.store("a"), house.store("codex", locked=False)
        a.put(start)
        codex.put(start)
        keeper = house.syncd()
        keeper.turn()
        renewed = house.authority.renew(newest.refresh or "")
        assert renewed is not None
        a.put(newest)
        codex.hooks["swap"] = lambda: codex.disk.file.rows.update(main=renewed)

        keeper.turn()

        assert [a.row(), codex.row()] == [renewed] * 2

    def test_what_is_written_into_the_replaced_file_is_found_250_ms_later(self, house: House) -> None:
        a, codex = house.store("a"), house.store("codex", locked=False)
        keeper = house.syncd()
        keeper.turn()
        signed_in = house.authority.sign_in(0)
        a.put(signed_in)
        client = InPlace(house.authority, codex.disk, "main")

        def start() -> None:
            for _ in range(3):  # it reads, spends, opens the file
                client.step()

        codex.hooks["swap"] = start
        keeper.turn()
        client.step()  # and writes into the file that it has open
        rotated = house.authority.newest(0)

        assert keeper.look_back().events == []  # not yet
        house.authority.now += turn.LOOK_BACK_AFTER
        keeper.look_back()

        assert [a.row(), codex.row()] == [signed_in, rotated]

    def test_a_client_that_rotates_right_behind_a_write(self, house: House) -> None:
        """Before syncd has read the store back. Its token descends from syncd's write, not from what was before."""
        a, b, c = house.store("a"), house.store("b"), house.store("c")
        keeper = house.syncd()
        keeper.turn()
        a.put(house.spend(house.first))
        client = Renaming(house.authority, b.disk, "main")

        def rotate() -> None:
            for _ in range(3):
                client.step()

        b.hooks["before"] = lambda: b.hooks.update(read=rotate)

        report = keeper.turn()

        newest = house.authority.newest(0)
        assert [a.row(), b.row(), c.row()] == [newest] * 3
        assert Happening.FORKED not in {one.happening for one in report.events}

    def test_a_client_that_starts_to_spend_right_behind_a_write(self, house: House) -> None:
        a, claw = house.store("a"), house.store("claw")
        codex = house.store("codex", locked=False)
        keeper = house.syncd()
        keeper.turn()
        second = house.spend(house.first)
        a.put(second)
        client = Fencing(house.authority, claw.disk, "main")
        claw.hooks["before"] = lambda: claw.hooks.update(read=client.step)
        # What is displaced elsewhere makes syncd plan a second time in this very turn.
        codex.hooks["swap"] = lambda: codex.disk.file.rows.update(main=second)

        keeper.turn()
        assert claw.row() == client.fence

        client.step()
        client.step()
        keeper.turn()
        assert {store.row() for store in (a, claw, codex)} == {house.authority.newest(0)}

    def test_a_tool_that_keeps_putting_its_old_login_back_is_left_alone_for_a_while(self, house: House) -> None:
        a, b = house.store("a"), house.store("b")
        keeper = house.syncd()
        keeper.turn()
        newest = house.spend(house.first)
        a.put(newest)
        keeper.turn()
        for _ in range(3):
            assert b.row() == newest
            house.authority.now += 10
            b.put(house.first)
            keeper.turn()

        assert (b.row(), state_of(keeper, b)) == (house.first, SlotState.CONTESTED)
        house.authority.now += 59
        keeper.turn()
        assert b.row() == house.first
        house.authority.now += 2
        keeper.turn()
        assert b.row() == newest


class TestFences:
    def test_a_pending_fence_of_the_newest_login_is_waited_for(self, house: House) -> None:
        claw = house.store("claw")
        codex = house.store("codex")
        keeper = house.syncd()
        keeper.turn()
        claw.put(Fence(1, house.first))
        keeper.turn()
        codex.put(house.first)
        keeper.turn()

        assert (claw.writes, state_of(keeper, claw)) == (0, SlotState.BUSY)

    def test_a_pending_fence_of_an_older_login_is_written_over(self, house: House) -> None:
        claw, codex = house.store("claw"), house.store("codex")
        keeper = house.syncd()
        keeper.turn()
        claw.put(Fence(1, house.first))
        newest = house.spend(house.first)
        codex.put(newest)

        keeper.turn()

        assert claw.row() == newest

    def test_a_failed_fence_gets_its_own_login_back(self, house: House) -> None:
        """A DNS error is enough for OpenClaw to throw its only copy away."""
        claw = house.store("claw")
        keeper = house.syncd()
        keeper.turn()
        claw.put(Fence(1, house.first, failed=True))

        keeper.turn()

        assert claw.row() == house.first


class TestAbsence:
    def test_an_unreadable_store_is_not_a_logout(self, house: House) -> None:
        store = house.store("a")
        keeper = house.syncd()
        keeper.turn()
        store.blind = True

        assert keeper.turn().events == []
        assert house.first.access in house.kept()

    @pytest.mark.parametrize("how", ["its slot", "the store"])
    def test_a_login_that_is_gone_is_recorded_and_never_restored(self, house: House, how: str) -> None:
        a = house.store("a")
        keeper = house.syncd()
        keeper.turn()
        if how == "its slot":
            a.put(None)
        else:
            house.adapter.hidden = {"a"}
            keeper.shelf.discover()

        assert [one.happening for one in keeper.turn().events] == [Happening.LOGGED_OUT]
        assert (a.row() if how == "its slot" else None, a.writes) == (None, 0)
        assert house.first.access in house.kept()

    def test_a_login_that_moved_to_another_slot_is_not_a_logout(self, house: House) -> None:
        """OpenClaw's migration from JSON to SQLite, seen in one turn."""
        a, b = house.store("a"), house.store("b")
        b.put(None)
        keeper = house.syncd()
        keeper.turn()
        a.put(None)
        b.put(house.first)
        keeper.turn()

        assert [one.suspect for one in keeper.lineage.graph.accounts.values()] == [None]


class TestTwoSyncd:
    def test_each_catches_up_with_what_the_other_recorded(self, house: House) -> None:
        a, b = house.store("a"), house.store("b")
        one, other = house.syncd(), house.syncd()
        one.turn()
        other.turn()
        newest = house.spend(house.first)
        a.put(newest)
        one.turn(write=False)

        report = other.turn(set())

        assert b.row() == newest
        assert [each.happening for each in report.events] == [Happening.MIRRORED]

    def test_both_record_at_once_and_remember_the_same(self, house: House) -> None:
        """The second one records between the first one's look and its record."""
        a, b = house.store("a"), house.store("b")
        one, other = house.syncd(), house.syncd()
        a.put(house.authority.sign_in(0))
        b.hooks["read"] = lambda: other.turn(write=False)

        one.turn()

        again = Lineage(full_disk(one).facts())
        assert one.lineage.graph.members == again.graph.members
        assert one.lineage.places == again.places
        assert set(one.vault) == set(again.graph.members) & set(full_disk(one).vault())

    def test_a_restarted_one_goes_on_where_the_old_one_was(self, house: House) -> None:
        a, b = house.store("a"), house.store("b")
        house.syncd().turn()
        newest = house.spend(house.first)
        a.put(newest)

        house.syncd().turn()

        assert b.row() == newest

    def test_while_another_process_acts_on_the_lineage_nothing_is_written(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(turn, "LOCK_PATIENCE", 0.01)
        a, b = house.store("a"), house.store("b")
        keeper = house.syncd()
        keeper.turn()
        newest = house.spend(house.first)
        a.put(newest)
        account = next(iter(keeper.lineage.graph.accounts.values()))

        with held(locks.lineage_path(account.provider, locks.name_of(account))):
            report = keeper.turn()
            assert (b.writes, [slot for slot, _ in report.failed]) == (0, [b.slot()])
            assert state_of(keeper, b) is SlotState.BUSY

        house.authority.now += 0.01
        keeper.turn(set())
        assert b.row() == newest


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process holds this lock."""
    script = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True)\n    input()"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "held\n"
        yield
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.wait() == 0
