"""`syncd history`: what happened to the login, newest last; from the ledger alone, without a daemon."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from syncd.cli import say
from syncd.cli.compose import setup
from syncd.ledger import Ledger
from syncd.lineage import Event, Lineage
from syncd.model import short


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs; the form is versioned.")
@click.option("-n", "--last", default=50, show_default=True, help="How many, the newest.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, last: int) -> int:
    """What happened to the login, newest last."""
    ledger = Ledger.open(setup(ctx).places.state)
    events: list[Event] = []
    if ledger is not None:
        try:
            _, events = told(ledger)
        finally:
            ledger.close()
    if not events and not as_json:
        say.talk("nothing happened yet" if ledger else "nothing happened yet: syncd has not run here (syncd run)")
    chosen = events[-last:] if last > 0 else events
    if as_json:
        say.result(json.dumps({"schemaVersion": 1, "events": [_packed(one) for one in chosen]}, indent=2))
    else:
        for one in chosen:
            say.result(say.plain(line(one)))
    return 0


def told(ledger: Ledger) -> tuple[Lineage, list[Event]]:
    """The lineage, and everything that happened to it."""
    lineage, events = Lineage(), []
    for fact in ledger.facts():
        events += lineage.apply(fact)
    return lineage, events


def line(event: Event) -> str:
    """One event as people read it, in local time."""
    at = datetime.fromtimestamp(event.at).astimezone()
    other = f"  was {short(event.other)}" if event.other else ""
    detail = f"  ({event.detail})" if event.detail else ""
    token = short(event.fingerprint) if event.fingerprint else "-"
    return f"{at:%Y-%m-%d %H:%M:%S}  {event.happening.value:<12}  {token:<8}  {event.slot or 'syncd'}{other}{detail}"


def _packed(event: Event) -> dict[str, object]:
    return {
        "at": datetime.fromtimestamp(event.at, UTC).isoformat(),
        "event": event.happening.value,
        "store": event.slot.store if event.slot else None,
        "slot": event.slot.name if event.slot else None,
        "fingerprint": short(event.fingerprint) if event.fingerprint else None,
        "other": short(event.other) if event.other else None,
        "detail": event.detail,
    }
