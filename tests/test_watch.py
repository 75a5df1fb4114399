"""Watching: an event is a hint, the first is never delayed, a burst is one look; folders come, go and are replaced."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncd import watch
from syncd.model import Used
from syncd.ports import Capabilities, Failed, Reading, Replacement, StoreInfo, WatchRoot, WriteOutcome
from syncd.watch import QUIET, QUIET_DISCOVERY, Due, Inbox, Question, Watcher
from tests.sandbox import STATE_S, rewrite_in_place, until


class Clock:
    """The inbox's time, which only the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class TestInbox:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Clock:
        clock = Clock()
        monkeypatch.setattr(watch, "time", clock)
        return clock

    def take(self, inbox: Inbox) -> Due:
        """What is due now, without waiting."""
        return inbox.take(0.0)

    def test_nothing_is_due_at_first(self, clock: Clock) -> None:
        assert not self.take(Inbox())

    def test_the_first_event_is_not_delayed(self, clock: Clock) -> None:
        inbox = Inbox()
        inbox.put(["a"])
        assert self.take(inbox).stores == {"a"}
        assert not self.take(inbox)

    def test_a_burst_is_one_look_more(self, clock: Clock) -> None:
        inbox = Inbox()
        inbox.put(["a"])
        assert self.take(inbox).stores == {"a"}
        for _ in range(1_000):
            inbox.put(["a"])
        assert not self.take(inbox)
        clock.now += QUIET
        assert self.take(inbox).stores == {"a"}
        clock.now += 10 * QUIET
        assert not self.take(inbox)

    def test_a_burst_that_does_not_end_is_looked_at_again_and_again(self, clock: Clock) -> None:
        """Each event does not push the look further away."""
        inbox, looks = Inbox(), 0
        for _ in range(1_000):
            inbox.put(["a"])
            clock.now += QUIET / 100
            looks += bool(self.take(inbox).stores)
        assert 9 <= looks <= 11

    def test_a_busy_store_delays_no_other(self, clock: Clock) -> None:
        inbox = Inbox()
        inbox.put(["a"])
        self.take(inbox)
        inbox.put(["a", "b"])
        assert self.take(inbox).stores == {"b"}

    def test_after_a_pause_it_is_at_once_again(self, clock: Clock) -> None:
        inbox = Inbox()
        for _ in range(3):
            inbox.put(["a"])
            assert self.take(inbox).stores == {"a"}
            clock.now += QUIET

    def test_looking_for_stores_is_slower(self, clock: Clock) -> None:
        inbox = Inbox()
        inbox.discover()
        assert self.take(inbox).discover
        inbox.discover()
        clock.now += QUIET
        assert not self.take(inbox).discover
        clock.now += QUIET_DISCOVERY
        assert self.take(inbox) == Due(discover=True)

    def test_questions_and_the_end_never_wait(self, clock: Clock) -> None:
        inbox = Inbox()
        question: Question[int] = inbox.ask(Question("status"))
        inbox.stop()
        due = self.take(inbox)
        assert (due.questions, due.stop) == ([question], True)
        assert not self.take(inbox).questions


def test_a_waiting_thread_is_woken() -> None:
    inbox, found = Inbox(), []
    thread = threading.Thread(target=lambda: found.append(inbox.take(time.monotonic() + STATE_S)))
    thread.start()
    inbox.put(["a"])
    thread.join(STATE_S)
    assert [due.stores for due in found] == [{"a"}]


def test_a_time_that_has_come_ends_the_wait() -> None:
    assert not Inbox().take(time.monotonic() + 0.01)


# -- real folders -----------------------------------------------------------------------------------------------------


@dataclass
class Stub:
    """A store that is only watched."""

    info: StoreInfo

    def read(self) -> Reading:
        return Reading(Used(), ())

    def write(self, replacement: Replacement) -> WriteOutcome:
        return Failed("never")


def store(path: Path) -> Stub:
    capabilities = Capabilities(follower=False, needs_id_token=False, locked=True)
    return Stub(StoreInfo(f"stub:{path.name}", "stub", path.name, path, path.parent, capabilities, (path,)))


class Watched:
    """A watcher over one root, and what it says is due."""

    def __init__(self, path: Path, *, recursive: bool = True) -> None:
        self.path = path
        self.inbox = Inbox()
        self.watcher = Watcher(self.inbox)
        self.recursive = recursive
        self.arm()

    def arm(self) -> tuple[Path, ...]:
        root = WatchRoot(self.path, frozenset({"a.json", "new.json"}), self.recursive)
        return self.watcher.arm([root], {"a": store(self.path / "a.json")})

    def hears(self) -> Due:
        """Whatever is due next; AssertionError where nothing comes."""
        due = self.inbox.take(time.monotonic() + STATE_S)
        assert due, "no event came"
        return due

    def rest(self) -> None:
        """Until nothing is due any more for longer than the longest quiet; arms again meanwhile, as the daemon does."""
        while due := self.inbox.take(time.monotonic() + 1.5 * QUIET_DISCOVERY):
            if due.discover:
                self.arm()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def watched(root: Path) -> Iterator[Watched]:
    root.mkdir()
    (root / "a.json").write_text("1")
    one = Watched(root)
    yield one
    one.watcher.close()


