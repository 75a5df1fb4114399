"""Where stores are found, how they are named, and what is watched."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from syncd.ports import Discovery, Surroundings, WatchRoot
from syncd_adapters.openclaw import OpenClaw, lenient
from syncd_adapters.openclaw.places import folder_of
from tests.adapters import openclaw_state as claw

OURS = claw.only(claw.profile())


def discover(home: Path, **env: str) -> Discovery:
    return OpenClaw().discover(claw.surroundings(home, **env))


def named(found: Discovery) -> dict[str, str]:
    """Label to id."""
    return {one.info.label: one.info.id for one in found.stores}


def config(state: Path, text: str, name: str = "openclaw.json") -> None:
    state.mkdir(parents=True, exist_ok=True)
    (state / name).write_text(text)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / ".openclaw"


# -- state folders -----------------------------------------------------------------------------------------


def test_every_state_folder_is_looked_at(tmp_path: Path) -> None:
    for folder in (".openclaw", ".openclaw-dev", ".clawdbot", ".openclaw-auth-profile-secrets", "data"):
        claw.write_json(tmp_path / folder, "main", OURS)
    found = OpenClaw().discover(
        Surroundings(env={"OPENCLAW_STATE_DIR": " ~/data "}, home=tmp_path, extra={"openclaw": (tmp_path / "more",)})
    )
    assert named(found) == {
        "main": "openclaw:~/.openclaw/agents/main/agent/auth-profiles.json",
        "main @.openclaw-dev": "openclaw:~/.openclaw-dev/agents/main/agent/auth-profiles.json",
        "main @data": "openclaw:~/data/agents/main/agent/auth-profiles.json",
        "main @.clawdbot": "openclaw:~/.clawdbot/agents/main/agent/auth-profiles.json",
    }
    assert tmp_path / "more" in found.looked


def test_another_home_for_openclaw(tmp_path: Path) -> None:
    claw.write_json(tmp_path / "other" / ".openclaw", "main", OURS)
    found = discover(tmp_path, OPENCLAW_HOME="~/other")
    assert named(found) == {"main": "openclaw:~/other/.openclaw/agents/main/agent/auth-profiles.json"}
    assert WatchRoot(tmp_path / "other", frozenset(), recursive=False) in found.roots


def test_one_folder_by_two_names_is_one(tmp_path: Path, state: Path) -> None:
    claw.write_json(state, "main", OURS)
    (tmp_path / ".clawdbot").symlink_to(state)
    assert list(named(discover(tmp_path, OPENCLAW_STATE_DIR=str(tmp_path / ".clawdbot")))) == ["main"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("  ", None),
        ("a\0b", None),
        ("~", "/h"),
        (" ~/x ", "/h/x"),
        ("/a/../b", "/b"),
        ("rel/x", "/h/rel/x"),
        ("~other/x", "/h/~other/x"),
    ],
)
def test_folders_as_openclaw_reads_them(text: str, expected: str | None) -> None:
    assert folder_of(text, Path("/h")) == (Path(expected) if expected else None)


# -- agents ------------------------------------------------------------------------------------------------


def test_agents_from_folders_config_table_and_environment(tmp_path: Path, state: Path) -> None:
    claw.write_agent(state, "main", OURS)
    for name in ("configured", "registered", "moved"):
        shutil.copytree(state / "agents" / "main" / "agent", tmp_path / name)
    config(state, json.dumps({"agents": {"list": [{"id": "Nova", "agentDir": "~/configured"}, {"id": "main"}]}}))
    path = claw.write_state(state, "2026.9.6", claw.STATE_DB, OURS)
    row = (str(tmp_path / "registered" / "openclaw-agent.sqlite"),)
    claw.run(path, "INSERT INTO agent_databases VALUES ('old', ?, 1, 1, 1)", *row)
    claw.run(path, "INSERT INTO agent_databases VALUES ('main', 'agents/main/agent/openclaw-agent.sqlite', 1, 1, 1)")
    found = discover(tmp_path, OPENCLAW_AGENT_DIR=str(tmp_path / "moved"))
    assert sorted(one.info.path.parent.name for one in found.stores) == sorted(
        ["agent", "moved", "configured", "registered", "state"]
    )
    assert sorted(one.info.label for one in found.stores) == ["Nova", "main", "main", "old", "shared"]
    for folder in ("configured", "registered", "moved"):
        assert any(one.path == tmp_path / folder and not one.recursive for one in found.roots)


def test_a_copied_state_folder_does_not_reach_into_its_original(tmp_path: Path, state: Path) -> None:
    """2026.6 lists its databases by absolute paths, and a backup or a test brings them along."""
    original = claw.write_agent(state, "nova", OURS)
    path = claw.write_state(state, ddl=claw.DECOYS)
    claw.run(path, "INSERT INTO agent_databases VALUES ('nova', ?, 1, 1, 1)", str(original))
    copy = tmp_path / "elsewhere" / ".openclaw"
    shutil.copytree(state, copy)
    (found,) = discover(tmp_path / "elsewhere").stores
    assert found.info.path == copy / "agents" / "nova" / "agent" / "openclaw-agent.sqlite"


def test_files_that_are_no_stores(tmp_path: Path, state: Path) -> None:
    folder = claw.agent_folder(state, "main")
    for name in (
        "auth-state.json",
        "auth-profiles.json.migrated-2026",
        "auth-profiles.json.sqlite-import.1.bak",
        "auth-profiles.json.lock",
        "auth.json",
        ".syncd-0.tmp",
    ):
        (folder / name).write_text(json.dumps(OURS))
    (state / "agents" / "file").write_text("")
    (state / "agents" / "empty").mkdir()
    assert discover(tmp_path).stores == ()


def test_two_stores_of_one_agent_have_two_labels(tmp_path: Path, state: Path) -> None:
    claw.write_agent(state, "nova", OURS)
    claw.write_json(state, "nova", OURS)
    assert sorted(named(discover(tmp_path))) == ["nova", "nova (json)"]


def test_one_file_by_two_names_is_one_store(tmp_path: Path, state: Path) -> None:
    path = claw.write_json(state, "nova", OURS)
    (state / "agents" / "alias").symlink_to(state / "agents" / "nova")
    linked = claw.agent_folder(state, "linked") / "auth-profiles.json"
    linked.symlink_to(path)
    found = discover(tmp_path)
    assert len(found.stores) == 1
    assert {one.path for one in found.roots} >= {tmp_path, state}


def test_one_file_in_two_state_folders_is_the_first_ones(tmp_path: Path, state: Path) -> None:
    claw.write_json(state, "main", OURS)
    (tmp_path / ".openclaw-dev").mkdir()
    (tmp_path / ".openclaw-dev" / "agents").symlink_to(state / "agents")
    assert list(named(discover(tmp_path))) == ["main"]


def test_a_symlinked_database_is_watched_where_its_side_files_are(tmp_path: Path, state: Path) -> None:
    path = claw.write_agent(state, "main", OURS)
    target = tmp_path / "vault" / "logins.sqlite"
    target.parent.mkdir()
    path.rename(target)
    path.symlink_to(target)
    found = discover(tmp_path)
    (store,) = found.stores
    assert target.with_name("logins.sqlite-wal") in store.info.watched
    assert any(one.path == target.parent and "logins.sqlite-wal" in one.names for one in found.roots)
    assert store.read().sightings


def test_what_lies_outside_of_the_tree_is_watched_there(tmp_path: Path, state: Path) -> None:
    outside = claw.write_json(tmp_path / "data", "main", OURS).parent
    (state / "agents" / "linked").mkdir(parents=True)
    (state / "agents" / "linked" / "agent").symlink_to(outside)
    target = tmp_path / "vault" / "store.json"
    target.parent.mkdir()
    target.write_text(json.dumps(OURS))
    (claw.agent_folder(state, "nova") / "auth-profiles.json").symlink_to(target)
    found = discover(tmp_path)
    assert {one.info.label for one in found.stores} == {"linked", "nova"}
    watched = {(one.path, one.recursive): one.names for one in found.roots}
    assert "auth-profiles.json" in watched[outside, False]
    assert "store.json" in watched[target.parent, False]
    names = watched[state, True]
    assert names >= {"openclaw.json", "openclaw.sqlite", "openclaw.sqlite-wal", "openclaw-agent.sqlite-wal"}


@pytest.mark.skipif(os.name == "nt", reason="names of this kind cannot be made there")
def test_strange_agent_names_are_found_and_shown_plainly(tmp_path: Path, state: Path) -> None:
    for name in ("a\nb", "ü😀", os.fsdecode(b"raw-\xff"), "x" * 200):
        claw.write_json(state, name, OURS)
    found = discover(tmp_path)
    assert len(found.stores) == 4
    for one in found.stores:
        assert one.info.label.isprintable()
        assert len(one.info.label) <= 64
        assert one.read().sightings


def test_the_same_objects_again_and_the_gone_let_go(tmp_path: Path, state: Path) -> None:
    claw.write_json(state, "main", OURS)
    path = claw.write_json(state, "nova", OURS)
    adapter, where = OpenClaw(), claw.surroundings(tmp_path)
    first = adapter.discover(where).stores
    assert all(one is other for one, other in zip(first, adapter.discover(where).stores, strict=True))
    path.unlink()
    assert adapter.discover(where).stores == first[:1]
    claw.write_agent(state, "main", OURS)
    later = {one.info.path.name: one for one in adapter.discover(where).stores}
    assert later["auth-profiles.json"] is first[0]
    assert first[0].info.label == "main (json)"


# -- the configuration -------------------------------------------------------------------------------------


def test_includes_are_followed_on_the_way_to_the_agents_only(tmp_path: Path, state: Path) -> None:
    for name in ("one", "two", "three"):
        claw.write_json(tmp_path / name, "x", OURS)
    config(state, "{agents: {$include: ['./a.json5', 'sub/b.json5'], defaults: {}}, channels: {$include: 'secret'}}")
    config(state, "{list: [{id: 'one', agentDir: '~/one/agents/x/agent'}]} // a", "a.json5")
    (state / "sub").mkdir()
    config(state, "{list: [{$include: 'c.json5'}, {id: 'three', agentDir: '${DATA}/agents/x/agent'}]}", "sub/b.json5")
    config(state, "{id: 'two', agentDir: '~/two/agents/x/agent',}", "sub/c.json5")
    found = discover(tmp_path, DATA=str(tmp_path / "three"))
    assert {one.info.label for one in found.stores} == {"one", "two", "three"}
    assert found.notes == ()


@pytest.mark.parametrize(
    "text",
    ["{", "{agents: {$include: 'openclaw.json'}}", "{agents: {$include: 'missing'}}", "[" * 100_000, "\xff", "{a: 'x}"],
)
def test_a_broken_configuration_leaves_the_folders_and_a_reason(tmp_path: Path, state: Path, text: str) -> None:
    claw.write_json(state, "main", OURS)
    (state / "openclaw.json").write_bytes(text.encode("latin-1"))
    found = discover(tmp_path)
    assert [one.info.label for one in found.stores] == ["main"]
    (note,) = found.notes
    assert "openclaw.json" in note


@pytest.mark.parametrize(
    "text",
    ["null", "[]", '{"agents": 5}', '{"agents": {"list": {}}}', '{"agents": {"list": [5, {"id": 1, "agentDir": []}]}}'],
)
def test_a_configuration_of_other_shapes_is_no_trouble(tmp_path: Path, state: Path, text: str) -> None:
    config(state, text)
    assert (discover(tmp_path).stores, discover(tmp_path).notes) == ((), ())


def test_the_configuration_is_read_again_when_it_changes(tmp_path: Path, state: Path) -> None:
    claw.write_json(tmp_path / "data", "x", OURS)
    adapter, where = OpenClaw(), claw.surroundings(tmp_path)
    config(state, "{agents: {$include: 'more.json5'}}")
    assert adapter.discover(where).notes
    config(state, "{list: [{id: 'late', agentDir: '~/data/agents/x/agent'}]}", "more.json5")
    found = adapter.discover(where)
    assert ([one.info.label for one in found.stores], found.notes) == (["late"], ())


def test_a_configuration_elsewhere_is_read_and_watched(tmp_path: Path) -> None:
    claw.write_json(tmp_path / "data", "x", OURS)
    config(tmp_path / "etc", "{agents:{list:[{id:'far',agentDir:'~/data/agents/x/agent'}]}}", "claw.json")
    found = discover(tmp_path, OPENCLAW_CONFIG_PATH=str(tmp_path / "etc" / "claw.json"))
    assert [one.info.label for one in found.stores] == ["far"]
    assert (
        WatchRoot(tmp_path / "etc", frozenset({"claw.json", "claw.json-wal", "claw.json-journal"}), recursive=False)
        in found.roots
    )


def test_json5_as_people_write_it() -> None:
    assert lenient.parse(
        '\ufeff{ // one\n a$b: \'it\\\'s "x" \\x41\\u0042 \\\n c\', "d\\n": [1, -2.5e3, .5, 0x1f, +1, NaN,], /* , */'
        " true: true, n: null, 5: false, }"
    ) == {
        "a$b": 'it\'s "x" AB  c',
        "d\n": [1, -2500.0, None, None, None, None],
        "true": True,
        "n": None,
        "5": False,
    }
    for wrong in ("", "{a:1,,}", "{a 1}", "{'a:1}", "/* open", "{a:1} {}"):
        with pytest.raises(ValueError):
            lenient.parse(wrong)
    with pytest.raises(ValueError):
        lenient.parse(" " * (lenient.MAX_TEXT + 1))
