"""2026.6.11 with a stray, newer `auth-profiles.json` beside its SQLite store, and the real doctor at work.

The runtime ignores the file, and `doctor --fix` keeps the older credential and moves the file away. The
counterpart in `test_world` shows the newest token lost; here syncd has read it before, and it is in use.
"""

from __future__ import annotations

import pytest

from tests.real.scenes import CODEX, Scene, signed_in
from tests.real.world.clients import Codex, OpenClaw
from tests.real.world.homes import FIRST_SQLITE
from tests.real.world.sandbox import Sandbox
from tests.real.world.syncd import syncd
from tests.real.world.templates import TEN_DAYS_S
from tests.real.world.waits import expect

MIRROR_S = 30.0


def json_files(scene: Scene) -> set[str]:
    return {str(path) for path in scene.roots[0].path.glob("agents/*/agent/auth-profiles.json")}


@pytest.mark.parametrize("stray_first", [True, False], ids=["found at the start", "appears while it runs"])
def test_what_a_stray_file_holds_outlives_the_doctor(box: Sandbox, stray_first: bool) -> None:
    scene = signed_in(box, FIRST_SQLITE, first_lifetime_s=TEN_DAYS_S, lifetime_s=TEN_DAYS_S)
    root = scene.root(FIRST_SQLITE)
    stray, doctor = root.json_store("main"), OpenClaw(box, root, who="doctor")
    second = box.authority.spend(scene.first)
    if stray_first:
        stray.put(second)
    with syncd(box) as daemon:
        if not stray_first:
            daemon.expect_head(scene.first)
            stray.put(second)
        daemon.expect_head(second)
        expect(scene.stores, second, MIRROR_S)
        done = doctor.run("doctor", "--fix", "--non-interactive")
        assert done.code == 0, done
        assert stray.held() is None, "doctor moves this file away, and somebody has put it back"
        left_by_doctor = json_files(scene)
        expect(scene.stores, second, MIRROR_S)
        # One more generation through every store: syncd has been everywhere since doctor ended.
        box.authority.refuse_access(second)
        Codex(box).exec()
        expect(scene.stores, scene.newest, MIRROR_S)
        daemon.expect_head(scene.newest)
        assert json_files(scene) == left_by_doctor, "syncd wrote a store that this version ignores"
        assert scene.answers(FIRST_SQLITE)
        assert scene.turns("openclaw") == [("answered", 2)]
    assert scene.requests == [("elsewhere", "rotated"), (CODEX, "rotated")]