def test_a_write_in_place_and_a_rename_are_heard(watched: Watched) -> None:
    rewrite_in_place(watched.path / "a.json", b"22")
    assert watched.hears().stores == {"a"}
    watched.rest()
    (watched.path / ".temp").write_text("333")
    (watched.path / ".temp").rename(watched.path / "a.json")
    assert watched.hears().stores == {"a"}
    watched.rest()
    (watched.path / "a.json").unlink()
    assert watched.hears().stores == {"a"}


def test_reading_and_other_files_are_not(watched: Watched) -> None:
    (watched.path / "a.json").read_bytes()
    (watched.path / "session.log").write_text("x")
    assert not watched.inbox.take(time.monotonic() + 0.2)


def test_a_new_file_and_a_new_folder_are_looked_for(watched: Watched) -> None:
    (watched.path / "new.json").write_text("1")
    assert watched.hears().discover
    watched.rest()
    (watched.path / "deep" / "deeper").mkdir(parents=True)
    assert watched.hears().discover
    watched.rest()
    (watched.path / "deep" / "deeper" / "new.json").write_text("1")
    assert watched.hears().discover


def test_a_folder_that_does_not_exist_yet(root: Path) -> None:
    """Not its parent's parent either: the nearest that exists is watched, step by step."""
    one = Watched(root / "deep" / "deeper")
    try:
        root.mkdir()
        for folder in (root / "deep", one.path):
            assert one.hears().discover
            one.arm()
            folder.mkdir()
        assert one.hears().discover
        one.arm()
        (one.path / "a.json").write_text("1")
        until("its file is heard", lambda: "a" in one.hears().stores)
    finally:
        one.watcher.close()


def test_a_folder_that_is_deleted_and_made_again(watched: Watched) -> None:
    for _ in range(3):
        (watched.path / "a.json").unlink()
        watched.path.rmdir()
        until("its end is heard", lambda: watched.hears().discover)
        watched.arm()
        watched.path.mkdir()
        until("it is heard again", lambda: watched.hears().discover)
        watched.arm()
        watched.rest()
        (watched.path / "a.json").write_text("1")
        until("its file is heard", lambda: "a" in watched.hears().stores)
        watched.rest()


def test_a_folder_that_is_exchanged_for_another(watched: Watched) -> None:
    """A restored snapshot: the same name, another inode."""
    other = watched.path.with_name("other")
    other.mkdir()
    (other / "a.json").write_text("snapshot")
    watched.path.rename(watched.path.with_name("gone"))
    other.rename(watched.path)
    until("it is heard", lambda: watched.hears().discover)
    watched.arm()
    watched.rest()
    rewrite_in_place(watched.path / "a.json", b"again")
    until("its file is heard", lambda: "a" in watched.hears().stores)


def test_a_folder_that_is_made_again_at_once_with_the_same_inode(watched: Watched) -> None:
    """As ext4 does; the watch of the old one is dead, and what came before the new one stood is named."""
    (watched.path / "a.json").unlink()
    watched.path.rmdir()
    watched.path.mkdir()
    # The parent's event can come before that of the folder itself, which tells that its watch is dead.
    until("it is watched anew", lambda: watched.hears().discover and watched.arm() == (watched.path,))
    watched.rest()
    (watched.path / "a.json").write_text("1")
    until("its file is heard", lambda: "a" in watched.hears().stores)


def test_a_root_that_is_wanted_later_below_a_folder_that_is_watched(watched: Watched) -> None:
    """A change of the configuration: the watch stays, what it listens for does not."""
    later = watched.path.with_name("later")
    roots = [WatchRoot(path, frozenset({"a.json"}), recursive=True) for path in (watched.path, later)]
    assert watched.watcher.arm(roots, {}) == ()
    later.mkdir()
    assert watched.hears().discover


def test_one_watch_a_root_whatever_is_in_it(root: Path) -> None:
    """watchdog starts threads for every watch."""
    for number in range(300):
        (root / f"agent{number}").mkdir(parents=True)
    before = threading.active_count()
    one = Watched(root)
    try:
        assert threading.active_count() - before <= 6
        rewrite_in_place(root / "agent299" / "new.json", b"1")
        assert one.hears().discover
    finally:
        one.watcher.close()
    until("its threads have ended", lambda: threading.active_count() == before)


def test_what_cannot_be_watched_is_told_and_tried_again(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's limit of watches: everything else is watched all the same."""
    second = watched.path.with_name("second")
    second.mkdir()
    roots = [WatchRoot(path, frozenset({"a.json"}), recursive=True) for path in (watched.path, second)]
    schedule = watched.watcher._observer.schedule
    full = OSError(28, os.strerror(28))

    def refuse(*_: object, **__: object) -> None:
        raise full

    monkeypatch.setattr(watched.watcher._observer, "schedule", refuse)
    watched.watcher.arm(roots, {"a": store(second / "a.json")})
    assert watched.watcher.blind == (f"{second}: No space left on device",)
    monkeypatch.setattr(watched.watcher._observer, "schedule", schedule)
    watched.watcher.arm(roots, {"a": store(second / "a.json")})
    assert not watched.watcher.blind
    rewrite_in_place(second / "a.json", b"1")
    until("its file is heard", lambda: "a" in watched.hears().stores)
