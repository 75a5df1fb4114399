"""The real Codex rotates the login while syncd watches: everybody else gets the new generation, unasked.

The counterpart in `test_world`: without syncd, OpenClaw spends what Codex has spent.
"""

from __future__ import annotations

import pytest

from tests.real.scenes import CODEX, signed_in
from tests.real.world.answers import PONG
from tests.real.world.clients import Answer, Codex, OpenClaw
from tests.real.world.control import EXPIRED_S
from tests.real.world.homes import AGENTS, JSON_ERA, SHARED_SQLITE
from tests.real.world.sandbox import Sandbox
from tests.real.world.syncd import syncd
from tests.real.world.waits import expect

MIRROR_S = 30.0
BY_CODEX_ALONE = [("codex", "rotated")]


@pytest.mark.parametrize("version", ["0.169.0", "0.163.0"])
def test_every_store_follows_and_openclaw_answers_without_a_refresh(box: Sandbox, version: str) -> None:
    """0.169.0 renames over auth.json, 0.163.0 truncates it and writes in place."""
    scene = signed_in(box, SHARED_SQLITE, JSON_ERA)
    with syncd(box) as daemon:
        daemon.expect_head(scene.first)
        # The server's word against the token's own: Codex refreshes though an hour is left.
        box.authority.refuse_access(scene.first)
        done = Codex(box, version).exec()
        assert scene.turns(CODEX)[-1] == ("answered", 1), done
        expect(scene.stores, scene.newest, MIRROR_S)
        daemon.expect_head(scene.newest)
        for root in scene.roots:
            with OpenClaw(box, root).worker() as worker:
                assert [worker.answer(agent) for agent in AGENTS] == [Answer(status=200)] * len(AGENTS)
    assert scene.turns("openclaw") == [("answered", 1)] * (2 * len(AGENTS))
    assert scene.requests == BY_CODEX_ALONE


def test_the_openclaw_command_line_takes_a_turn_with_what_codex_got(box: Sandbox) -> None:
    scene = signed_in(box, SHARED_SQLITE)
    with syncd(box) as daemon:
        daemon.expect_head(scene.first)
        box.authority.refuse_access(scene.first)
        Codex(box).exec()
        expect(scene.stores, scene.newest, MIRROR_S)
        done = OpenClaw(box, scene.roots[0]).run("agent", "--local", "--agent", "atlas", "-m", "hi")
    assert PONG in done.out, done
    assert scene.turns("openclaw") == [("answered", 1)]
    assert scene.requests == BY_CODEX_ALONE


@pytest.mark.parametrize("version", [JSON_ERA, SHARED_SQLITE])
def test_a_gateway_that_holds_the_old_generation_does_not_spend_it(box: Sandbox, version: str) -> None:
    """openclaw #63385, with syncd: the old generation is in memory, the new one is where OpenClaw looks next."""
    scene = signed_in(box, version, first_lifetime_s=EXPIRED_S)
    with syncd(box) as daemon, OpenClaw(box, scene.roots[0]).worker() as worker:
        daemon.expect_head(scene.first)
        worker.hold(*AGENTS)
        Codex(box).exec()
        expect(scene.stores, scene.newest, MIRROR_S)
        assert [worker.answer(agent) for agent in AGENTS] == [Answer(status=200)] * len(AGENTS)
    assert scene.requests == BY_CODEX_ALONE


def test_five_rotations_by_one_long_running_codex(box: Sandbox) -> None:
    """Five generations by `codex app-server`, each mirrored before the next: one lineage, nothing spent twice."""
    scene = signed_in(box, SHARED_SQLITE, JSON_ERA)
    with syncd(box) as daemon, Codex(box).app_server() as server:
        daemon.expect_head(scene.first)
        for _ in range(5):
            server.call("account/read", refreshToken=True)
            expect(scene.stores, scene.newest, MIRROR_S)
        daemon.expect_head(scene.newest)
        assert generations(daemon.status()) == [5]
    assert scene.requests == BY_CODEX_ALONE * 5


def generations(status: dict[str, object]) -> list[object]:
    accounts = status["accounts"]
    assert isinstance(accounts, list)
    return [account["generation"] for account in accounts]
