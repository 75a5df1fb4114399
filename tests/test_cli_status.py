"""`syncd status`, as a person, a program and a cron job meet it."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest

from syncd.status import schema
from tests.adapters import codex_home, openclaw_state
from tests.sandbox import REPOSITORY, Sandbox, rewrite_in_place

SCHEMA = REPOSITORY / "docs" / "status.schema.json"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)\d")


def test_with_no_login_it_says_where_it_looked_and_offers_the_demo(sandbox: Sandbox) -> None:
    sandbox.tells("""
$ syncd status
! no login of Codex or OpenClaw was found; looked at:
!   ~/.codex/auth.json
!   ~/.openclaw
!   ~/.clawdbot
! sign in with one of them (codex login), or watch syncd work in a sandbox: syncd demo
[0]
$ syncd status --check
! no login of Codex or OpenClaw was found; looked at:
!   ~/.codex/auth.json
!   ~/.openclaw
!   ~/.clawdbot
! sign in with one of them (codex login), or watch syncd work in a sandbox: syncd demo
[1]
""")


def test_the_table(sandbox: Sandbox) -> None:
    old, new = sandbox.login("one"), sandbox.login("two", age=60)
    sandbox.codex_login(new)
    sandbox.agent("main", old)
    sandbox.agent("nova", new)
    sandbox.agent("stranger", sandbox.login("other", account=f"{sandbox.account}-other"))
    openclaw_state.write_json(
        sandbox.openclaw, "work", openclaw_state.only({"type": "api_key", "provider": "anthropic", "key": "sk-fake"})
    )
    sandbox.tells("""
$ syncd status
f***@example.invalid  openai-codex  live
head bafec6d1, generation 0, access token for 10 h
  store  slot            state    token
  codex  chatgpt         current  bafec6d1
  main   openai:default  behind   10fee690
  nova   openai:default  current  bafec6d1

f***@example.invalid  openai-codex  live
head 39e0aed4, generation 0, access token for 10 h
  store     slot            state    token
  stranger  openai:default  current  39e0aed4

other stores (no login of ours in them)
  store  slot            state    token
  work   openai:default  foreign  -
    an API key

no syncd runs in the background; start one with: syncd run
[0]
""")


def test_a_bad_store_tells_its_path_and_the_next_command(sandbox: Sandbox) -> None:
    sandbox.codex_login(sandbox.login("one"))
    sandbox.auth.chmod(0o600)
    rewrite_in_place(sandbox.auth, b'{"tokens": ')
    sandbox.tells("""
$ syncd status --check
other stores (no login of ours in them)
  store  slot     state       token
  codex  chatgpt  unreadable  -
    ~/.codex/auth.json: not JSON: Expecting value at line 1 column 12
    next: mend the file, or sign in again with its own tool

no syncd runs in the background; start one with: syncd run
[1]
""")


def test_with_a_running_syncd_it_is_that_ones_word(sandbox: Sandbox) -> None:
    sandbox.codex_login(sandbox.login("one"))
    with sandbox.daemon() as daemon:
        sandbox.tells("""
$ syncd status --check
f***@example.invalid  openai-codex  live
head 10fee690, generation 0, access token for 10 h
  store  slot     state    token
  codex  chatgpt  current  10fee690

