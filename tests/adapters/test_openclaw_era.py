"""Which store counts, in every era; and that a migration between read and write is seen."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from syncd.model import Alien, Holds
from syncd.ports import Changed, Failed, Ignored, ReadOnly, Replacement, Store, Used, Written
from syncd_adapters.openclaw import database, json_store, lock, sqlite_store
from syncd_adapters.openclaw.era import Evidence, Owner, agent_usage, json_usage, owner_of, shared_usage
from syncd_adapters.openclaw.lock import Held, Taken
from tests.adapters import openclaw_state as claw
from tests.adapters.conformance import credential, login

NOW = 2_000_000_000.0
OURS = claw.only(claw.profile())
ENCRYPTED = claw.profile(
    provider="openai-codex",
    access=None,
    refresh=None,
    oauthRef={"source": "openclaw-credentials", "provider": "openai-codex", "id": "0" * 32},
)


def usages(home: Path) -> dict[str, type]:
    return {label: type(reading.usage) for label, reading in claw.readings(home).items()}


def write(store: Store, name: str = "two") -> object:
    seen = store.read().sightings[0]
    return store.write(Replacement(seen.slot.name, seen.etag, credential(login(name, 2_000.0), "openai-codex"), NOW))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".openclaw"


# -- the table, pure -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "of_json", "of_agent", "of_shared"),
    [
        (Evidence(), Used, Used, Ignored),
        (Evidence(version="2026.6.1"), Used, Used, Ignored),
        (Evidence(version="2026.6.5"), Ignored, Used, Ignored),
        (Evidence(version="2026.6.11-beta.2"), Ignored, Used, Ignored),
        (Evidence(version="2026.10.1"), Ignored, Used, Ignored),
        (Evidence(version="nonsense"), Used, Used, Ignored),
        (Evidence(agent_table=True), Ignored, Used, Ignored),
        (Evidence(version="2026.8.2", shared_table=True), Ignored, Used, Ignored),
        (Evidence(owner=Owner.STATE, shared_table=True), Ignored, Used, Used),
        (Evidence(owner=Owner.STRANGE, shared_table=True), Ignored, ReadOnly, ReadOnly),
        (Evidence(trouble="x cannot be read", owner=Owner.STRANGE), ReadOnly, ReadOnly, ReadOnly),
        (Evidence(trouble="x cannot be read", agent_table=True), Ignored, ReadOnly, ReadOnly),
        (Evidence(eclipsed="~/.openclaw"), Ignored, Ignored, Ignored),
    ],
)
def test_the_table_of_eras(evidence: Evidence, of_json: type, of_agent: type, of_shared: type) -> None:
    judges: tuple[Callable[[Evidence], object], ...] = (json_usage, agent_usage, shared_usage)
    assert tuple(type(judge(evidence)) for judge in judges) == (of_json, of_agent, of_shared)


@pytest.mark.parametrize(
    ("row", "owner"),
    [
        (None, Owner.MAIN),
        (b'{"location":"state-db"}', Owner.STATE),
        (b'{ "location": "legacy-main" }', Owner.MAIN),
        (b'{"location":"state-db","epoch":2}', Owner.STRANGE),
        (b'{"location":"elsewhere"}', Owner.STRANGE),
        (b'"state-db"', Owner.STRANGE),
        (b"", Owner.STRANGE),
        (b"[" * 100_000, Owner.STRANGE),
    ],
)
def test_the_ownership_row(row: bytes | None, owner: Owner) -> None:
    assert owner_of(row) is owner


# -- on the disk ---------------------------------------------------------------------------------------------


def test_json_alone_is_used(state: Path, tmp_path: Path) -> None:
    claw.write_json(state, "main", OURS)
    assert usages(tmp_path) == {"main": Used}


def test_decoy_tables_of_6_1_do_not_end_the_json_era(state: Path, tmp_path: Path) -> None:
    claw.write_json(state, "main", OURS)
    claw.write_state(state, "2026.6.1", ddl=claw.DECOYS)
    claw.write_agent(state, "main", ddl=claw.DECOYS)
    assert usages(tmp_path) == {"main": Used}


def test_6_11_without_a_version_and_with_stray_files(state: Path, tmp_path: Path) -> None:
    """As the real doctor leaves it: main's row filled, the other agents' empty, their files still there."""
    claw.write_state(state, None, ddl=claw.DECOYS)
    claw.write_agent(state, "main", OURS)
    claw.write_agent(state, "nova", {"version": 1, "profiles": {}})
    claw.write_json(state, "nova", OURS)
    claw.write_json(state, "atlas", OURS)
    found = claw.readings(tmp_path)
    assert {label: type(one.usage) for label, one in found.items()} == {
        "main": Used,
        "nova": Used,
        "nova (json)": Ignored,
        "atlas": Ignored,
    }
    assert found["nova"].sightings == ()
    for stray in ("nova (json)", "atlas"):
        assert isinstance(found[stray].sightings[0].content, Holds)


def test_what_is_ignored_is_never_written(state: Path, tmp_path: Path) -> None:
    claw.write_agent(state, "main", OURS)
    path = claw.write_json(state, "nova", OURS)
    before = path.read_bytes()
    outcome = write(claw.stores(tmp_path)["nova"])
    assert isinstance(outcome, Failed)
    assert "SQLite" in outcome.reason
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["auth-profiles.json"]


def test_ownership_decides_between_the_shared_row_and_main(state: Path, tmp_path: Path) -> None:
    path = claw.write_state(state, "2026.9.6", None, OURS)
    claw.write_agent(state, "main", OURS)
    assert usages(tmp_path) == {"main": Used, "shared": Ignored}
    claw.run(path, "INSERT INTO config_machine_state VALUES ('auth.sharedStore', ?, 1)", claw.LEGACY_MAIN)
    assert usages(tmp_path) == {"main": Used, "shared": Ignored}
    claw.run(
        path,
        "UPDATE config_machine_state SET value_json = ? WHERE state_key = 'auth.sharedStore'",
        claw.STATE_DB,
    )
    assert usages(tmp_path) == {"main": Used, "shared": Used}
    claw.run(path, "UPDATE config_machine_state SET value_json = '{}' WHERE state_key = 'auth.sharedStore'")
    assert usages(tmp_path) == {"main": ReadOnly, "shared": ReadOnly}


def test_a_fresh_9_6_with_a_left_over_file(state: Path, tmp_path: Path) -> None:
    claw.write_state(state, "2026.9.6", claw.STATE_DB, OURS)
    claw.write_json(state, "main", OURS)
    assert usages(tmp_path) == {"main": Ignored, "shared": Used}


def test_empty_agent_rows_are_not_filled(state: Path, tmp_path: Path) -> None:
    claw.write_state(state, "2026.9.6", claw.STATE_DB, OURS)
    path = claw.write_agent(state, "nova", {"version": 1, "profiles": {}})
    shared, nova = claw.stores(tmp_path)["shared"], claw.stores(tmp_path)["nova"]
    expected = shared.read().sightings[0]
    new = Replacement(expected.slot.name, expected.etag, credential(login("two"), "openai-codex"), NOW)
    assert nova.write(new) == Changed()
    assert claw.run(path, "SELECT store_json FROM auth_profile_store") == [('{"version":1,"profiles":{}}',)]
    claw.run(path, "DELETE FROM auth_profile_store")
    assert nova.write(new) == Changed()
    assert claw.run(path, "SELECT * FROM auth_profile_store") == []


def test_an_unreadable_state_database_makes_json_read_only(state: Path, tmp_path: Path) -> None:
    claw.write_json(state, "main", OURS)
    (state / "state").mkdir()
    (state / "state" / "openclaw.sqlite").write_bytes(b"not a database, but long enough to look at" * 30)
    found = claw.readings(tmp_path)
    assert {label: type(one.usage) for label, one in found.items()} == {"main": ReadOnly, "shared": ReadOnly}
    assert isinstance(found["main"].sightings[0].content, Holds)


# -- encrypted, 2026.5.12 to 5.28 ----------------------------------------------------------------------------


def test_encrypted_profiles_are_read_only_with_a_reason(state: Path, tmp_path: Path) -> None:
    path = claw.write_json(state, "main", claw.only(ENCRYPTED, "openai-codex:default"))
    before = path.read_bytes()
    store = claw.stores(tmp_path)["main"]
    reading = store.read()
    assert isinstance(reading.usage, ReadOnly)
    assert "2026.5.12-5.28" in reading.usage.reason
    assert "upgrade" in reading.usage.reason
    assert isinstance(reading.sightings[0].content, Alien)
    assert reading.sightings[0].content.reason == reading.usage.reason
    assert isinstance(write(store), Failed)
    assert path.read_bytes() == before


def test_a_login_beside_an_encrypted_one_is_kept_alive(state: Path, tmp_path: Path) -> None:
    """After an upgrade the encrypted profile stays behind, and must not freeze the new one."""
    both = {"openai-codex:default": ENCRYPTED, "openai:default": claw.profile()}
    claw.write_json(state, "main", {"version": 1, "profiles": both})
    reading = claw.readings(tmp_path)["main"]
    assert reading.usage == Used()
    assert [type(one.content) for one in reading.sightings] == [Alien, Holds]


def test_a_write_ends_the_reference_to_an_encrypted_copy(state: Path, tmp_path: Path) -> None:
    path = claw.write_json(state, "main", claw.only(claw.profile(oauthRef={"id": "0" * 32})))
    assert isinstance(write(claw.stores(tmp_path)["main"]), Written)
    assert "oauthRef" not in json.loads(path.read_text())["profiles"]["openai:default"]


# -- doctor --fix between read and write ---------------------------------------------------------------------


def test_json_migrated_to_sqlite_meanwhile(state: Path, tmp_path: Path) -> None:
    """6.x leaves the other agents' files: the same store, found in the JSON era, must not be written now."""
    path = claw.write_json(state, "nova", OURS)
    store = claw.stores(tmp_path)["nova"]
    seen = store.read()
    assert seen.usage == Used()
    claw.write_agent(state, "main", OURS)
    before = path.read_bytes()
    assert isinstance(write(store), Failed)
    assert path.read_bytes() == before
    assert isinstance(store.read().usage, Ignored)


