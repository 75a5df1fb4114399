"""Where syncd looks, on a file system that exists in memory only: discovery and configuration, no SQLite, no locks."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from syncd.config import load, places
from syncd.errors import ConfigFault
from syncd.model import Role
from syncd.ports import Adapter, Discovery, Surroundings
from syncd_adapters.codex import CodexAdapter
from syncd_adapters.openclaw import OpenClaw

HOME = Path("/home/fake")


def found(adapter: Adapter, env: dict[str, str] | None = None, *extra: Path) -> Discovery:
    return adapter.discover(Surroundings(env or {}, HOME, {adapter.name: extra}))


def ids(discovery: Discovery) -> list[str]:
    return sorted(store.info.id for store in discovery.stores)


def test_an_empty_machine_has_no_store_and_says_where_it_looked(fs: FakeFilesystem) -> None:
    fs.create_dir(HOME)
    for adapter in (CodexAdapter(), OpenClaw()):
        discovery = found(adapter)
        assert discovery.stores == ()
        assert discovery.looked
        assert discovery.roots


def test_codex_at_its_default_at_codex_home_and_at_the_homes_of_the_config(fs: FakeFilesystem) -> None:
    for folder in (HOME / ".codex", Path("/srv/codex"), Path("/srv/more")):
        fs.create_file(folder / "auth.json", contents="{}")
    assert ids(found(CodexAdapter())) == ["codex:~/.codex/auth.json"]
    named = found(CodexAdapter(), {"CODEX_HOME": "/srv/codex"}, Path("/srv/more"))
    assert ids(named) == ["codex:/srv/codex/auth.json", "codex:/srv/more/auth.json"]


def test_a_codex_home_without_a_login_is_a_store_so_that_a_login_is_seen(fs: FakeFilesystem) -> None:
    fs.create_dir(HOME / ".codex")
    assert ids(found(CodexAdapter())) == ["codex:~/.codex/auth.json"]


def test_every_state_folder_of_openclaw_and_never_its_auth_state(fs: FakeFilesystem) -> None:
    for root in (".openclaw", ".openclaw-work", ".clawdbot"):
        for name in ("auth-profiles.json", "auth-state.json"):
            fs.create_file(HOME / root / "agents/main/agent" / name, contents='{"version":1,"profiles":{}}')
    expected = [
        f"openclaw:~/{root}/agents/main/agent/auth-profiles.json"
        for root in (".clawdbot", ".openclaw", ".openclaw-work")
    ]
    assert ids(found(OpenClaw())) == sorted(expected)


def test_syncds_own_places_come_from_its_variables(fs: FakeFilesystem) -> None:
    env = {"SYNCD_STATE_DIR": "/s", "SYNCD_RUNTIME_DIR": "/r", "SYNCD_CONFIG": "/c.toml"}
    chosen = places(env)
    assert (chosen.state, chosen.socket, chosen.config) == (Path("/s"), Path("/r/syncd.sock"), Path("/c.toml"))
    assert places({"SYNCD_STATE_DIR": "/s"}).runtime == Path("/s/run")
    assert places({"SYNCD_STATE_DIR": "/s", "XDG_RUNTIME_DIR": "/run/user/1"}).runtime == Path("/run/user/1/syncd")
    long = places({"SYNCD_STATE_DIR": "/s", "SYNCD_RUNTIME_DIR": "/" + "x" * 200})
    assert len(str(long.socket)) <= 103


def test_a_config_of_roles_and_a_typo_in_it(fs: FakeFilesystem) -> None:
    path = HOME / "config.toml"
    assert load(path).role_of("codex:~/.codex/auth.json") is Role.PEER
    fs.create_file(path, contents='[[store]]\nmatch = "codex:*"\nrole = "observer"\n')
    assert load(path).role_of("codex:~/.codex/auth.json") is Role.OBSERVER
    fs.create_file(HOME / "typo.toml", contents="[watch]\nmodus = 1\n")
    with pytest.raises(ConfigFault, match=r'typo\.toml:2: unknown key "watch.modus"; did you mean "mode"\?'):
        load(HOME / "typo.toml")
