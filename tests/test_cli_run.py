"""`syncd run`: what it shows, when it asks, what it writes, and what a second one is told; `enable`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from tests.adapters import codex_home
from tests.sandbox import Sandbox, rewrite_in_place
from tests.test_cli_status import changed

WRITES = """
$ syncd run --dry-run
f***@example.invalid  openai-codex  live
head bafec6d1, generation 0, access token for 10 h
  store  slot            state    token
  codex  chatgpt         current  bafec6d1
  main   openai:default  behind   10fee690

would write bafec6d1 to openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default
[0]
"""


def furnish(box: Sandbox) -> Path:
    """Codex has rotated, an agent has not heard of it: the agent's store."""
    box.codex_login(box.login("two", age=60))
    return box.agent("main", box.login("one"))


def holds(path: Path, name: str) -> bool:
    profile = json.loads(path.read_bytes())["profiles"]["openai:default"]
    return bool(profile["refresh"] == f"fake-refresh-{name}")


def test_a_dry_run_shows_the_writes_and_makes_none(sandbox: Sandbox) -> None:
    """No ledger, no state folder, no lock, no access time that a store would notice."""
    furnish(sandbox)
    before = sandbox.everything()
    sandbox.tells(WRITES)
    assert changed(before, sandbox.everything()) == []
    assert not sandbox.state.exists()


def test_once_yes_makes_every_store_current(sandbox: Sandbox) -> None:
    agent = furnish(sandbox)
    sandbox.tells("""
$ syncd run --once --yes
f***@example.invalid  openai-codex  live
head bafec6d1, generation 0, access token for 10 h
  store  slot            state    token
  codex  chatgpt         current  bafec6d1
  main   openai:default  current  bafec6d1

[0]
$ syncd run --dry-run
f***@example.invalid  openai-codex  live
head bafec6d1, generation 0, access token for 10 h
  store  slot            state    token
  codex  chatgpt         current  bafec6d1
  main   openai:default  current  bafec6d1

nothing to write
[0]
$ syncd status --check
f***@example.invalid  openai-codex  live
head bafec6d1, generation 0, access token for 10 h
  store  slot            state    token
  codex  chatgpt         current  bafec6d1
  main   openai:default  current  bafec6d1

no syncd runs in the background; start one with: syncd run
[0]
""")
    assert holds(agent, "two")
    assert stat.S_IMODE(sandbox.state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in sandbox.state.iterdir()} == {0o600}


def test_once_without_a_terminal_writes_nothing_until_it_may(sandbox: Sandbox) -> None:
    agent = furnish(sandbox)
    before = agent.read_bytes()
    done = sandbox.run("run", "--once")
    assert (done.code, done.err) == (0, "nothing was written: syncd enable, or syncd run --once --yes\n")
    assert agent.read_bytes() == before
    sandbox.tells("""
$ syncd enable
! syncd may keep the stores current; none runs in the background: syncd run
[0]
""")
    assert sandbox.run("run", "--once").err == ""
    assert holds(agent, "two")


def test_enabled_in_the_config_is_leave_enough(sandbox: Sandbox) -> None:
    agent = furnish(sandbox)
    sandbox.config.write_text("enabled = true\n")
    assert sandbox.run("run", "--once").code == 0
    assert holds(agent, "two")
    sandbox.tells("""
$ syncd enable --off
! syncd: warning: BOX/etc/config.toml still says enabled = true
! syncd only looks from now on; none runs in the background: syncd run
[0]
""")


def test_the_first_run_without_a_terminal_only_observes_until_enable(sandbox: Sandbox) -> None:
    """The running syncd takes it up at once; and the ledger remembers it for the next one."""
    agent = furnish(sandbox)
    with sandbox.daemon(yes=False) as daemon:
        assert daemon.status()["daemon"]["mode"] == "observing"
        assert "would write bafec6d1" in daemon.said
        assert "syncd only looks and writes nothing until it may: syncd enable" in daemon.said
        assert sandbox.run("status").out.endswith(") only looks; let it write with: syncd enable\n")
        assert holds(agent, "one")
        sandbox.tells("""
$ syncd enable
! syncd may keep the stores current
[0]
""")
        daemon.until("it writes", lambda: holds(agent, "two"))
        assert daemon.status()["daemon"]["mode"] == "active"
    with sandbox.daemon(yes=False) as daemon:
        assert daemon.status()["daemon"]["mode"] == "active"
        assert sandbox.run("enable", "--off").code == 0
        assert daemon.status()["daemon"]["mode"] == "observing"


