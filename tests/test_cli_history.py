"""`syncd history` and `syncd explain`: what happened, and why a store or a token stands as it does."""

from __future__ import annotations

import hashlib
from datetime import datetime

from tests.adapters import codex_home
from tests.sandbox import Sandbox, rewrite_in_place


def lives(box: Sandbox) -> None:
    """Three generations: two rotations by Codex, then a snapshot of the first is put back into the agent."""
    one = box.login("one", age=600)
    box.codex_login(one)
    agent = box.agent("main", one)
    assert box.run("run", "--once", "--yes").code == 0
    old = agent.read_bytes()
    for name, age in (("two", 60), ("three", 5)):
        rewrite_in_place(box.auth, codex_home.text(codex_home.auth(box.login(name, age))))
        assert box.run("run", "--once").code == 0
    agent.write_bytes(old)
    assert box.run("run", "--once").code == 0


def test_before_the_first_run(sandbox: Sandbox) -> None:
    sandbox.tells("""
$ syncd history
! nothing happened yet: syncd has not run here (syncd run)
[0]
$ syncd history --json
{
  "schemaVersion": 1,
  "events": []
}
[0]
""")


def test_what_happened_newest_last(sandbox: Sandbox) -> None:
    lives(sandbox)
    sandbox.tells("""
$ syncd history
DAY TIME  first seen    10fee690  codex:~/.codex/auth.json#chatgpt
DAY TIME  rotated       bafec6d1  codex:~/.codex/auth.json#chatgpt  was 10fee690
DAY TIME  mirrored      bafec6d1  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 10fee690
DAY TIME  rotated       4a87477e  codex:~/.codex/auth.json#chatgpt  was bafec6d1
DAY TIME  mirrored      4a87477e  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was bafec6d1
DAY TIME  rolled back   10fee690  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 4a87477e
DAY TIME  mirrored      4a87477e  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 10fee690
[0]
$ syncd history -n 2
DAY TIME  rolled back   10fee690  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 4a87477e
DAY TIME  mirrored      4a87477e  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 10fee690
[0]
""")


def test_for_programs(sandbox: Sandbox) -> None:
    sandbox.codex_login(sandbox.login("one"))
    assert sandbox.run("run", "--once", "--yes").code == 0
    told = sandbox.run("history", "--json").json()
    (event,) = told["events"]
    assert told["schemaVersion"] == 1
    assert abs(datetime.fromisoformat(event.pop("at")).timestamp() - datetime.now().timestamp()) < 60
    assert event == {
        "event": "first seen",
        "store": "codex:~/.codex/auth.json",
        "slot": "chatgpt",
        "fingerprint": hashlib.sha256(b"fake-refresh-one").hexdigest()[:8],
        "other": None,
        "detail": None,
    }


def test_explain_a_store_and_a_token(sandbox: Sandbox) -> None:
    lives(sandbox)
    sandbox.tells("""
$ syncd explain main
openclaw:~/.openclaw/agents/main/agent/auth-profiles.json
  openclaw, ~/.openclaw/agents/main/agent/auth-profiles.json
  openai:default: current (peer), token 4a87477e of generation 2
  DAY TIME  mirrored      bafec6d1  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 10fee690
  DAY TIME  mirrored      4a87477e  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was bafec6d1
  DAY TIME  rolled back   10fee690  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 4a87477e
  DAY TIME  mirrored      4a87477e  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 10fee690
[0]
$ syncd explain bafec6d1
token bafec6d1: spent, generation 1
  descends from 10fee690 (inferred: it came where its parent was, issued later)
  its successor is 4a87477e
  no store holds it
  DAY TIME  rotated       bafec6d1  codex:~/.codex/auth.json#chatgpt  was 10fee690
  DAY TIME  mirrored      bafec6d1  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 10fee690
  DAY TIME  rotated       4a87477e  codex:~/.codex/auth.json#chatgpt  was bafec6d1
  DAY TIME  mirrored      4a87477e  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was bafec6d1
[0]
$ syncd explain 4a87
token 4a87477e: live, generation 2
  descends from bafec6d1 (inferred: it came where its parent was, issued later)
  held by codex:~/.codex/auth.json#chatgpt
  held by openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default
  DAY TIME  rotated       4a87477e  codex:~/.codex/auth.json#chatgpt  was bafec6d1
  DAY TIME  mirrored      4a87477e  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was bafec6d1
  DAY TIME  rolled back   10fee690  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 4a87477e
  DAY TIME  mirrored      4a87477e  openclaw:~/.openclaw/agents/main/agent/auth-profiles.json#openai:default  was 10fee690
[0]
""")  # noqa: E501  a transcript is not broken


def test_explain_needs_no_ledger_and_says_what_would_be_written(sandbox: Sandbox) -> None:
    sandbox.codex_login(sandbox.login("two", age=60))
    sandbox.agent("main", sandbox.login("one"))
    sandbox.tells("""
$ syncd explain main
openclaw:~/.openclaw/agents/main/agent/auth-profiles.json
  openclaw, ~/.openclaw/agents/main/agent/auth-profiles.json
  openai:default: behind (peer), token 10fee690 of generation 0
    syncd would write bafec6d1 here
[0]
$ syncd explain nothing
! syncd: error: no store is called "nothing"
! syncd: hint: syncd status --json
[64]
$ syncd explain abcd1234
! syncd: error: no token begins with abcd1234, and no store is called so
! syncd: hint: syncd status
[64]
""")
    assert not sandbox.state.exists()
