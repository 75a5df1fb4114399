"""The one conformance suite: what every adapter promises (ports.Store), on real files and databases.

An adapter's own test gives a `Sample`, which knows the tool's form by hand and shares no code with it:

    class TestCodex(Conformance):
        @pytest.fixture
        def sample(self, tmp_path: Path) -> Sample:
            return CodexSample(tmp_path)
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from syncd.identity import credential_of
from syncd.model import Alien, Credential, Holds, Sighting, Unreadable
from syncd.ports import (
    Adapter,
    Busy,
    Changed,
    Failed,
    Replacement,
    Store,
    Surroundings,
    WriteOutcome,
    Written,
)
from tests import fake

NOW = 2_000_000_000.25
NESTED = 100_000

# What no tool's document may be, whether it lies in a file or in a row.
MALFORMED: Mapping[str, bytes] = {
    "empty": b"",
    "torn": b'{"tokens": {"access_token": "fake',
    "not an object": b"[]",
    "null": b"null",
    "not utf-8": b'{"\xff\xfe": 1}',
    "NaN": b'{"a": NaN}',
    "a number without end": b'{"a": 1e999}',
    "one key twice": b'{"a": 1, "a": 2}',
    "nested without end": b'{"a":' + b"[" * NESTED + b"]" * NESTED + b"}",
    "a number of 5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "too large": b'{"a": "' + b"x" * (8 * 1024 * 1024) + b'"}',
}


@dataclass(frozen=True)
class Login:
    """A login as a sample plants it, and as it is found in the tool's form. `expires_at` in s, where kept."""

    access: str
    refresh: str | None
    id_token: str | None = None
    account_id: str | None = None
    expires_at: float | None = None


def login(name: str, iat: float = 1_000.0, *, account: str = fake.ACCOUNT) -> Login:
    """The login of generation `name`: each of its tokens is different from every other generation's."""
    return Login(
        access=fake.jwt(iat, account=account, generation=name),
        refresh=fake.refresh(name),
        id_token=fake.jwt(iat, account=account, generation=name, kind="id"),
        account_id=account,
        expires_at=iat + 3_600.0,
    )


def credential(one: Login, provider: str) -> Credential:
    return credential_of(provider, one.access, one.refresh, one.id_token, expires_at=one.expires_at)


class Sample(ABC):
    """One store of one tool, kept by hand in a temporary folder.

    `slot`: the slot that `plant` fills. `provider`: of its credential. `keeps_*`: which fields the tool's
    form has. `leaves`: names of files that the tool itself leaves beside its store (locks); anything else is
    litter.
    """

    slot: str
    provider: str = "openai-codex"
    keeps_id_token: bool = True
    keeps_account_id: bool = True
    keeps_expiry: bool = True
    leaves: frozenset[str] = frozenset()

    @abstractmethod
    def adapter(self) -> Adapter:
        """A new adapter."""

    @abstractmethod
    def surroundings(self) -> Surroundings:
        """Under which the adapter finds exactly this store."""

    @property
    @abstractmethod
    def path(self) -> Path:
        """The file that holds the store, symlinks not followed."""

    @abstractmethod
    def plant(self, one: Login) -> None:
        """Put the login there as the tool would, with strangers beside it: unknown keys, other slots."""

    @abstractmethod
    def plant_raw(self, document: bytes) -> None:
        """Put these bytes where the tool's document is (file or row); the store is otherwise whole."""

    @abstractmethod
    def raw(self) -> bytes:
        """The document's bytes as they lie there (file or row)."""

    @abstractmethod
    def remove(self) -> None:
        """Take the store away."""

    @abstractmethod
    def found(self) -> Login:
        """What the slot holds, decoded by hand; `refresh` None where it is absent or empty."""

    @abstractmethod
    def rest(self) -> object:
        """All that a write may not change (strangers, other slots), in a form that compares."""

    def aliens(self) -> Mapping[str, bytes]:
        """Documents that hold something in this slot which is not ours, by name."""
        return {}

    def malformed(self) -> Mapping[str, bytes]:
        """Further documents that the tool could not read, by name: missing keys, wrong types."""
        return {}

    def locked(self) -> AbstractContextManager[object] | None:
        """Another process holds the tool's save lock or a transaction meanwhile; None where it has none."""
        return None

    def store(self) -> Store:
        """The store, found by a new adapter."""
        (one,) = self.adapter().discover(self.surroundings()).stores
        return one

    def sighting(self, store: Store) -> Sighting:
        (one,) = [each for each in store.read().sightings if each.slot.name == self.slot]
        return one


