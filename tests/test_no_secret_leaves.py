"""No token leaves the stores and the vault: whatever syncd prints, logs, answers or writes is grepped for planted ones.

Beside what is here, tests/conftest.py greps the captured output of every test of the whole run, and the sandbox all
that its commands and daemons said and wrote.
"""

from __future__ import annotations

import base64
import contextlib
import json
import resource
import sqlite3
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import pytest

from syncd import cli, records
from syncd.identity import credential_of
from syncd.ledger import Change, Ledger
from syncd.model import Holds, Seen, Slot
from syncd.turn import Keeper
from tests import fake
from tests.adapters import codex_home, openclaw_state
from tests.planted import Detector
from tests.sandbox import COMMAND_S, REPOSITORY, Sandbox, rewrite_in_place

# What encodings change: each form must differ from the raw one to be tested at all.
AWKWARD = 'fake refresh+/=?&"\\é\u2028\n'

HOSTILE_NAMES = (
    "openai:\x1b[31mred\x1b[0m",
    "openai:two\nlines",
    "openai:[bold]markup[/bold]",
    "openai:" + "x" * 600,
    "openai:{0} %s %(name)s",
    "openai:\u202ebackwards",
    "__proto__",
)


class TestTheDetector:
    """It can fail."""

    @pytest.mark.parametrize(
        "disguised",
        [
            AWKWARD,
            AWKWARD[::-1],
            quote(AWKWARD, safe=""),
            json.dumps(AWKWARD),
            json.dumps(json.dumps(AWKWARD)),
            repr(AWKWARD),
            AWKWARD.encode().hex(),
            *(base64.b64encode(bytes(before) + AWKWARD.encode() + b"behind").decode() for before in range(4)),
            *(base64.urlsafe_b64encode(bytes(before) + AWKWARD.encode() + b"more").decode() for before in range(4)),
            base64.b64encode(json.dumps({"before": 1, "refresh": fake.refresh("one")}).encode()).decode(),
            f"prefix {fake.refresh('never registered')} suffix",
            f"Bearer {fake.jwt()[:48]}",
            f"...{fake.jwt()[-14:]}",
        ],
    )
    def test_finds(self, disguised: str) -> None:
        assert Detector([AWKWARD]).leaks("here", f"before {disguised} behind")

    def test_is_silent_about_what_is_none(self) -> None:
        shown = f"rotated 4a87477e (was bafec6d1) of {fake.EMAIL}: access token for 10 h; refresh fence"
        assert Detector([AWKWARD]).leaks("here", shown) == []

    def test_greps_files_and_their_names_and_every_table_but_the_vault(self, tmp_path: Path) -> None:
        credential = credential_of("openai-codex", fake.jwt(), fake.refresh("one"), fake.jwt(kind="id"))
        (tmp_path / "state").mkdir(mode=0o700)
        ledger = Ledger.create(tmp_path / "state")
        ledger.record(Change([Seen(Slot("codex:x", "chatgpt"), Holds(credential.token), "etag")], [credential]), 1.0)
        assert Detector().leaks_below(tmp_path) == []
        ledger.set_mark("note", fake.refresh("one"))
        ledger.close()
        (tmp_path / "log").write_text("spending " + fake.refresh("two"))
        (tmp_path / fake.refresh("three")).touch()
        where = {leak.where for leak in Detector().leaks_below(tmp_path)}
        assert where == {
            f"{tmp_path / 'state' / 'ledger.db'}, outside of its vault",
            str(tmp_path / "log"),
            f"the name of {tmp_path / fake.refresh('three')}",
        }

    def test_the_sandbox_finds_a_leak_of_a_command_and_of_a_daemon(self, tmp_path: Path) -> None:
        box = Sandbox(tmp_path)
        one = box.login("one")
        assert box.run(one.refresh or "").code == 64  # a person typed it, and syncd repeats what it does not know
        assert {leak.where for leak in box.leaks()} == {"stderr of syncd fake-refresh-one"}
        (box.logs / "daemon").write_text(one.access)
        assert len(box.leaks()) > 1

    @pytest.mark.parametrize(
        "line", ["print(TOKEN)", "sys.stderr.write(TOKEN)", "logging.getLogger('syncd').debug(TOKEN)"]
    )
    def test_a_test_of_the_run_that_prints_or_logs_one_has_failed(self, tmp_path: Path, line: str) -> None:
        """tests/conftest.py, in a run of its own."""
        text = f"import logging, sys\nTOKEN = {fake.refresh('one')!r}\ndef test_it():\n    {line}\n"
        (tmp_path / "test_leak.py").write_text(text)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        arguments = ["-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path), str(tmp_path)]
        done = subprocess.run(
            [sys.executable, *arguments, "-c", str(tmp_path / "pytest.ini")],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == 1
        assert "shows a token (raw)" in done.stdout


def test_nothing_that_syncd_says_or_writes_shows_a_token(sandbox: Sandbox) -> None:
    """A day in the life of a login, every command at every step."""
    furnish(sandbox)
    sandbox.extra["SYNCD_LOG"] = "debug"
    with sandbox.daemon():
        say_everything(sandbox, "-vv")
        rewrite_in_place(sandbox.auth, codex_home.text(codex_home.auth(sandbox.login("three", age=5))))
        rewrite_in_place(sandbox.auth, b'{"tokens": {"refresh_token": "' + fake.refresh("torn").encode())
        (sandbox.openclaw / "agents/main/agent/auth-profiles.json").write_text(f'{{"profiles": {fake.refresh("bad")}')
        say_everything(sandbox, "-vv")
        sandbox.auth.unlink()
    say_everything(sandbox, "-q")
    for command in (["run", "--once"], ["run", "--dry-run"], ["forget", sandbox.account], ["forget", "--all"]):
        assert sandbox.run("-vv", *command).code in (0, 1)
    assert sandbox.leaks() == []


def furnish(box: Sandbox) -> None:
    one, two = box.login("one"), box.login("two", age=60)
    box.codex_login(two)
    box.agent("main", one)
    box.agent("foreign", box.login("foreign", account=f"{box.account}-foreign"))
    box.agent_row("nova", one, box.home / ".openclaw-six")
    box.shared_row(one, box.home / ".openclaw-nine")
    openclaw_state.write_json(
        box.openclaw,
        "fenced",
        openclaw_state.document(
            openai__pending=openclaw_state.fenced(), openai__failed=openclaw_state.fenced(failed=True)
        ),
    )


def say_everything(box: Sandbox, level: str) -> None:
    for command in (["status"], ["status", "--json"], ["history"], ["history", "--json"], ["explain", "codex"]):
        done = box.run(level, *command)
        assert (done.code, bool(done.out)) == (0, True), done


def test_the_daemon_shows_none_to_whoever_looks_at_the_process(sandbox: Sandbox) -> None:
    furnish(sandbox)
    with sandbox.daemon() as daemon:
        process = Path("/proc") / str(daemon.pid)
        for path in [process / "cmdline", process / "environ", *process.glob("task/*/comm")]:
            assert sandbox.detector.leaks(str(path), path.read_bytes()) == []


def test_the_config_check_repeats_no_value(sandbox: Sandbox) -> None:
    """Somebody pastes a token into the wrong place."""
    token = sandbox.login("pasted").refresh
    for text in (
        f'enabled = "{token}"',
        f'[watch]\nmode = "{token}"',
        f'[watch]\ninterval = "{token}"',
        f'[[store]]\nmatch = "*"\nrole = "{token}"',
        f"[log]\nlevel = '{token}",
        f"codex = '{token}'",
        f"{token}",
    ):
        sandbox.config.write_text(text)
        done = sandbox.run("config", "check")
        assert (done.code, done.out) == (78, "")
        assert sandbox.detector.leaks(text, done.err) == []
    sandbox.config.unlink()


def test_hostile_profile_ids_are_shown_harmless(sandbox: Sandbox) -> None:
    one, two = sandbox.login("one"), sandbox.login("two", age=60)
    sandbox.codex_login(two)
    profiles = {name: sandbox.profile(one) for name in HOSTILE_NAMES}
    openclaw_state.write_json(sandbox.openclaw, "main", {"version": 1, "profiles": profiles})
    said = [
        sandbox.run(*command)
        for command in (["status"], ["run", "--once", "--yes"], ["history"], ["explain", "main"], ["status", "--json"])
    ]
    assert [done.code for done in said] == [0, 0, 0, 0, 0]
    for done in said:
        assert "\x1b" not in done.out + done.err
        assert "\u202e" not in done.out + done.err
    assert "[bold]markup[/bold]" in said[0].out
    assert "openai:{0} %s %(name)s" in said[2].out
    assert all("two\nlines" not in done.out for done in said)


class TestFaultsOfItsOwn:
    """What syncd prints when it breaks, in this process, so that a fault can be put into it."""

    @pytest.fixture(autouse=True)
    def stand_in_the_sandbox(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("CODEX_HOME", "OPENCLAW_HOME", "OPENCLAW_STATE_DIR", "OPENCLAW_AGENT_DIR", "PI_CODING_AGENT_DIR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in sandbox.env.items():
            if name.startswith(("SYNCD_", "XDG_")) or name in ("HOME", "TMPDIR", "COLUMNS"):
                monkeypatch.setenv(name, value)

    @pytest.mark.parametrize("loud", ["-q", "-vv"])
    def test_a_traceback_shows_no_token(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], loud: str
    ) -> None:
        furnish(sandbox)
        fold = Keeper._fold

        def break_down(keeper: Keeper, facts: object) -> object:
            first = next(iter(keeper.vault.values()), None)
            if first is not None:
                raise RuntimeError(f"cannot fold {first!r} beside {keeper.vault!r} of {keeper!r}")
            return fold(keeper, facts)  # type: ignore[arg-type]

        monkeypatch.setattr(Keeper, "_fold", break_down)
        with pytest.raises(SystemExit) as end:
            cli.main([loud, "run", "--once", "--yes"])
        said = "".join(capfd.readouterr())
        assert end.value.code == 70
        assert "a fault of syncd's own: RuntimeError" in said
        assert sandbox.detector.leaks("the fault", said) == []

    def test_a_credential_tells_nothing_of_itself(self, sandbox: Sandbox) -> None:
        one = sandbox.login("one")
        credential = credential_of("openai-codex", one.access, one.refresh, one.id_token)
        fact = records.dump(Seen(Slot("codex:x", "chatgpt"), Holds(credential.token), "etag"))
        spoken = f"{credential} {credential!r} {[credential]} {vars(type(credential))} {fact}"
        try:
            json.dumps(credential)
        except TypeError:
            spoken += traceback.format_exc()
        assert sandbox.detector.leaks("a credential", spoken) == []


def test_what_leaves_the_vault_leaves_the_disk(sandbox: Sandbox) -> None:
    """`secure_delete`, and a truncated log: a forgotten token is not in the ledger's bytes either."""
    one = sandbox.login("one")
    sandbox.codex_login(one)
    assert sandbox.run("run", "--once", "--yes").code == 0
    assert (one.refresh or "").encode() in ledger_bytes(sandbox)
    assert sandbox.run("forget", sandbox.account).code == 0
    assert sandbox.detector.leaks("the ledger", ledger_bytes(sandbox)) == []


def ledger_bytes(box: Sandbox) -> bytes:
    with contextlib.closing(sqlite3.connect(box.ledger)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return b"".join(path.read_bytes() for path in sorted(box.state.glob("ledger.db*")))


def test_syncd_leaves_no_core_file(sandbox: Sandbox) -> None:
    """A core dump would hold every token; also where its user allows core dumps."""
    sandbox.codex_login(sandbox.login("one"))
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with sandbox.daemon() as daemon:
            limits = (Path("/proc") / str(daemon.pid) / "limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] == "0"
