"""`syncd role` and `syncd forget`: what syncd does for a store, and how to leave (docs/rules.md, 13)."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.sandbox import Document, Sandbox


def furnish(box: Sandbox) -> None:
    """Two Codex homes and an agent, all current and known to syncd."""
    one = box.login("one")
    box.codex_login(one)
    box.codex_login(one, box.home / "work")
    box.agent("main", one)
    box.config.write_text('# mine\n[codex]\nhomes = ["~/work"]  # here\n')
    assert box.run("run", "--once", "--yes").code == 0


def tokens(path: Path) -> Document:
    document = json.loads(path.read_bytes())
    return {"mode": document["auth_mode"], "refresh": document["tokens"]["refresh_token"]}


WHOLE = {"mode": "chatgpt", "refresh": "fake-refresh-one"}
ACCESS_ONLY = {"mode": "chatgptAuthTokens", "refresh": ""}


def test_a_follower_gets_the_access_token_only_and_as_a_peer_everything_back(sandbox: Sandbox) -> None:
    furnish(sandbox)
    work = sandbox.home / "work" / "auth.json"
    sandbox.tells("""
$ syncd role work follower
! codex:~/work/auth.json is a follower (gets the access token only) now
[0]
$ syncd run --once
f***@example.invalid  openai-codex  live
head 10fee690, generation 0, access token for 10 h
  store         slot            state    token
  codex         chatgpt         current  10fee690
  codex ~/work  chatgpt         current  10fee690  (follower)
  main          openai:default  current  10fee690

[0]
""")
    assert tokens(work) == ACCESS_ONLY
    assert json.loads(work.read_bytes())["tokens"]["access_token"]
    assert sandbox.run("role", "work", "peer").code == 0
    assert sandbox.run("run", "--once").code == 0
    assert tokens(work) == WHOLE
    assert sandbox.config.read_text() == (
        '# mine\n[codex]\nhomes = ["~/work"]  # here\n\n[[store]]\nmatch = "codex:~/work/auth.json"\nrole = "peer"\n\n'
    )


def test_sole_makes_every_other_store_that_can_a_follower(sandbox: Sandbox) -> None:
    furnish(sandbox)
    sandbox.tells("""
$ syncd role 'codex:~/.codex/auth.json' peer --sole
! codex:~/.codex/auth.json is a peer (gets the whole credential) now
! codex:~/work/auth.json is a follower (gets the access token only) now
[0]
""")
    assert sandbox.run("run", "--once").code == 0
    assert tokens(sandbox.auth) == WHOLE
    assert tokens(sandbox.home / "work" / "auth.json") == ACCESS_ONLY


def test_an_observer_is_read_and_never_written_and_off_is_not_even_listed(sandbox: Sandbox) -> None:
    furnish(sandbox)
    agent = sandbox.agent("main", sandbox.login("old", age=9_000))
    before = agent.read_bytes()
    for role in ("observer", "off"):
        assert sandbox.run("role", "main", role).code == 0
        assert sandbox.run("run", "--once").code == 0
        assert agent.read_bytes() == before
        told = sandbox.run("status", "--json").json()
        labels = [store["label"] for one in told["accounts"] for store in one["stores"]]
        assert ("main" in labels) is (role == "observer")
    assert sandbox.run("role", "main", "peer").code == 0  # one that is off is still known by its name
    assert sandbox.run("run", "--once").code == 0
    assert agent.read_bytes() != before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "role main follower",
            "openclaw:~/.openclaw/agents/main/agent/auth-profiles.json cannot be a follower: its tool refreshes what it"
            " holds, or throws it away\n"
            "syncd: hint: syncd role openclaw:~/.openclaw/agents/main/agent/auth-profiles.json observer",
        ),
        (
            "role work observer --sole",
            "--sole goes with peer: it makes all the others followers\nsyncd: hint: syncd role work peer --sole",
        ),
        (
            "role auth.json peer",
            '"auth.json" fits codex:~/.codex/auth.json, codex:~/work/auth.json\nsyncd: hint: type more of the id',
        ),
        ("role mian off", 'no store is called "mian"\nsyncd: hint: did you mean main?'),
        ("role zork off", 'no store is called "zork"\nsyncd: hint: syncd status --json'),
    ],
)
def test_what_is_unsafe_or_unknown_is_refused(sandbox: Sandbox, command: str, said: str) -> None:
    furnish(sandbox)
    before = sandbox.config.read_bytes()
    done = sandbox.run(*command.split())
    assert (done.code, done.out, done.err) == (64, "", f"syncd: error: {said}\n")
    assert sandbox.config.read_bytes() == before


def test_somebody_must_be_left_who_can_renew_the_login(sandbox: Sandbox) -> None:
    one = sandbox.login("one")
    sandbox.codex_login(one)
    sandbox.codex_login(one, sandbox.home / "work")
    sandbox.config.write_text('[codex]\nhomes = ["~/work"]\n')
    assert sandbox.run("role", "work", "follower").code == 0
    sandbox.tells("""
