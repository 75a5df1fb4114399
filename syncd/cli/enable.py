"""`syncd enable`: allow syncd to write from now on; a syncd that runs takes it up at once."""

from __future__ import annotations

import click

from syncd.cli import say
from syncd.cli.compose import setup
from syncd.daemon import ENABLED
from syncd.serve import ask


@click.command()
@click.option("--off", is_flag=True, help="Only look from now on.")
@click.pass_context
def command(ctx: click.Context, off: bool) -> int:
    """Allow the running syncd to write."""
    chosen = setup(ctx)
    ledger, _ = chosen.ledger()
    try:
        ledger.set_mark(ENABLED, "no" if off else "yes")
    finally:
        ledger.close()
    if off and chosen.config.enabled:
        say.warn(f"{chosen.places.config} still says enabled = true")
    running = ask(chosen.places.socket, {"op": "status"}, patience=15.0) is not None
    what = "syncd only looks from now on" if off else "syncd may keep the stores current"
    say.talk(what if running else f"{what}; none runs in the background: syncd run")
    return 0
