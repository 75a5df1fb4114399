"""The reverse: the real OpenClaw refreshes, `auth.json` follows, and the next `codex exec` needs no token.

syncd spends nothing here: the credential has run out, and whoever comes first refreshes it.
"""

from __future__ import annotations

import pytest

from tests.real.scenes import CODEX, signed_in
from tests.real.world.clients import Answer, OpenClaw
from tests.real.world.control import EXPIRED_S
from tests.real.world.homes import AGENTS, JSON_ERA, SHARED_SQLITE
from tests.real.world.sandbox import Sandbox
from tests.real.world.syncd import syncd
from tests.real.world.waits import expect, until

MIRROR_S = 30.0


@pytest.mark.parametrize("version", [JSON_ERA, SHARED_SQLITE])
def test_codex_goes_on_with_what_openclaw_got(box: Sandbox, version: str) -> None:
    scene = signed_in(box, version, first_lifetime_s=EXPIRED_S)
    with syncd(box) as daemon:
        daemon.expect_head(scene.first)
        with OpenClaw(box, scene.root(version)).worker() as worker:
            assert worker.answer("nova") == Answer(status=200)
        expect(scene.stores, scene.newest, MIRROR_S)
        assert scene.answers(CODEX)
        daemon.expect_head(scene.newest)
    assert scene.turns(CODEX) == [("answered", 1)]
    assert scene.requests == [("openclaw", "rotated")]


def test_a_refresh_in_flight_is_left_alone(box: Sandbox) -> None:
    """While the fence is in the row its token is being spent: a write there would lose the answer."""
    scene = signed_in(box, SHARED_SQLITE, first_lifetime_s=EXPIRED_S)
    root = scene.root(SHARED_SQLITE)
    row = scene.store(SHARED_SQLITE)
    with syncd(box) as daemon, OpenClaw(box, root).worker() as worker:
        daemon.expect_head(scene.first)
        seen = daemon.seen_at(root.path)
        with box.authority.held("token"):
            worker.ask_for_answer("main")
            box.authority.arrival("token")
            until("syncd has seen the fence", lambda: daemon.seen_at(root.path) != seen, MIRROR_S)
            held = row.held()
            assert held is not None and held.fenced
        assert worker.hear_answer() == Answer(status=200)
        expect(scene.stores, scene.newest, MIRROR_S)
        assert scene.answers(CODEX)
    assert scene.requests == [("openclaw", "rotated")]


def test_agents_of_two_roots_share_one_refresh(box: Sandbox) -> None:
    """The JSON root refreshes; the SQLite root, Codex and its own other agents are there before they ask."""
    scene = signed_in(box, JSON_ERA, SHARED_SQLITE, first_lifetime_s=EXPIRED_S)
    with syncd(box) as daemon:
        daemon.expect_head(scene.first)
        assert scene.answers(JSON_ERA)
        expect(scene.stores, scene.newest, MIRROR_S)
        assert scene.answers(SHARED_SQLITE)
        with OpenClaw(box, scene.root(JSON_ERA)).worker() as worker:
            assert [worker.answer(agent) for agent in AGENTS] == [Answer(status=200)] * len(AGENTS)
    assert scene.requests == [("openclaw", "rotated")]
