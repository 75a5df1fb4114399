"""Rows of real databases: locked, damaged, replaced, of a foreign form; and what a write leaves of them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from syncd.errors import StoreFault
from syncd.model import Holds, Unreadable
from syncd.ports import Busy, Changed, Failed, Replacement, Store, WriteOutcome, Written
from syncd_adapters.openclaw import database
from tests import fake
from tests.adapters import openclaw_state as claw
from tests.adapters.conformance import credential, login
from tests.notrun import not_run

SLOT = "openai:default"
OURS = claw.only(claw.profile())


def write(store: Store, name: str = "two", expected: str | None = None) -> WriteOutcome:
    etag = expected or store.read().sightings[0].etag
    return store.write(Replacement(SLOT, etag, credential(login(name, 2_000.0), "openai-codex"), 1_999_999_999.5))


def unreadable(store: Store) -> Unreadable:
    (seen,) = store.read().sightings
    assert isinstance(seen.content, Unreadable)
    assert seen.slot.name == "-"
    return seen.content


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".openclaw"


@pytest.fixture
def path(state: Path) -> Path:
    return claw.write_agent(state, "main", OURS)


@pytest.fixture
def store(path: Path, tmp_path: Path) -> Store:
    return claw.stores(tmp_path)["main"]


def test_one_row_and_its_time_change_and_nothing_else(path: Path, store: Store) -> None:
    claw.run(path, "INSERT INTO auth_profile_store VALUES ('other', '{}', 7)")
    claw.run(path, "CREATE TABLE auth_profile_state (state_key TEXT PRIMARY KEY, state_json TEXT, updated_at INTEGER)")
    claw.run(path, "INSERT INTO auth_profile_state VALUES ('primary', '{\"lastGood\":{}}', 8)")
    schema = claw.run(path, "SELECT * FROM sqlite_master")
    assert isinstance(write(store), Written)
    rows = claw.run(path, "SELECT store_key, updated_at, typeof(store_json) FROM auth_profile_store ORDER BY 1")
    assert rows == [("other", 7, "text"), ("primary", 1_999_999_999_500, "text")]
    assert claw.run(path, "SELECT * FROM auth_profile_state") == [("primary", '{"lastGood":{}}', 8)]
    assert claw.run(path, "SELECT * FROM sqlite_master") == schema
    ((text,),) = claw.run(path, "SELECT store_json FROM auth_profile_store WHERE store_key = 'primary'")
    assert isinstance(text, str)
    assert ": " not in text
    assert "\n" not in text


def test_only_the_shared_row_of_the_machine_changes(state: Path, tmp_path: Path) -> None:
    path = claw.write_state(state, "2026.9.6", claw.STATE_DB, OURS)
    claw.run(path, "INSERT INTO config_machine_state VALUES ('model-account:x', '{\"refresh\":\"fake\"}', 5)")
    assert isinstance(write(claw.stores(tmp_path)["shared"]), Written)
    assert claw.run(path, "SELECT state_key, updated_at_ms FROM config_machine_state ORDER BY 1") == [
        ("auth.sharedStore", 1),
        ("authProfiles.store", 1_999_999_999_500),
        ("model-account:x", 5),
    ]


@pytest.mark.parametrize("wal", [True, False])
def test_the_journal_mode_stays(state: Path, tmp_path: Path, wal: bool) -> None:
    path = claw.write_agent(state, "main", OURS, wal=wal)
    mode = claw.run(path, "PRAGMA journal_mode")
    assert isinstance(write(claw.stores(tmp_path)["main"]), Written)
    assert claw.run(path, "PRAGMA journal_mode") == mode == [("wal" if wal else "delete",)]


def test_a_gateways_side_files_stay_the_same_files(path: Path, store: Store) -> None:
    """From 2026.9 on a gateway ends itself when `-wal` or `-shm` are replaced under it."""
    code = "import sqlite3\nc = sqlite3.connect(sys.argv[1])\nc.execute('SELECT * FROM schema_meta').fetchall()\nhold()"
    sides = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
    with claw.elsewhere(code, str(path)):
        before = [side.stat().st_ino for side in sides]
        assert isinstance(write(store), Written)
        with contextlib.closing(database.Link(path)) as other:
            assert other.query("SELECT 1") == [(1,)]
        assert [side.stat().st_ino for side in sides] == before


def test_a_writer_elsewhere_makes_it_busy_and_reading_goes_on(path: Path, store: Store) -> None:
    seen = store.read().sightings[0]
    with claw.elsewhere(claw.HOLD_WRITER, str(path)):
        assert isinstance(write(store, expected=seen.etag), Busy)
        assert store.read().sightings[0] == seen
    assert isinstance(write(store, expected=seen.etag), Written)


def test_an_exclusive_lock_is_unreadable_for_now(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "READ_PATIENCE", 0.05)
    path = claw.write_agent(state, "main", OURS, wal=False)
    store = claw.stores(tmp_path)["main"]
    store.read()
    with claw.elsewhere(claw.HOLD_WRITER.replace("IMMEDIATE", "EXCLUSIVE"), str(path)):
        found = unreadable(store)
        assert "locked" in found.reason
        assert str(path) in found.reason
        assert found.hint
    assert isinstance(store.read().sightings[0].content, Holds)


@pytest.mark.parametrize(
    "content", [b"no database at all, and long enough to be looked at" * 40, b"SQLite format 3\0" + b"\xff" * 4_096]
)
def test_a_damaged_database_is_unreadable_and_left(path: Path, tmp_path: Path, content: bytes) -> None:
    path.write_bytes(content)
    store = claw.stores(tmp_path)["main"]
    found = unreadable(store)
    assert str(path) in found.reason
    assert found.hint
    assert isinstance(write(store, expected="x"), Failed)
    assert path.read_bytes() == content


def test_a_table_of_another_form_is_unreadable(path: Path, store: Store) -> None:
    claw.run(path, "ALTER TABLE auth_profile_store RENAME COLUMN store_json TO store_cbor")
    found = unreadable(store)
    assert "tables" in found.reason
    assert isinstance(write(store, expected="x"), Failed)


def test_a_table_that_went_away_is_unreadable(path: Path, store: Store) -> None:
    claw.run(path, "DROP TABLE auth_profile_store")
    assert "auth_profile_store" in unreadable(store).reason


def test_a_cell_that_is_no_text_is_unreadable(path: Path, store: Store) -> None:
    claw.run(path, "UPDATE auth_profile_store SET store_json = 5")
    # The column's affinity makes text of a number; only the adapter's own rules are left to say no.
    assert isinstance(store.read().sightings[0].content, Unreadable)
    claw.run(path, "DROP TABLE auth_profile_store")
    claw.run(path, "CREATE TABLE auth_profile_store (store_key, store_json, updated_at)")
    claw.run(path, "INSERT INTO auth_profile_store VALUES ('primary', 5, 1)")
    assert "not text" in unreadable(store).reason


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_in_its_place_is_not_opened(path: Path, tmp_path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    assert "regular file" in unreadable(claw.stores(tmp_path)["main"]).reason


def test_a_forbidden_database_is_unreadable(path: Path, tmp_path: Path) -> None:
    if sys.platform == "win32" or os.geteuid() == 0:
        not_run("permission bits as root", "permissions do not bind this user")
    path.chmod(0)
    assert unreadable(claw.stores(tmp_path)["main"]).hint


def test_a_replaced_database_is_opened_again(path: Path, state: Path, store: Store) -> None:
    store.read()
    other = claw.write_agent(state, "other", claw.only(claw.profile("new", 5_000.0)))
    other.replace(path)
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    seen = store.read().sightings[0].credential
    assert seen is not None
    assert seen.refresh is not None
    assert seen.refresh.reveal() == fake.refresh("new")


def test_a_database_that_went_away_is_no_login_and_not_made(path: Path, store: Store) -> None:
    seen = store.read().sightings[0]
    for each in path.parent.iterdir():
        each.unlink()
    assert store.read().sightings == ()
    assert isinstance(write(store, expected=seen.etag), Failed)
    assert list(path.parent.iterdir()) == []


def test_a_database_that_goes_right_before_the_open_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "identity_of", lambda _: (1, 1))
    with pytest.raises((StoreFault, sqlite3.Error)), database.transaction(tmp_path / "gone.sqlite"):
        pass
    with pytest.raises(StoreFault):
        database.Link(tmp_path / "gone.sqlite").query("SELECT 1")
    assert list(tmp_path.iterdir()) == []


def test_a_fence_that_came_meanwhile_is_not_overwritten(path: Path, store: Store) -> None:
    """Compare and write stand in one transaction: OpenClaw's claim wins, or ours was there before it."""
    seen = store.read().sightings[0]
    claim = claw.only(claw.fenced())
    sample = sqlite3.connect(path, isolation_level=None)
    sample.execute("UPDATE auth_profile_store SET store_json = ?", (str(claim).replace("'", '"'),))
    sample.close()
    assert write(store, expected=seen.etag) == Changed()
    assert type(store.read().sightings[0].content).__name__ == "Fenced"


