"""`syncd config`: make, show and check it; and what a typo is told."""

from __future__ import annotations

import json
import re
import stat
import tomllib

import pytest

from syncd.config import Config
from tests.sandbox import Sandbox

TYPOS = {
    "a key": (
        '[watch]\nmode = "poll"\nintervall = "1m"\n',
        ':3: unknown key "watch.intervall"; did you mean "interval"?',
    ),
    "a table": ("[wacth]\ninterval = 5\n", ':1: unknown key "wacth"; did you mean "watch"?'),
    "a key of the top": ("# mine\n\nenable = true\n", ':3: unknown key "enable"; did you mean "enabled"?'),
    "a key of a store": (
        '[[store]]\nmatch = "*"\nroll = "off"\n',
        ':3: unknown key "store.roll"; did you mean "role"?',
    ),
    "nothing like it": (
        "[log]\nzzzz = 1\n",
        ':2: unknown key "log.zzzz"; known here: level',
    ),
    "a duration": (
        '[watch]\ninterval = "1 fortnight"\n',
        ':2: watch.interval: a duration is written like "30s", "5m" or "2h"',
    ),
    "a choice": ('[watch]\n\nmode = "pol"\n', ":3: watch.mode: input should be 'events' or 'poll'"),
    "a role": (
        '[[store]]\nmatch = "*"\nrole = "leader"\n',
        ":3: store.role: input should be 'peer', 'follower', 'observer' or 'off'",
    ),
    "a role of the second store": (
        '[[store]]\nmatch = "a"\nrole = "peer"\n[[store]]\nmatch = "b"\nrole = "pear"\n',
        ":6: store.role: input should be 'peer', 'follower', 'observer' or 'off'",
    ),
    "a role that is missing": ('enabled = true\n[[store]]\nmatch = "*"\n', ":2: store.role: is missing"),
    "not a table": ("watch = 5\n", ":1: watch: this is a table, and wants its keys below a line in brackets"),
    "not TOML": (
        "enabled = true\n[watch\n",
        ": not TOML: Expected ']' at the end of a table declaration (at line 2, column 7)",
    ),
    "a key twice": ("enabled = true\nenabled = false\n", ": not TOML: Cannot overwrite a value (at line 2, column 16)"),
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_is_told_with_its_line_and_the_nearest_key(sandbox: Sandbox, typo: str) -> None:
    text, sentence = TYPOS[typo]
    sandbox.config.write_text(text)
    sandbox.tells(f"""
$ syncd config check
! syncd: error: BOX/etc/config.toml{sentence}
! syncd: hint: mend it, then: syncd config check
[78]
""")
    assert sandbox.config.read_text() == text


def test_no_command_runs_on_a_bad_configuration(sandbox: Sandbox) -> None:
    """Only `--version`, `--help` and `config init` of another file do."""
    sandbox.config.write_text("enable = true\n")
    sandbox.codex_login(sandbox.login("one"))
    for command in (
        "status",
        "run --once --yes",
        "history",
        "explain codex",
        "role codex off",
        "forget --all",
        "enable",
    ):
        done = sandbox.run(*command.split())
        assert (done.code, done.out) == (78, ""), done
    assert not sandbox.state.exists()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xff\xfe", "it is not UTF-8"),
        (b"#" * (9 * 1024 * 1024), "larger than 8 MiB"),
        (b"a = " + b"[" * 5_000 + b"]" * 5_000, "not TOML: "),
    ],
)
def test_what_is_no_text_is_told_too(sandbox: Sandbox, data: bytes, sentence: str) -> None:
    sandbox.config.write_bytes(data)
    done = sandbox.run("config", "check")
    assert done.code == 78
    assert done.err.startswith(f"syncd: error: {sandbox.config}: {sentence}"), done.err[:400]


def test_a_folder_in_its_place(sandbox: Sandbox) -> None:
    sandbox.config.mkdir()
    sandbox.tells("""
$ syncd config check
! syncd: error: BOX/etc/config.toml: a folder where a file belongs
! syncd: hint: ls -ld BOX/etc/config.toml
[78]
""")


def test_a_file_that_was_asked_for_must_be_there(sandbox: Sandbox) -> None:
    """The default one need not."""
    sandbox.tells("""
$ syncd config check
BOX/etc/config.toml: not there; every value has its default
[0]
$ syncd --config other.toml status
! syncd: error: BOX/tmp/other.toml: there is no such file
! syncd: hint: syncd --config BOX/tmp/other.toml config init
[78]
""")


def test_init_explains_every_option_once(sandbox: Sandbox) -> None:
    sandbox.tells("""
$ syncd config init
BOX/etc/config.toml
[0]
$ syncd config check
BOX/etc/config.toml: fine
[0]
$ syncd config init
! syncd: error: BOX/etc/config.toml is there already, and was not touched
! syncd: hint: syncd config show
[64]
""")
    assert stat.S_IMODE(sandbox.config.stat().st_mode) == 0o600
    lines = sandbox.config.read_text().splitlines()
    bare = [line.removeprefix("# ") for line in lines]
    shown = "\n".join(line for line in bare if line.startswith("[") or " = " in line)
    assert Config.model_validate(tomllib.loads(shown)).store[0].role.value == "observer"
    for name in Config.model_fields:
        assert re.search(rf"^(\[+{name}\]+|{name} =)", shown, re.MULTILINE), name


def test_init_makes_the_folder(sandbox: Sandbox) -> None:
    done = sandbox.run("config", "init", env={"SYNCD_CONFIG": None})
    assert done.code == 0
    assert done.out == f"{sandbox.home}/.config/syncd/config.toml\n"


def test_show_tells_where_each_value_comes_from(sandbox: Sandbox) -> None:
    sandbox.config.write_text('[watch]\ninterval = "5m"\n[codex]\nhomes = ["~/work/.codex"]\n')
    sandbox.tells("""
$ syncd config show
enabled = false  # default
account.unify = "auto"  # default
watch.mode = "events"  # default
watch.interval = 300.0  # file
codex.homes = ["~/work/.codex"]  # file
openclaw.state_dirs = []  # default
log.level = "info"  # default
store = []  # default
# config: BOX/etc/config.toml
# state: BOX/state
# runtime: BOX/run
[0]
""")
    told = sandbox.run("config", "show", "--json").json()
    assert told["schemaVersion"] == 1
    assert told["values"]["watch.interval"] == {"value": 300.0, "origin": "file"}
    assert told["places"]["state"] == str(sandbox.state)
    assert json.dumps(told)


def test_more_homes_and_state_folders_come_from_it(sandbox: Sandbox) -> None:
    one = sandbox.login("one")
    sandbox.codex_login(one, sandbox.home / "work")
    sandbox.agent("main", one, sandbox.root / "srv" / "openclaw")
    sandbox.config.write_text(
        f'[codex]\nhomes = ["~/work"]\n[openclaw]\nstate_dirs = ["{sandbox.root}/srv/openclaw"]\n'
    )
    told = sandbox.run("status", "--json").json()
    assert [store["label"] for store in told["accounts"][0]["stores"]] == ["codex ~/work", "main @openclaw"]