def test_json_renamed_by_the_doctor_meanwhile(state: Path, tmp_path: Path) -> None:
    path = claw.write_json(state, "main", OURS)
    store = claw.stores(tmp_path)["main"]
    seen = store.read().sightings[0]
    path.rename(path.with_name("auth-profiles.json.migrated-1"))
    new = Replacement(seen.slot.name, seen.etag, credential(login("two"), "openai-codex"), NOW)
    assert store.write(new) == Changed()
    assert sorted(one.name for one in path.parent.iterdir()) == ["auth-profiles.json.migrated-1"]


def test_the_shared_row_relocated_meanwhile(state: Path, tmp_path: Path) -> None:
    path = claw.write_state(state, "2026.9.6", claw.STATE_DB, OURS)
    store = claw.stores(tmp_path)["shared"]
    assert store.read().usage == Used()
    claw.run(path, "DELETE FROM config_machine_state WHERE state_key = 'auth.sharedStore'")
    assert isinstance(write(store), Failed)
    claw.run(path, "INSERT INTO config_machine_state VALUES ('auth.sharedStore', ?, 1)", claw.STATE_DB)
    assert isinstance(write(store), Written)


def test_json_migrated_while_the_lock_was_waited_for(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = claw.write_json(state, "nova", OURS)
    before, real = path.read_bytes(), lock.take

    def take(wanted: Path) -> Taken | Held:
        claw.write_agent(state, "main", OURS)
        return real(wanted)

    monkeypatch.setattr(json_store, "take", take)
    assert isinstance(write(claw.stores(tmp_path)["nova"]), Failed)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["auth-profiles.json"]


def test_the_shared_row_relocated_while_the_transaction_was_waited_for(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = claw.write_state(state, "2026.9.6", claw.STATE_DB, OURS)
    real = database.transaction

    def transaction(wanted: Path) -> AbstractContextManager[sqlite3.Connection]:
        claw.run(path, "DELETE FROM config_machine_state WHERE state_key = 'auth.sharedStore'")
        return real(wanted)

    monkeypatch.setattr(sqlite_store, "transaction", transaction)
    assert isinstance(write(claw.stores(tmp_path)["shared"]), Failed)
    ((cell,),) = claw.run(path, "SELECT value_json FROM config_machine_state")
    assert json.loads(str(cell)) == OURS


def test_the_old_folder_is_ignored_once_the_new_one_is_there(tmp_path: Path) -> None:
    claw.write_json(tmp_path / ".clawdbot", "main", OURS)
    assert usages(tmp_path) == {"main @.clawdbot": Used}
    (tmp_path / ".openclaw").mkdir()
    assert usages(tmp_path) == {"main @.clawdbot": Ignored}
    asked = claw.readings(tmp_path, OPENCLAW_STATE_DIR=str(tmp_path / ".clawdbot"))
    assert [one.usage for one in asked.values()] == [Used()]