def test_a_store_is_used_by_one_thread_after_the_other(store: Store) -> None:
    outcomes: list[WriteOutcome] = []
    for name in ("two", "three"):
        thread = threading.Thread(target=lambda name=name: outcomes.append(write(store, name)))
        thread.start()
        thread.join()
    assert [type(one) for one in outcomes] == [Written, Written]


def test_beyond_the_bound_connections_are_not_kept(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = threading.BoundedSemaphore(1)
    monkeypatch.setattr(database, "_KEPT", bound)
    for number in range(5):
        claw.write_agent(state, f"a{number}", OURS)
    found = claw.stores(tmp_path)
    for _ in range(2):
        assert all(isinstance(one.read().sightings[0].content, Holds) for one in found.values())
    assert all(isinstance(write(one), Written) for one in found.values())
    assert not bound.acquire(blocking=False)
    for one in found.values():
        one.info.path.unlink()
        one.read()
    assert bound.acquire(blocking=False)


def test_a_killed_writer_leaves_the_whole_old_row(path: Path, store: Store) -> None:
    code = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute(\"UPDATE auth_profile_store SET store_json = 'torn'\")\n"
        "os.kill(os.getpid(), 9)\n"
    )
    before = store.read()
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert store.read() == before
    assert isinstance(write(store), Written)
