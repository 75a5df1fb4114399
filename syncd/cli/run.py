"""`syncd run`: watch, and keep every copy the newest one; asks once before it writes for the first time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from syncd import files
from syncd.cli import say
from syncd.cli.compose import Setup, setup
from syncd.cli.status import nothing
from syncd.cli.table import table_of
from syncd.daemon import ENABLED, Daemon, told
from syncd.errors import AlreadyRunning
from syncd.ledger import FILE, Ledger
from syncd.locks import state_lock
from syncd.model import short
from syncd.serve import ask
from syncd.status import DaemonStatus
from syncd.turn import Keeper

# `--once` tries what is busy again for this long (seconds): a save takes milliseconds, and cron comes again.
ONCE_PATIENCE = 3.0


@click.command()
@click.option("--once", is_flag=True, help="One pass, then end; for cron.")
@click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing at all.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.pass_context
def command(ctx: click.Context, once: bool, dry_run: bool, yes: bool) -> int:
    """Watch, and keep every copy the newest one."""
    chosen = setup(ctx)
    if dry_run:
        _preview(chosen)
        return 0
    with _alone(chosen, once=once):
        answer: bool | None = True if yes else None
        settled = yes or chosen.config.enabled
        fresh = not (chosen.places.state / FILE).exists()
        if fresh and not settled:
            answer = _asked(ctx, chosen)
        ledger, aside = chosen.ledger()
        try:
            if not (fresh or settled) and ledger.mark(ENABLED) is None:  # it was never answered
                answer = _asked(ctx, chosen)
            if aside is not None:
                say.warn(f"the ledger was damaged; it was moved to {aside}, and is rebuilt from the stores")
            if answer is not None:
                ledger.set_mark(ENABLED, "yes" if answer else "no")
            return _once(chosen, ledger) if once else _watch(chosen, ledger)
        finally:
            ledger.close()


def _watch(chosen: Setup, ledger: Ledger) -> int:
    keeper = chosen.keeper(ledger)
    daemon = Daemon(keeper, ledger, chosen.config, reload=chosen.reload, socket=chosen.places.socket)
    if daemon.active:
        say.talk("syncd keeps the stores current; how they stand: syncd status; end it with Ctrl-C")
    else:
        say.talk("syncd only looks and writes nothing until it may: syncd enable")
    daemon.run()
    say.talk("syncd has ended; nothing is watched now")
    return 0


def _once(chosen: Setup, ledger: Ledger) -> int:
    """One pass, and what it leads to; 1 where a store could not be made current."""
    keeper = chosen.keeper(ledger)
    write = chosen.config.enabled or ledger.mark(ENABLED) == "yes"
    keeper.shelf.discover()
    report = keeper.turn(write=write)
    deadline = time.monotonic() + ONCE_PATIENCE
    while time.monotonic() < deadline:
        keeper.rest()
        late = keeper.look_back()
        if not (report.again or late.events or keeper.attempts):
            break
        report = keeper.turn(report.again or None, write=write)
    say.out().print(table_of(told(keeper, DaemonStatus())))
    if not write:
        say.talk("nothing was written: syncd enable, or syncd run --once --yes")
    return 1 if keeper.attempts else 0


def _preview(chosen: Setup) -> bool:
    """What would be written, from a look that writes nothing, not even the ledger; False where there is no store."""
    keeper = chosen.onlooker()
    status = told(keeper, DaemonStatus())
    if not status.accounts:
        nothing(status)
        return False
    say.out().print(table_of(status))
    _show_writes(keeper)
    return True


def _show_writes(keeper: Keeper) -> None:
    writes = [one for one in keeper.findings() if one.write is not None]
    for one in writes:
        if one.write is not None:
            what = "the access token of " if one.write.access_only else ""
            say.result(say.plain(f"would write {what}{short(one.write.token.fingerprint or '')} to {one.slot}"))
    if not writes:
        say.result("nothing to write")


def _asked(ctx: click.Context, chosen: Setup) -> bool | None:
    """Show the stores and the writes, and ask whether to write; None where nobody, or nothing, is there to ask."""
    found = _preview(chosen)
    sys.stdout.flush()  # before the question; and a log must not wait for it until the end
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    if not found:
        if click.confirm("watch the demo instead?", default=True, err=True):
            from syncd.cli import demo  # loaded only where it is wanted

            ctx.exit(ctx.invoke(demo.command))
        say.talk("syncd waits for a login to appear; end it with Ctrl-C")
        return None
    say.talk(f"syncd keeps its own copy of the newest credential in {chosen.places.state}, for you alone (0600)")
    return click.confirm("keep these stores current from now on?", default=False, err=True)


@contextmanager
def _alone(chosen: Setup, *, once: bool) -> Iterator[None]:
    """One daemon a state folder, and one a socket; a single pass may run beside it."""
    files.private_folder(chosen.places.state)
    if once:
        yield
        return
    with state_lock(chosen.places.state):
        if ask(chosen.places.socket, {"op": "ping"}, patience=1.0) is not None:
            raise AlreadyRunning(f"a syncd already answers at {chosen.places.socket}", "syncd status")
        yield
