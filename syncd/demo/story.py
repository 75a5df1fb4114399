"""The acts: what happens to a login on an ordinary day, one after another, each measured.

Every act changes a store as its own program does, and then waits until the others have followed. After each, every
program takes a turn with what its store holds at that moment: a stale token would be refused, and that is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from syncd.demo import programs
from syncd.demo.lookout import HOST, Lookout, Measured, Stuck
from syncd.demo.pace import TimeIsUp
from syncd.demo.scene import Line, Scene, Standing
from syncd.demo.tokens import STRANGER

# What ends the story early; the verdict then says so.
Trouble = (Stuck, TimeIsUp, programs.Refused, OSError)

# Before and after an act, for the eyes (seconds).
BEFORE, AFTER = 0.35, 0.45


class Told(Protocol):
    """Who is told of acts as they end."""

    def ended(self, line: Line) -> None: ...


@dataclass(slots=True)
class Story:
    """Plays the acts with a syncd that was started just now."""

    lookout: Lookout
    told: Told

    @property
    def scene(self) -> Scene:
        return self.lookout.scene

    def play(self) -> Measured:
        """All acts; the first that fails ends the story."""
        measured = self.lookout.measured
        try:
            for act in ACTS:
                act(self)
                measured.acts += 1
        except Trouble as fault:
            measured.trouble = str(fault)
        return measured

    # -- the acts -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        spent = sum(row.standing is Standing.SPENT for row in self.scene.rows)
        with self._act("syncd starts", before=0.0) as line:
            took = self.lookout.start()
            line.outcome = f"{spent} spent copies healed, {took:.1f} s"

    def rotate_in_place(self) -> None:
        self._codex("Codex rotates its token")

    def rotate_again(self) -> None:
        self._codex("Codex rotates again")

    def rotate_by_rename(self) -> None:
        self.scene.sandbox.codex.by_rename = True
        self._codex("Codex rotates as 0.169 does, by rename")

    def backup(self) -> None:
        with self._act("a backup puts a spent token back into rook") as line:
            self.scene.sandbox.agent("rook").restore(self.scene.backups["rook"])
            self._heal("rook", line)

    def stranger(self) -> None:
        host = self.scene.sandbox.agent(HOST)
        own = host.raw()
        with self._act(f"a stranger's token is copied over {HOST}'s") as line:
            host.put(self.scene.authority.issue(STRANGER).tokens, STRANGER)
            self.lookout.tempt()
            line.outcome = "left alone, copied nowhere"
        self._codex(f"Codex rotates, and {HOST} is not overwritten", without=HOST)
        self.lookout.relent()
        with self._act(f"{HOST}'s own login, spent by now, is put back") as line:
            host.restore(own)
            self._heal(HOST, line)

    def agent_refreshes(self) -> None:
        self._refresh("atlas")

    def another_refreshes(self) -> None:
        self._refresh("main")

    # -- what they are made of ------------------------------------------------------------------------------------

    def _codex(self, text: str, without: str = "") -> None:
        codex, url = self.scene.sandbox.codex, self.scene.authority.url
        with self._act(text) as line:
            codex.put(programs.refresh(url, "codex", self._held("codex"), kind=programs.JSON))
            self._lap("codex", line, without)

    def _refresh(self, name: str) -> None:
        """An agent's access token has run out: it spends what its own store holds."""
        agent, url = self.scene.sandbox.agent(name), self.scene.authority.url
        with self._act(f"{name} ({agent.kind}) refreshes what it holds") as line:
            agent.put(programs.refresh(url, name, self._held(name)))
            self._lap(name, line)

    def _lap(self, source: str, line: Line, without: str = "") -> None:
        took = self.lookout.lap(source, without)
        line.outcome = f"{len(self.scene.took)} stores followed in {took * 1000:.0f} ms"

    def _heal(self, name: str, line: Line) -> None:
        line.outcome = f"healed in {self.lookout.heal(name) * 1000:.0f} ms"

    def _held(self, name: str) -> str:
        held = self.scene.sandbox.stores[name].held()
        if held is None:
            raise Stuck(f"{name}'s store could not be read")
        return held.refresh

    @contextmanager
    def _act(self, text: str, before: float = BEFORE) -> Iterator[Line]:
        line = Line(text)
        self.scene.lines.append(line)
        try:
            self.lookout.pace.pause(before)
            yield line
            self.lookout.turns()
            line.good = True
        except Trouble as fault:
            line.good, line.outcome = False, str(fault)
            raise
        finally:
            self.told.ended(line)
        self.lookout.pace.pause(AFTER)


ACTS: tuple[Callable[[Story], None], ...] = (
    Story.start,
    Story.rotate_in_place,
    Story.rotate_again,
    Story.rotate_by_rename,
    Story.backup,
    Story.stranger,
    Story.agent_refreshes,
    Story.another_refreshes,
)
