"""`syncd demo`: watch it work in a sandbox; nothing of the user's is touched, and it ends by itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import click

from syncd.cli import exits, say

# The story ends itself before this; where even that hangs (a dead disk), the alarm does it. Clearing up takes another
# 1.5 s at most, and 15 s is the bound (seconds).
ALARM = 13.4


class _TooLong(Exception):
    """The alarm rang."""


@click.command()
@click.option("--quick", is_flag=True, help="Without the pauses that let a person follow.")
def command(quick: bool) -> int:
    """Watch it work in a sandbox; nothing of yours is touched. Exit 0: all that it shows was measured to be true."""
    from rich.console import Console

    from syncd.demo.play import play  # not above: `run` imports this module, and shows no demo

    try:
        with _bounded():
            return exits.DONE if play(Console(highlight=False), quick=quick) else exits.SICK
    except _TooLong:
        say.fail(f"the demo did not end within {ALARM:.1f} s, so nothing was shown to be true", "syncd demo --quick")
        return exits.SICK


@contextmanager
def _bounded() -> Iterator[None]:
    """An alarm at the bound; TERM and HUP clear up as Ctrl-C does."""
    handlers = {signal.SIGTERM: _interrupt, signal.SIGHUP: _interrupt, signal.SIGALRM: _ring}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    signal.setitimer(signal.ITIMER_REAL, ALARM)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _ring(number: int, frame: FrameType | None) -> NoReturn:
    raise _TooLong
