"""The world without syncd: the real programs really refresh here, and here they really lose a login.

The second half is the baseline of every other test in this folder: the same scenes, without syncd, end in
`refresh_token_reused`. Were one of these to pass no longer, its counterpart would prove nothing.
"""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.real.scenes import CODEX, signed_in
from tests.real.world.clients import Answer, Codex, OpenClaw
from tests.real.world.control import EXPIRED_S
from tests.real.world.homes import AGENTS, FIRST_SQLITE, JSON_ERA, SHARED_SQLITE
from tests.real.world.sandbox import Sandbox
from tests.real.world.templates import TEN_DAYS_S
from tests.real.world.waits import expect, holds

AT_ONCE_S = 5.0
ANSWERED = Answer(status=200)
REUSED = "refresh_token_reused"


def test_a_refresh_token_is_spent_on_arrival_and_only_once(box: Sandbox) -> None:
    authority = box.authority
    first = authority.sign_in()
    second = authority.spend(first)
    assert second.issued_at > first.issued_at
    with pytest.raises(urllib.error.HTTPError, match="401"):
        authority.spend(first)
    authority.fail_next("token", status=500)
    with pytest.raises(urllib.error.HTTPError, match="500"):
        authority.spend(second)
    assert authority.newest(first) == second
    authority.fail_next("token", status=500, spend=True)
    with pytest.raises(urllib.error.HTTPError, match="500"):
        authority.spend(second)
    assert authority.newest(first) != second
    assert [one.result for one in authority.journal("token")] == ["rotated", REUSED, "failed", "failed"]


def test_the_proxy_leads_nowhere_else(box: Sandbox) -> None:
    handler = urllib.request.ProxyHandler({"https": f"http://test:x@127.0.0.1:{box.proxy_port}"})
    with pytest.raises(OSError, match="403"):
        urllib.request.build_opener(handler).open("https://elsewhere.example", timeout=AT_ONCE_S)


@pytest.mark.parametrize("version", ["0.169.0", "0.163.0"])
def test_codex_refreshes_and_keeps_the_answer(box: Sandbox, version: str) -> None:
    scene = signed_in(box, first_lifetime_s=EXPIRED_S)
    inode = scene.codex.path.stat().st_ino
    done = Codex(box, version).exec()
    assert scene.turns(CODEX) == [("answered", 1)], done
    assert scene.requests == [("codex", "rotated")]
    expect([scene.codex], scene.newest, AT_ONCE_S)
    # The older one truncates its file and writes in place, the newer one renames over it: syncd meets both.
    assert (scene.codex.path.stat().st_ino == inode) == (version == "0.163.0")


def test_the_codex_app_server_refreshes_when_told_to(box: Sandbox) -> None:
    scene = signed_in(box)
    with Codex(box).app_server() as server:
        server.call("account/read", refreshToken=True)
    assert scene.requests == [("codex", "rotated")]
    expect([scene.codex], scene.newest, AT_ONCE_S)


@pytest.mark.parametrize("version", [JSON_ERA, SHARED_SQLITE])
def test_openclaw_refreshes_once_for_all_its_agents(box: Sandbox, version: str) -> None:
    scene = signed_in(box, version, first_lifetime_s=EXPIRED_S)
    with OpenClaw(box, scene.root(version)).worker() as worker:
        assert [worker.answer(agent) for agent in AGENTS] == [ANSWERED] * len(AGENTS)
    assert scene.requests == [("openclaw", "rotated")]
    assert scene.turns("openclaw") == [("answered", 1)] * len(AGENTS)
    expect(scene.root(version).live, scene.newest, AT_ONCE_S)


def test_openclaw_9_6_puts_a_fence_in_the_row_while_its_refresh_is_in_flight(box: Sandbox) -> None:
    scene = signed_in(box, SHARED_SQLITE, first_lifetime_s=EXPIRED_S)
    row = scene.store(SHARED_SQLITE)
    with OpenClaw(box, scene.roots[0]).worker() as worker:
        with box.authority.held("token"):
            worker.ask_for_answer("main")
            box.authority.arrival("token")
            held = row.held()
        assert worker.hear_answer() == ANSWERED
    assert held is not None and held.fenced
    expect([row], scene.newest, AT_ONCE_S)


def test_openclaw_6_11_reads_its_sqlite_store_and_no_json_file(box: Sandbox) -> None:
    scene = signed_in(box, FIRST_SQLITE)
    root = scene.root(FIRST_SQLITE)
    second = box.authority.spend(scene.first)
    root.json_store("main").put(second)
    with OpenClaw(box, root).worker() as worker:
        assert worker.answer("main") == ANSWERED
        assert scene.turns("openclaw") == [("answered", 0)]
        root.live[0].put(second)
        assert worker.answer("main") == ANSWERED
        assert scene.turns("openclaw")[1:] == [("answered", 1)]


@pytest.mark.parametrize("version", [JSON_ERA, SHARED_SQLITE])
def test_without_syncd_openclaw_spends_what_codex_has_spent(box: Sandbox, version: str) -> None:
    """openclaw #63385: the gateway and Codex share a login, Codex rotates it, the gateway drifts."""
    scene = signed_in(box, version, first_lifetime_s=EXPIRED_S)
    with OpenClaw(box, scene.root(version)).worker() as worker:
        worker.hold(*AGENTS)
        Codex(box).exec()
        assert not worker.answer("atlas").ok
    assert scene.requests[:2] == [("codex", "rotated"), ("openclaw", REUSED)]
    held = scene.store(version).held()
    assert held is not None and held.fenced == (version == SHARED_SQLITE)


@pytest.mark.parametrize("client", [CODEX, JSON_ERA, SHARED_SQLITE])
def test_without_syncd_a_store_that_is_rolled_back_is_spent_again(box: Sandbox, client: str) -> None:
    """openclaw #74055: the newer generation was there, a mirror, a backup or a doctor took it away."""
    scene = signed_in(box, *({client} - {CODEX}), first_lifetime_s=EXPIRED_S)
    assert scene.answers(client)
    assert holds(scene.store(client), scene.newest)
    scene.store(client).put(scene.first)
    assert not scene.answers(client)
    assert (("codex" if client == CODEX else "openclaw"), REUSED) in scene.requests


def test_without_syncd_doctor_of_6_11_puts_the_newest_token_away(box: Sandbox) -> None:
    """A newer token in a JSON file beside the SQLite store: doctor keeps the older one and moves the file."""
    scene = signed_in(box, FIRST_SQLITE, first_lifetime_s=TEN_DAYS_S, lifetime_s=TEN_DAYS_S)
    root = scene.root(FIRST_SQLITE)
    root.json_store("main").put(box.authority.spend(scene.first))
    done = OpenClaw(box, root).run("doctor", "--fix", "--non-interactive")
    assert done.code == 0, done
    assert root.json_store("main").held() is None
    assert holds(root.live[0], scene.first)