class TestOnATerminal:
    def test_it_asks_and_yes_writes(self, sandbox: Sandbox) -> None:
        agent = furnish(sandbox)
        done = sandbox.on_terminal("run", answers={"from now on? [y/N]": "y\n", "mirrored bafec6d1": "\x03"})
        assert done.code == 0
        shown = sandbox.plain(done.out)
        assert "would write bafec6d1 to openclaw:~/.openclaw/agents/main/agent/auth-profiles.json" in shown
        assert "syncd keeps its own copy of the newest credential in BOX/state, for you alone (0600)" in shown
        assert holds(agent, "two")
        with sandbox.daemon(yes=False) as daemon:  # asked once
            assert daemon.status()["daemon"]["mode"] == "active"

    def test_no_is_the_default_and_only_looks(self, sandbox: Sandbox) -> None:
        agent = furnish(sandbox)
        done = sandbox.on_terminal("run", answers={"from now on? [y/N]": "\n", "first seen bafec6d1": "\x03"})
        assert done.code == 0
        assert "syncd only looks and writes nothing until it may: syncd enable" in done.out
        assert holds(agent, "one")

    def test_interrupted_at_the_question_it_has_done_nothing(self, sandbox: Sandbox) -> None:
        furnish(sandbox)
        done = sandbox.on_terminal("run", answers={"from now on? [y/N]": "\x03"})
        assert done.code == 130
        assert not sandbox.ledger.exists()

    def test_with_no_login_it_offers_the_demo_and_else_waits(self, sandbox: Sandbox) -> None:
        answers = {"watch the demo instead? [Y/n]": "n\n", "nothing until it may: syncd enable": "\x03"}
        done = sandbox.on_terminal("run", answers=answers)
        assert done.code in (0, 130)  # as it has, or has not, begun to watch by then
        shown = sandbox.plain(done.out)
        assert "no login of Codex or OpenClaw was found; looked at:\n  ~/.codex/auth.json\n" in shown
        assert "syncd waits for a login to appear; end it with Ctrl-C" in shown

    def test_yes_does_not_ask(self, sandbox: Sandbox) -> None:
        agent = furnish(sandbox)
        done = sandbox.on_terminal("run", "--yes", answers={"mirrored bafec6d1": "\x03"})
        assert done.code == 0
        assert "?" not in done.out
        assert holds(agent, "two")


def test_a_second_one_is_refused(sandbox: Sandbox) -> None:
    """By the state folder's lock, and by the socket where the state folder is another; one pass may run beside it."""
    furnish(sandbox)
    with sandbox.daemon():
        sandbox.tells("""
$ syncd run
! syncd: error: a syncd already serves BOX/state
! syncd: hint: syncd status
[75]
$ syncd run --yes
! syncd: error: a syncd already serves BOX/state
! syncd: hint: syncd status
[75]
""")
        elsewhere = sandbox.run("run", "--yes", env={"SYNCD_STATE_DIR": str(sandbox.root / "state2")})
        assert (elsewhere.code, elsewhere.err.splitlines()[0]) == (
            75,
            f"syncd: error: a syncd already answers at {sandbox.socket}",
        )
        assert sandbox.run("run", "--once").code == 0


def test_a_store_that_cannot_be_written_is_told_and_does_not_stop_the_others(sandbox: Sandbox) -> None:
    """Exit 1; an auth-profiles.json.lock that a running OpenClaw holds."""
    agent, other = furnish(sandbox), sandbox.agent("nova", sandbox.login("one"))
    holder = {"pid": 1, "createdAt": "2099-01-01T00:00:00.000Z"}
    agent.with_name("auth-profiles.json.lock").write_text(json.dumps(holder))
    done = sandbox.run("run", "--once", "--yes")
    assert done.code == 1
    assert "busy" in next(line for line in done.out.splitlines() if line.startswith("  main "))
    assert "    not written: " in done.out
    assert holds(other, "two")
    assert holds(agent, "one")


def test_a_rotation_while_nobody_watched_is_caught_up(sandbox: Sandbox) -> None:
    agent = furnish(sandbox)
    assert sandbox.run("run", "--once", "--yes").code == 0
    rewrite_in_place(sandbox.auth, codex_home.text(codex_home.auth(sandbox.login("three", age=5))))
    assert sandbox.run("run", "--once").code == 0
    assert holds(agent, "three")
    assert [line.split()[2] for line in sandbox.run("history").out.splitlines()] == [
        "first",
        "first",
        "mirrored",
        "rotated",
        "mirrored",
    ]
