"""The demo as a whole: builds the sandbox, starts syncd in it, plays the story, says what was measured, clears up."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from syncd.demo.authority import Authority, serving
from syncd.demo.child import SYNCD, last_words, running
from syncd.demo.lookout import Lookout
from syncd.demo.pace import Pace
from syncd.demo.sandbox import Sandbox, sandbox
from syncd.demo.scene import Line, Scene, Standing
from syncd.demo.stage import Stage, stage
from syncd.demo.story import Story
from syncd.demo.verdict import Check, checks


def play(console: Console, *, quick: bool = False, command: Sequence[str] = SYNCD) -> bool:
    """Did everything hold? `command` starts the syncd that is shown. `quick`: no pauses."""
    authority = Authority()
    with serving(authority), sandbox(authority) as made:
        scene = Scene(made, authority)
        with stage(console, scene) as seen:
            found = _watched(scene, seen, quick=quick, command=command)
            seen.finish(scene, found)
        good = all(one.holds for one in found)
        if not good:
            _say_why(console, made)
        return good


def _watched(scene: Scene, seen: Stage, *, quick: bool, command: Sequence[str]) -> list[Check]:
    pace = Pace(lambda: seen.paint(scene), quick)
    _before(scene, seen, pace)
    made = scene.sandbox
    with running(command, made.environment(scene.authority.url), made.root) as child:
        measured = Story(Lookout(scene, pace, child), seen).play()
        exit_code = child.end()
    scene.source, scene.took = "", {}
    scene.look()
    return checks(scene, measured, exit_code)


def _before(scene: Scene, seen: Stage, pace: Pace) -> None:
    """How it looks where nobody looks after the login."""
    scene.look()
    scene.backups = {name: store.raw() for name, store in scene.sandbox.stores.items()}
    spent = sum(row.standing is Standing.SPENT for row in scene.rows)
    line = Line("a day without syncd", f"{spent} of {len(scene.rows)} hold a spent token", good=True)
    scene.lines.append(line)
    seen.ended(line)
    pace.pause(1.0)


def _say_why(console: Console, made: Sandbox) -> None:
    """What syncd said last; the file goes with the sandbox."""
    console.print(Text("what syncd said last:"))
    for line in last_words(made.root):
        console.print(Text(f"  {line}"), soft_wrap=True)