def tree(folder: Path, leaves: frozenset[str]) -> dict[str, tuple[int, bytes]]:
    """Every file under the folder with mode and bytes, a database's side files and `leaves` aside."""
    return {
        str(each.relative_to(folder)): (each.lstat().st_mode, each.read_bytes() if each.is_file() else b"")
        for each in sorted(folder.rglob("*"))
        if each.name not in leaves and not each.name.endswith(("-wal", "-shm", "-journal"))
    }


def put(
    store: Store, sample: Sample, one: Login, expected: str | None = None, *, access_only: bool = False
) -> WriteOutcome:
    """Write the login over what the slot holds now, or over `expected`."""
    etag = sample.sighting(store).etag if expected is None else expected
    return store.write(Replacement(sample.slot, etag, credential(one, sample.provider), NOW, access_only))


def let_go(outcome: WriteOutcome) -> Sequence[Sighting]:
    """The last look back, as the turn does it."""
    if isinstance(outcome, Written) and outcome.look_back is not None:
        return outcome.look_back(last=True)
    return ()


class Conformance:
    """Subclass it, and give the fixture `sample`."""

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        raise NotImplementedError

    @pytest.fixture
    def store(self, sample: Sample) -> Store:
        sample.plant(login("one"))
        return sample.store()

    # -- found -----------------------------------------------------------------------------------------------

    def test_says_who_it_is(self, sample: Sample, store: Store) -> None:
        info, name = store.info, sample.adapter().name
        assert info.adapter == name
        assert info.id.startswith(f"{name}:")
        assert info.path == sample.path
        assert info.path in info.watched
        assert all(each.is_absolute() for each in (*info.watched, info.home))
        assert info.id == sample.store().info.id

    def test_a_store_found_again_is_the_same_object(self, sample: Sample, store: Store) -> None:
        adapter, where = sample.adapter(), sample.surroundings()
        assert adapter.discover(where).stores[0] is adapter.discover(where).stores[0]

    def test_the_store_lies_under_a_watched_root(self, sample: Sample, store: Store) -> None:
        roots = sample.adapter().discover(sample.surroundings()).roots
        assert any(
            sample.path.parent == root.path or (root.recursive and root.path in sample.path.parents)
            for root in roots
            if sample.path.name in root.names
        )

    def test_nothing_there_is_no_store_and_still_watched(self, sample: Sample, tmp_path: Path) -> None:
        discovery = sample.adapter().discover(Surroundings(env={}, home=tmp_path / "nobody"))
        assert discovery.stores == ()
        assert discovery.roots
        assert discovery.looked
        assert not (tmp_path / "nobody").exists()

    # -- read ------------------------------------------------------------------------------------------------

    def test_reads_what_the_tool_wrote(self, sample: Sample, store: Store) -> None:
        one, seen = login("one"), sample.sighting(store)
        assert isinstance(seen.content, Holds)
        assert seen.slot.store == store.info.id
        assert seen.credential is not None
        assert seen.credential.access.reveal() == one.access
        assert seen.credential.refresh is not None
        assert seen.credential.refresh.reveal() == one.refresh
        if sample.keeps_id_token:
            assert seen.credential.id_token is not None
            assert seen.credential.id_token.reveal() == one.id_token
        token = seen.content.token
        assert token == seen.credential.token
        assert (token.provider, token.issued_at, token.expires_at) == (sample.provider, 1_000.0, 4_600.0)
        assert token.identity.account_id == fake.ACCOUNT

    def test_reading_changes_nothing(self, sample: Sample, store: Store, tmp_path: Path) -> None:
        before, stamp = tree(tmp_path, frozenset()), sample.path.stat().st_mtime_ns
        assert store.read() == store.read()
        assert tree(tmp_path, frozenset()) == before
        assert sample.path.stat().st_mtime_ns == stamp

    def test_the_etag_tells_credentials_apart(self, sample: Sample, store: Store) -> None:
        one = login("one")
        etags = [sample.sighting(store).etag]
        for other in (replace(one, access=login("two").access), replace(one, refresh=fake.refresh("two"))):
            sample.plant(other)
            etags.append(sample.sighting(store).etag)
        sample.plant(one)
        assert sample.sighting(store).etag == etags[0]
        assert len(set(etags)) == 3

    def test_no_secret_in_anything_shown(self, sample: Sample, store: Store) -> None:
        outcome = put(store, sample, login("two", 2_000.0))
        shown = repr((store.info, store.read(), outcome, store))
        let_go(outcome)
        for one in (login("one"), login("two", 2_000.0)):
            for secret in (one.access, one.refresh, one.id_token):
                assert secret is not None
                assert secret not in shown

    def test_a_store_that_went_away_is_no_login(self, sample: Sample, store: Store) -> None:
        sample.remove()
        assert not [each for each in store.read().sightings if isinstance(each.content, Holds)]

    @pytest.mark.parametrize("name", MALFORMED)
    def test_malformed_is_unreadable_and_left_alone(self, sample: Sample, store: Store, name: str) -> None:
        self._unreadable(sample, store, MALFORMED[name])

    def test_what_the_tool_could_not_read_is_unreadable(self, sample: Sample, store: Store) -> None:
        for document in sample.malformed().values():
            self._unreadable(sample, store, document)

    def _unreadable(self, sample: Sample, store: Store, document: bytes) -> None:
        etag = sample.sighting(store).etag
        sample.plant_raw(document)
        seen = store.read().sightings
        assert seen, document[:200]
        for each in seen:
            assert isinstance(each.content, Unreadable), document[:200]
            assert each.credential is None
            assert each.content.reason
        for expected in (etag, seen[0].etag):
            assert isinstance(put(store, sample, login("two"), expected), Changed | Failed)
        assert sample.raw() == document
        sample.plant(login("one"))

    def test_what_is_not_ours_is_left_alone(self, sample: Sample, store: Store) -> None:
        for name, document in sample.aliens().items():
            sample.plant_raw(document)
            seen = sample.sighting(store)
            assert isinstance(seen.content, Alien), name
            assert isinstance(put(store, sample, login("two")), Failed), name
            assert sample.raw() == document, name

    # -- write -----------------------------------------------------------------------------------------------

    def test_writes_in_the_tools_own_form(self, sample: Sample, store: Store) -> None:
        two = login("two", 2_000.0)
        outcome = put(store, sample, two)
        assert isinstance(outcome, Written)
        assert outcome.displaced == ()
        assert let_go(outcome) == ()
        assert sample.found() == Login(
            two.access,
            two.refresh,
            two.id_token if sample.keeps_id_token else None,
            two.account_id if sample.keeps_account_id else None,
            two.expires_at if sample.keeps_expiry else None,
        )
        seen = sample.sighting(store)
        assert seen.etag == outcome.etag
        assert seen.credential is not None
        assert seen.credential.token.fingerprint == credential(two, sample.provider).token.fingerprint

    def test_keeps_everything_else(self, sample: Sample, store: Store, tmp_path: Path) -> None:
        before, mode, rest = tree(tmp_path, sample.leaves), sample.path.lstat().st_mode, sample.rest()
        for number, name in enumerate(("two", "three"), 2):
            outcome = put(store, sample, login(name, number * 1_000.0))
            assert isinstance(outcome, Written)
            let_go(outcome)
        assert sample.rest() == rest
        assert sample.path.lstat().st_mode == mode
        assert tree(tmp_path, sample.leaves).keys() == before.keys()

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o660])
    def test_keeps_the_files_mode(self, sample: Sample, store: Store, mode: int) -> None:
        sample.path.chmod(mode)
        let_go(put(store, sample, login("two")))
        assert sample.path.stat().st_mode & 0o7777 == mode

    def test_what_changed_meanwhile_is_not_overwritten(self, sample: Sample, store: Store) -> None:
        old = sample.sighting(store).etag
        sample.plant(login("newer", 3_000.0))
        before = sample.raw()
        assert put(store, sample, login("two", 2_000.0), old) == Changed()
        assert sample.raw() == before

    def test_of_two_writers_the_second_is_told(self, sample: Sample, store: Store) -> None:
        other, old = sample.store(), sample.sighting(store).etag
        first = put(store, sample, login("two", 2_000.0), old)
        assert isinstance(first, Written)
        assert put(other, sample, login("three", 3_000.0), old) == Changed()
        let_go(first)
        assert sample.found().refresh == fake.refresh("two")

    def test_the_same_credential_is_not_written_again(self, sample: Sample, store: Store) -> None:
        old = sample.sighting(store).etag
        let_go(put(store, sample, login("two", 2_000.0)))
        before, stat = sample.raw(), sample.path.stat()
        for expected in (old, sample.sighting(store).etag):
            again = put(store, sample, login("two", 2_000.0), expected)
            assert isinstance(again, Written)
            let_go(again)
            assert again.etag == sample.sighting(store).etag
        assert sample.raw() == before
        assert (sample.path.stat().st_ino, sample.path.stat().st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)

    def test_never_creates(self, sample: Sample, store: Store, tmp_path: Path) -> None:
        old = sample.sighting(store).etag
        sample.remove()
        before = tree(tmp_path, frozenset())
        vacant = [each.etag for each in store.read().sightings if each.slot.name == sample.slot]
        for expected in (old, *vacant):
            assert isinstance(put(store, sample, login("two"), expected), Changed | Failed)
        assert tree(tmp_path, frozenset()) == before

    def test_a_slot_that_is_not_there_is_not_made(self, sample: Sample, store: Store) -> None:
        before, seen = sample.raw(), sample.sighting(store)
        missing = Replacement("no-such-slot", seen.etag, credential(login("two"), sample.provider), NOW)
        assert isinstance(store.write(missing), Changed | Failed)
        assert sample.raw() == before

    def test_a_locked_store_is_busy_soon_and_untouched(self, sample: Sample, store: Store) -> None:
        lock = sample.locked()
        if lock is None:
            pytest.skip("the tool has no save lock")
        before = sample.raw()
        with lock:
            began = time.monotonic()
            outcome = put(store, sample, login("two"))
            took = time.monotonic() - began
        assert isinstance(outcome, Busy)
        assert took < 3.0  # the promise is 1 s; the rest is for a slow machine
        assert sample.raw() == before
        done = put(store, sample, login("two"))
        assert isinstance(done, Written)
        let_go(done)

    def test_a_follower_gets_no_refresh_token(self, sample: Sample, store: Store) -> None:
        before, two, rest = sample.raw(), login("two", 2_000.0), sample.rest()
        outcome = put(store, sample, two, access_only=True)
        if not store.info.capabilities.follower:
            assert isinstance(outcome, Failed)
            assert sample.raw() == before
            return
        assert isinstance(outcome, Written)
        let_go(outcome)
        assert b"fake-refresh" not in sample.raw()
        assert (sample.found().access, sample.found().refresh) == (two.access, None)
        seen = sample.sighting(store)
        assert isinstance(seen.content, Holds)
        assert seen.content.token.fingerprint is None
        let_go(put(store, sample, two))
        assert sample.found().refresh == two.refresh
        assert sample.rest() == rest

    def test_a_credential_without_an_id_token(self, sample: Sample, store: Store) -> None:
        bare = replace(login("two", 2_000.0), id_token=None)
        outcome = put(store, sample, bare)
        assert isinstance(outcome, Written)
        let_go(outcome)
        kept = login("one").id_token if store.info.capabilities.needs_id_token else sample.found().id_token
        assert sample.found().id_token == kept

    def test_writes_in_a_row_follow_their_etags(self, sample: Sample, store: Store) -> None:
        etag = sample.sighting(store).etag
        for number in range(5):
            outcome = put(store, sample, login(f"step-{number}", 2_000.0 + number), etag)
            assert isinstance(outcome, Written)
            let_go(outcome)
            etag = outcome.etag
        assert sample.found().refresh == fake.refresh("step-4")
