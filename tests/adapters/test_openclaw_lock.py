"""The store lock: its form, and whom it is taken from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from syncd import files
from syncd.errors import StoreFault
from syncd.ports import Busy, Replacement, Written
from syncd_adapters.openclaw import lock as locks
from syncd_adapters.openclaw.lock import Held, Taken, lock_of, take
from syncd_adapters.openclaw.process import is_gone, start_time
from tests.adapters import openclaw_state as claw
from tests.adapters.conformance import credential, login


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return lock_of(tmp_path / "auth-profiles.json")


def holder(pid: object, **more: object) -> str:
    return json.dumps({"pid": pid, "createdAt": "2020-01-01T00:00:00.000Z", **more}, indent=2)


def gone() -> int:
    """The pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_lock_says_who_holds_it(path: Path) -> None:
    taken = take(path)
    assert isinstance(taken, Taken)
    assert path.name == "auth-profiles.json.lock"
    said = json.loads(path.read_text())
    assert said["pid"] == os.getpid()
    assert said["createdAt"].endswith("Z")
    assert len(said["createdAt"]) == len("2026-01-01T00:00:00.000Z")
    if sys.platform == "linux":
        assert said["starttime"] == int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        assert path.stat().st_mode & 0o777 == 0o600
    last = path.read_text().splitlines()[-1]
    assert last.startswith("\t" * 8)
    assert set(last) <= {" ", "\t"}
    assert len(last) == 8 + 128
    taken.release()
    assert list(path.parent.iterdir()) == []


def test_two_locks_are_never_alike(path: Path) -> None:
    first = take(path)
    assert isinstance(first, Taken)
    first.release()
    second = take(path)
    assert isinstance(second, Taken)
    assert first.content != second.content
    first.release()
    assert path.exists()  # not the one that `first` published
    second.release()


def test_the_lock_is_published_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = os.link

    def link(source: Path, target: Path) -> None:
        assert not target.exists()
        seen.append(Path(source).read_text())
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    taken = take(path)
    assert isinstance(taken, Taken)
    assert seen == [taken.content.decode()]
    taken.release()


def test_without_hard_links_it_is_made_in_one_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    taken = take(path)
    assert isinstance(taken, Taken)
    assert isinstance(take(path, 0), Held)
    taken.release()
    assert list(path.parent.iterdir()) == []


def test_a_live_holder_is_respected_however_old(path: Path) -> None:
    with claw.elsewhere("hold()") as pid:
        path.write_text(holder(pid))
        os.utime(path, (0, 0))
        held = take(path, 0.05)
        assert held == Held(f"{path} is held by process {pid}")
        assert path.read_text() == holder(pid)


def test_a_dead_holder_is_replaced(path: Path) -> None:
    path.write_text(holder(gone()))
    taken = take(path, 0)
    assert isinstance(taken, Taken)
    assert path.read_bytes() == taken.content
    taken.release()
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="start times are read from /proc")
def test_another_process_with_the_same_number_is_replaced(path: Path) -> None:
    with claw.elsewhere("hold()") as pid:
        started = start_time(pid)
        assert started is not None
        path.write_text(holder(pid, starttime=started))
        assert isinstance(take(path, 0), Held)
        path.write_text(holder(pid, starttime=started - 1))
        assert isinstance(take(path, 0), Taken)


@pytest.mark.skipif(sys.platform != "linux", reason="zombies are seen in /proc")
def test_a_zombie_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()  # its end is closed as it dies
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(child.pid)
    child.communicate()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", holder(None), holder("12"), holder(0), holder(-1), holder(True), "9" * 5000],
)
def test_a_lock_that_names_nobody_is_never_stale(path: Path, content: str) -> None:
    path.write_text(content)
    os.utime(path, (0, 0))
    assert take(path, 0) == Held(f"{path} does not say who holds it")
    assert path.read_text() == content


def test_a_pid_beyond_all_bounds_is_not_judged(path: Path) -> None:
    path.write_text(holder(10**30))
    assert isinstance(take(path, 0), Held)


def test_the_guard_of_another_reclaimer_is_respected(path: Path) -> None:
    guard = path.with_name(path.name + ".reclaim")
    guard.mkdir()
    assert isinstance(take(path, 0.05), Held)
    path.write_text(holder(gone()))
    assert isinstance(take(path, 0.05), Held)
    guard.rmdir()
    assert isinstance(take(path, 0), Taken)
    assert not guard.exists()


def test_a_lock_replaced_while_it_was_judged_is_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(holder(gone()))
    fresh = holder(os.getpid())
    monkeypatch.setattr(locks, "is_gone", lambda *_: bool(path.write_text(fresh)))
    assert isinstance(take(path, 0), Held)
    assert path.read_text() == fresh


def test_where_no_lock_can_be_made_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(StoreFault):
        take(tmp_path / "missing" / "auth-profiles.json.lock", 0)


def test_the_lock_stands_while_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = claw.write_json(tmp_path / ".openclaw", "main", claw.only(claw.profile()))
    store = claw.stores(tmp_path)["main"]
    seen: list[bool] = []
    real = files.swap

    def swap(kept: files.Kept, data: bytes) -> bytes | None:
        seen.append(lock_of(path).exists())
        return real(kept, data)

    monkeypatch.setattr(files, "swap", swap)
    new = credential(login("two"), "openai-codex")
    done = store.write(Replacement("openai:default", store.read().sightings[0].etag, new, 2e9))
    assert isinstance(done, Written)
    assert seen == [True]
    assert not lock_of(path).exists()


def test_the_lock_is_beside_the_name_that_openclaw_knows(tmp_path: Path) -> None:
    """A symlinked store: OpenClaw locks the link's name, and the link stays a link."""
    path = claw.write_json(tmp_path / ".openclaw", "main", claw.only(claw.profile()))
    target = tmp_path / "elsewhere" / "store.json"
    target.parent.mkdir()
    path.rename(target)
    path.symlink_to(target)
    store = claw.stores(tmp_path)["main"]
    assert target in store.info.watched
    lock = lock_of(path)
    lock.write_text(holder(os.getpid()))
    seen = store.read().sightings[0]
    new = Replacement("openai:default", seen.etag, credential(login("two"), "openai-codex"), 2e9)
    assert isinstance(store.write(new), Busy)
    lock.unlink()
    assert isinstance(store.write(new), Written)
    assert path.is_symlink()
    assert "fake-refresh-two" in target.read_text()
