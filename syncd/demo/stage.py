"""For a person's eyes: one picture that stays in its place on a terminal, plain lines anywhere else.

Fits 80 columns and 24 rows. A meaning is never in the colour alone. The programs of the demo, their paths and texts are
its own, so nothing here needs escaping; still everything is `Text`, never markup.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from syncd.demo.scene import Line, Row, Scene, Standing
from syncd.demo.verdict import Check

WIDTH, HEIGHT = 80, 24

# How many acts are seen at once.
SEEN = 11

TITLE = "one login, six programs, and every token works once"
ASIDE = "not ours: another account in rook, API keys in main and ~/work, Copilot in iris"
NEXT = (
    ("syncd status", "how your own copies stand"),
    ("syncd run --dry-run", "what syncd would write; it writes nothing"),
)

# One colour a generation, again and again; red and magenta are kept for what is wrong and what is foreign.
COLOURS = ("cyan", "green", "yellow", "blue", "bright_cyan", "bright_green", "bright_yellow", "bright_blue")


class Stage(Protocol):
    """Shows a scene."""

    def paint(self, scene: Scene) -> None: ...

    def ended(self, line: Line) -> None: ...

    def finish(self, scene: Scene, found: Sequence[Check]) -> None: ...


class PlainStage:
    """A line an act; for pipes, logs, NO_COLOR and dumb or small terminals. ASCII only."""

    def __init__(self, console: Console, scene: Scene) -> None:
        self._console = console
        self._scene = scene
        self._say(f"syncd demo: {TITLE}")
        self._say(f"in {scene.sandbox.root}; nothing of yours is touched")

    def paint(self, scene: Scene) -> None: ...

    def ended(self, line: Line) -> None:
        failed = "FAILED: " if line.good is False else ""
        self._say(f"{self._scene.elapsed:5.1f} s  {line.text}: {failed}{line.outcome}")

    def finish(self, scene: Scene, found: Sequence[Check]) -> None:
        self._say("")
        for one in found:
            self._say(f"{'ok' if one.holds else 'FAILED':6}  {one.text}{f': {one.detail}' if one.detail else ''}")
        for command, what in NEXT:
            self._say(f"next    {command}: {what}")

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


class LiveStage:
    """The picture."""

    def __init__(self, live: Live, *, marks: Sequence[str]) -> None:
        self._live = live
        self._good, self._bad, self._dot, self._arrow = marks

    def paint(self, scene: Scene) -> None:
        counted = f"token requests {len(scene.requests)}, turns {len(scene.turns)}, refused {len(scene.refused)}"
        acts = map(self._act, scene.lines[-SEEN:])
        self._live.update(Group(*self._head(scene), Text(counted, "dim"), Text(""), *acts), refresh=True)

    def ended(self, line: Line) -> None: ...

    def finish(self, scene: Scene, found: Sequence[Check]) -> None:
        summary = _grid(1, 36, 41)
        for one in found:
            style = ("", "dim") if one.holds else ("bold red", "red")
            summary.add_row(self._mark(one.holds), Text(one.text, style[0]), Text(one.detail, style[1]))
        steps = [Text.assemble(("next  ", "dim"), (f"{name:21}", "bold"), (what, "dim")) for name, what in NEXT]
        self._live.update(Group(*self._head(scene), Text(""), summary, Text(""), *steps), refresh=True)

    def _head(self, scene: Scene) -> list[RenderableType]:
        title = _grid(70, 9)
        elapsed = Text(f"{scene.elapsed:4.1f} s", "dim", justify="right")
        title.add_row(Text.assemble(("syncd demo  ", "bold"), TITLE), elapsed)
        stores = _grid(1, 6, 23, 9, 4, 31)
        stores.add_row(*(Text(name, "dim") for name in ("", "store", "kept in", "token", "gen", "state")))
        for row in scene.rows:
            stores.add_row(*self._cells(row))
        return [title, Text(""), stores, Text(ASIDE, "dim")]

    def _cells(self, row: Row) -> tuple[Text, ...]:
        foreign = row.standing is Standing.FOREIGN
        colour = "magenta" if foreign else COLOURS[row.generation % len(COLOURS)]
        dim = " dim" if row.standing is Standing.SPENT else ""
        return (
            Text(self._dot, colour + dim),
            Text(row.name, "bold"),
            Text(f"{row.where} {row.kind}", "dim"),
            Text(row.fingerprint, colour + dim),
            Text("" if foreign else str(row.generation), colour + dim),
            self._state(row),
        )

    def _state(self, row: Row) -> Text:
        match row.standing:
            case Standing.CURRENT if row.source:
                return Text.assemble(("current", "green"), (f"  {self._arrow} rotated it", "bold"))
            case Standing.CURRENT if row.took is not None:
                return Text.assemble(("current", "green"), (f"  after {row.took * 1000:.0f} ms", "dim"))
            case Standing.CURRENT:
                return Text("current", "green")
            case Standing.SPENT:
                return Text("spent: would be refused", "red")
            case Standing.FOREIGN:
                return Text("another account, left alone", "magenta")
            case Standing.TORN:
                return Text("being written", "yellow")

    def _act(self, line: Line) -> RenderableType:
        row = _grid(1, 46, 30)
        mark = Text(self._arrow, "bold") if line.good is None else self._mark(line.good)
        row.add_row(mark, Text(line.text, "bold" if line.good is None else ""), Text(line.outcome, "dim"))
        return row

    def _mark(self, holds: bool) -> Text:
        return Text(self._good, "green") if holds else Text(self._bad, "bold red")


def _grid(*widths: int) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    for width in widths:
        grid.add_column(width=width, overflow="fold")
    return grid


def is_plain(console: Console) -> bool:
    """Is there no terminal on which a picture could stay in its place?"""
    narrow = console.width < WIDTH or console.height < HEIGHT
    return narrow or not console.is_terminal or console.is_dumb_terminal or bool(os.environ.get("NO_COLOR"))


@contextmanager
def stage(console: Console, scene: Scene) -> Iterator[Stage]:
    """The one that fits; it leaves its last picture on the screen."""
    if is_plain(console):
        yield PlainStage(console, scene)
        return
    marks = "✓✗●→" if (console.encoding or "").lower().startswith("utf") else "+!*>"
    with Live(console=console, auto_refresh=False, transient=False, vertical_overflow="crop") as live:
        yield LiveStage(live, marks=marks)
