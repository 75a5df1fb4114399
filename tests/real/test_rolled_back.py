"""A store that is rolled back to a spent credential is healed before the real client can spend it.

openclaw #74055: a mirror lost, a doctor, a backup. The counterpart in `test_world`: without syncd the client
spends the old token and the login is gone.
"""

from __future__ import annotations

import pytest

from tests.real.scenes import CODEX, signed_in
from tests.real.world.clients import Answer, OpenClaw
from tests.real.world.control import EXPIRED_S
from tests.real.world.homes import AGENTS, JSON_ERA, SHARED_SQLITE
from tests.real.world.sandbox import Sandbox
from tests.real.world.syncd import syncd
from tests.real.world.waits import expect

MIRROR_S = 30.0
EVERYBODY = (CODEX, JSON_ERA, SHARED_SQLITE)


@pytest.mark.parametrize("client", EVERYBODY)
def test_a_spent_credential_that_comes_back_is_healed(box: Sandbox, client: str) -> None:
    scene = signed_in(box, JSON_ERA, SHARED_SQLITE, first_lifetime_s=EXPIRED_S)
    with syncd(box) as daemon:
        daemon.expect_head(scene.first)
        assert scene.answers(CODEX)
        expect(scene.stores, scene.newest, MIRROR_S)
        scene.store(client).put(scene.first)
        expect(scene.stores, scene.newest, MIRROR_S)
        assert scene.answers(client)
        daemon.expect_head(scene.newest)
    assert scene.requests == [("codex", "rotated")]


def test_all_of_openclaws_stores_rolled_back_at_once(box: Sandbox) -> None:
    """A backup of the whole state folder: six stores hold the spent token, none of them evidence of anything."""
    scene = signed_in(box, JSON_ERA, SHARED_SQLITE, first_lifetime_s=EXPIRED_S)
    with syncd(box) as daemon:
        daemon.expect_head(scene.first)
        assert scene.answers(CODEX)
        expect(scene.stores, scene.newest, MIRROR_S)
        for store in scene.stores[1:]:
            store.put(scene.first)
        expect(scene.stores, scene.newest, MIRROR_S)
        for root in scene.roots:
            with OpenClaw(box, root).worker() as worker:
                assert [worker.answer(agent) for agent in AGENTS] == [Answer(status=200)] * len(AGENTS)
    assert scene.requests == [("codex", "rotated")]


@pytest.mark.parametrize("client", EVERYBODY)
def test_a_rollback_while_syncd_was_away_is_healed_at_its_start(box: Sandbox, client: str) -> None:
    """The ledger remembers what is spent: the second syncd has seen neither the rotation nor the rollback."""
    scene = signed_in(box, JSON_ERA, SHARED_SQLITE, first_lifetime_s=EXPIRED_S)
    with syncd(box) as daemon:
        daemon.expect_head(scene.first)
        assert scene.answers(CODEX)
        expect(scene.stores, scene.newest, MIRROR_S)
        daemon.expect_head(scene.newest)
    scene.store(client).put(scene.first)
    with syncd(box) as daemon:
        expect(scene.stores, scene.newest, MIRROR_S)
        daemon.expect_head(scene.newest)
        assert scene.answers(client)
    assert scene.requests == [("codex", "rotated")]