$ syncd role codex follower
! syncd: error: nobody would be left to renew the login: every store that holds a refresh token would be a follower
! syncd: hint: keep one of them a peer
[64]
""")


def test_a_running_syncd_takes_a_role_up_without_a_restart(sandbox: Sandbox) -> None:
    furnish(sandbox)
    work = sandbox.home / "work" / "auth.json"
    with sandbox.daemon() as daemon:
        assert sandbox.run("role", "work", "follower").code == 0
        daemon.until("work is a follower", lambda: tokens(work) == ACCESS_ONLY)
        assert sandbox.run("role", "work", "peer").code == 0
        daemon.until("work is whole again", lambda: tokens(work) == WHOLE)


class TestForget:
    def vault(self, sandbox: Sandbox) -> int:
        with closing(sqlite3.connect(sandbox.ledger)) as connection:
            return int(connection.execute("SELECT count(*) FROM vault").fetchone()[0])

    def test_one_account(self, sandbox: Sandbox) -> None:
        furnish(sandbox)
        other = sandbox.login("other", account=f"{sandbox.account}-other", age=60)
        path = sandbox.agent("stranger", other)
        assert sandbox.run("run", "--once").code == 0
        assert self.vault(sandbox) == 2
        stores = {sandbox.auth: sandbox.auth.read_bytes(), path: path.read_bytes()}
        done = sandbox.run("forget", sandbox.account)
        assert (done.code, done.out) == (0, "")
        assert done.err == (
            "forgot 1 tokens (10fee690) and 3 facts\n"
            "syncd keeps nothing of this account any more; it will learn it anew when it runs,"
            " unless its stores are off\n"
        )
        assert self.vault(sandbox) == 1
        assert "10fee690" not in sandbox.run("history").out
        assert {one: one.read_bytes() for one in stores} == stores

    def test_all(self, sandbox: Sandbox) -> None:
        furnish(sandbox)
        sandbox.tells("""
$ syncd forget --all
! syncd keeps nothing in BOX/state any more
[0]
$ syncd forget --all
! syncd keeps nothing in BOX/state
[0]
$ syncd history
! nothing happened yet: syncd has not run here (syncd run)
[0]
""")
        assert not list(sandbox.state.glob("ledger*"))

    def test_what_is_refused(self, sandbox: Sandbox) -> None:
        furnish(sandbox)
        sandbox.tells("""
$ syncd forget
! syncd: error: name one account, or --all
! syncd: hint: syncd status
[64]
$ syncd forget --all x@example.invalid
! syncd: error: name one account, or --all
! syncd: hint: syncd status
[64]
$ syncd forget nobody@example.invalid
! syncd: error: no account is called "nobody@example.invalid"
! syncd: hint: type the head's eight digits, from: syncd status
[64]
""")
        with sandbox.daemon():
            assert sandbox.run("forget", "--all").code == 75

    def test_never_the_only_copy_of_a_followers_refresh_token(self, sandbox: Sandbox) -> None:
        """The other home is gone, the agent too: without syncd's copy the login could not be renewed."""
        furnish(sandbox)
        assert sandbox.run("role", "work", "follower").code == 0
        assert sandbox.run("run", "--once").code == 0
        sandbox.auth.unlink()
        (sandbox.openclaw / "agents" / "main" / "agent" / "auth-profiles.json").unlink()
        assert sandbox.run("run", "--once").code in (0, 1)
        for command in (["forget", "--all"], ["forget", sandbox.account]):
            done = sandbox.run(*command)
            assert done.code == 64
            assert done.err == (
                "syncd: error: only syncd holds the refresh token of codex:~/work/auth.json#chatgpt;"
                " give it back first\n"
                "syncd: hint: syncd role codex:~/work/auth.json peer && syncd run --once\n"
            )
        assert self.vault(sandbox) == 1
        assert sandbox.run("role", "codex:~/work/auth.json", "peer").code == 0
        assert sandbox.run("run", "--once").code == 0
        assert tokens(sandbox.home / "work" / "auth.json") == WHOLE
        assert sandbox.run("forget", "--all").code == 0