syncd (pid PID) keeps them current
[0]
""")
        told = sandbox.run("status", "--json").json()
        assert told["daemon"]["running"] is True
        assert told["daemon"]["pid"] == daemon.pid
        assert told["daemon"]["mode"] == "active"
        assert datetime.fromisoformat(told["daemon"]["since"]).tzinfo is not None
    assert sandbox.run("status", "--json").json()["daemon"] == {
        "running": False,
        "pid": None,
        "since": None,
        "mode": None,
    }


class TestCheck:
    """0: all current; 1: sign in; 2: expiring, or a store is behind."""

    def code(self, sandbox: Sandbox) -> int:
        done = sandbox.run("status", "--check", "--json")
        assert done.err == ""
        return done.code

    def test_current(self, sandbox: Sandbox) -> None:
        one = sandbox.login("one")
        sandbox.codex_login(one)
        sandbox.agent("main", one)
        assert self.code(sandbox) == 0

    def test_behind(self, sandbox: Sandbox) -> None:
        sandbox.codex_login(sandbox.login("two", age=60))
        sandbox.agent("main", sandbox.login("one"))
        assert self.code(sandbox) == 2

    @pytest.mark.parametrize("lifetime", [600, -60])
    def test_expiring_and_expired(self, sandbox: Sandbox, lifetime: float) -> None:
        sandbox.codex_login(sandbox.login("one", age=3_600, lifetime=lifetime))
        assert self.code(sandbox) == 2

    def test_unreadable(self, sandbox: Sandbox) -> None:
        """Another store is fine; whose login the unreadable one holds cannot be told."""
        one = sandbox.login("one")
        sandbox.codex_login(one)
        sandbox.agent("main", one).write_text("torn {")
        assert self.code(sandbox) == 2

    def test_only_an_api_key_is_no_login(self, sandbox: Sandbox) -> None:
        sandbox.codex.mkdir()
        sandbox.auth.write_text('{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-fake"}')
        assert self.code(sandbox) == 1

    def test_a_logout(self, sandbox: Sandbox) -> None:
        sandbox.codex_login(sandbox.login("one"))
        assert sandbox.run("run", "--once", "--yes").code == 0
        sandbox.auth.unlink()
        assert self.code(sandbox) == 1
        told = sandbox.run("status", "--json").json()["accounts"][0]
        assert (told["state"], told["hint"]) == ("suspect", "codex login")


class TestJson:
    def test_the_published_schema_is_the_models(self) -> None:
        assert SCHEMA.read_text() == schema(), "python -m syncd.status > docs/status.schema.json"

    def test_what_it_prints_is_valid(self, sandbox: Sandbox) -> None:
        published = json.loads(SCHEMA.read_text())
        assert_valid(sandbox.run("status", "--json").json(), published, published)
        sandbox.codex_login(sandbox.login("two", age=60))
        sandbox.agent("main", sandbox.login("one"))
        sandbox.agent("torn", sandbox.login("one")).write_text("{")
        assert_valid(sandbox.run("status", "--json").json(), published, published)
        with sandbox.daemon():
            assert_valid(sandbox.run("status", "--json").json(), published, published)

    def test_the_schema_can_refuse(self, sandbox: Sandbox) -> None:
        published = json.loads(SCHEMA.read_text())
        told = sandbox.run("status", "--json").json()
        for wrong in (
            {**told, "schemaVersion": 2},
            {**told, "accounts": [{}]},
            {**told, "more": 1},
            {**told, "looked": [1]},
        ):
            with pytest.raises(AssertionError):
                assert_valid(wrong, published, published)

    def test_the_form_that_the_design_promises(self, sandbox: Sandbox) -> None:
        sandbox.codex_login(sandbox.login("one"))
        told = sandbox.run("status", "--json").json()
        (account,) = told["accounts"]
        (store,) = account["stores"]
        assert told.keys() >= {"schemaVersion", "daemon", "accounts"}
        assert account.keys() >= {
            *("provider", "account", "state", "families", "head", "generation", "expiresAt", "reason", "hint", "stores")
        }
        assert store.keys() >= {
            *("id", "adapter", "path", "slot", "role", "state", "fingerprint", "generation", "seenAt", "reason")
        }
        assert store["id"] == "codex:~/.codex/auth.json"
        assert store["path"] == str(sandbox.auth)
        assert account["account"] == "f***@example.invalid"
        assert account["families"][0].keys() == {"head", "state", "since"}


class TestTheTerminal:
    def test_it_is_coloured_on_a_terminal_alone_and_not_with_no_color(self, sandbox: Sandbox) -> None:
        sandbox.codex_login(sandbox.login("one"))
        assert "\x1b" not in sandbox.run("status").out
        assert COLOUR.search(sandbox.on_terminal("status").out)
        sandbox.extra["NO_COLOR"] = "1"
        assert not COLOUR.search(sandbox.on_terminal("status").out)

    def test_eighty_columns_are_enough_and_nothing_is_cut(self, sandbox: Sandbox) -> None:
        one = sandbox.login("one")
        sandbox.codex_login(one)
        sandbox.agent_row("a-rather-long-name-of-an-agent", one)
        bad = sandbox.agent("nova", one)
        bad.write_text("{")
        sandbox.extra["NO_COLOR"] = "1"
        shown = re.sub(r"\x1b\[\d*m", "", sandbox.on_terminal("status").out)
        sentences = [line for line in shown.splitlines() if line.startswith("    ")]
        assert all(len(line) <= 80 for line in shown.splitlines() if line not in sentences)
        assert f"{bad}: not JSON: Expecting property name enclosed in double quotes at line 1 column 2" in shown


def test_it_writes_nothing_at_all(sandbox: Sandbox) -> None:
    """Nor do the other commands that only look. (SQLite itself leaves its two empty side files of a WAL database.)"""
    one = sandbox.login("one")
    sandbox.codex_login(sandbox.login("two", age=60))
    sandbox.agent("main", one)
    sandbox.shared_row(one, sandbox.home / ".openclaw-nine")
    sandbox.agent_row("nova", one, sandbox.home / ".openclaw-six")
    sandbox.run("run", "--once", "--yes")
    rewrite_in_place(sandbox.auth, codex_home.text(codex_home.auth(sandbox.login("three", age=5))))
    before = sandbox.everything()
    for command in ("status", "status --json", "history", "explain codex", "config show", "run --dry-run"):
        assert sandbox.run(*command.split()).code == 0
    assert changed(before, sandbox.everything()) == []


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    paths = [path for path in before.keys() | after.keys() if not path.endswith(("-wal", "-shm"))]
    return sorted(path for path in paths if path not in before or path not in after or before[path] != after[path])


def assert_valid(value: Any, schema: Any, whole: Any) -> None:
    """The part of JSON Schema that the published one uses; an unknown keyword is a failure, not a pass."""
    if "$ref" in schema:
        assert_valid(value, whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
        return
    if "anyOf" in schema:
        assert any(is_valid(value, one, whole) for one in schema["anyOf"]), (value, schema)
        return
    known = {"type", "title", "description", "default", "format", "enum", "const", "items", "properties", "required"}
    assert schema.keys() <= known | {"additionalProperties", "$defs"}, schema.keys()
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    assert type(value) is kinds[schema["type"]], (value, schema)
    assert value in schema.get("enum", [value])
    assert value == schema.get("const", value)
    if schema.get("format") == "date-time":
        assert datetime.fromisoformat(str(value)).tzinfo is not None
    for one in value if isinstance(value, list) else ():
        assert_valid(one, schema["items"], whole)
    if isinstance(value, dict):
        assert value.keys() >= set(schema.get("required", ()))
        assert schema["additionalProperties"] is False
        for key, one in value.items():
            assert key in schema["properties"], key
            assert_valid(one, schema["properties"][key], whole)


def is_valid(value: Any, schema: Any, whole: Any) -> bool:
    try:
        assert_valid(value, schema, whole)
    except AssertionError:
        return False
    return True
