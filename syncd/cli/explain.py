"""`syncd explain STORE|FINGERPRINT`: all that is known of one store or one token, and why it stands as it does."""

from __future__ import annotations

import click

from syncd.cli import say
from syncd.cli.choose import is_fingerprint, member_of, store_of
from syncd.cli.compose import Setup, setup
from syncd.cli.history import line, told
from syncd.errors import UsageFault
from syncd.ledger import Ledger
from syncd.lineage import Event, Lineage, Member
from syncd.model import short
from syncd.ports import Store, Used
from syncd.turn import Keeper

# Of a store that lives for years, the newest are what one asks for.
EVENTS = 20


@click.command()
@click.argument("what", metavar="STORE|FINGERPRINT")
@click.pass_context
def command(ctx: click.Context, what: str) -> int:
    """All that is known of one store or one token."""
    chosen = setup(ctx)
    keeper = chosen.onlooker()
    events = _events(chosen)
    member = member_of(what, keeper.lineage.graph.members.values())
    if member is not None:
        _explain_token(keeper.lineage, member)
        shown = [one for one in events if member.fingerprint in (one.fingerprint, one.other)]
    else:
        store = _store(what, keeper)
        _explain_store(keeper, store)
        shown = [one for one in events if one.slot is not None and one.slot.store == store.info.id]
    for one in shown[-EVENTS:]:
        say.result("  " + say.plain(line(one)))
    return 0


def _store(what: str, keeper: Keeper) -> Store:
    try:
        return store_of(what, keeper.shelf.stores)
    except UsageFault as fault:
        if is_fingerprint(what):
            raise UsageFault(f"no token begins with {what}, and no store is called so", "syncd status") from fault
        raise


def _events(chosen: Setup) -> list[Event]:
    ledger = Ledger.open(chosen.places.state)
    if ledger is None:
        return []
    try:
        return told(ledger)[1]
    finally:
        ledger.close()


def _explain_token(lineage: Lineage, member: Member) -> None:
    graph = lineage.graph
    state = "live" if member.live else ("spent" if member.spent else f"dead ({member.refused})")
    say.result(f"token {short(member.fingerprint)}: {state}, generation {member.generation}")
    evidence = "proven" if member.proven else "inferred: it came where its parent was, issued later"
    if member.parent:
        say.result(f"  descends from {short(member.parent)} ({evidence})")
    if member.child:
        say.result(f"  its successor is {short(member.child)}")
    holders = [place.slot for place in lineage.places.values() if place.fingerprint == member.fingerprint]
    for slot in holders:
        say.result(say.plain(f"  held by {slot}"))
    if not holders:
        say.result("  no store holds it")
    others = [one for one in graph.families_of(graph.account_of(member)) if one.id != member.family]
    for family in others:
        apart = "proven separate" if graph.separate(graph.family_of(member), family) else "relation not proven"
        say.result(f"  another sign-in of the account: {short(family.id)} ({apart})")


def _explain_store(keeper: Keeper, store: Store) -> None:
    info = store.info
    say.result(say.plain(f"{info.id}\n  {info.adapter}, {info.path}"))
    usage = keeper.shelf.usages.get(info.id, Used())
    if not isinstance(usage, Used):
        say.result(say.plain(f"  {type(usage).__name__.lower()}: {usage.reason}"))
    for one in keeper.findings():
        if one.slot.store != info.id:
            continue
        token = f", token {short(one.fingerprint)} of generation {one.generation}" if one.fingerprint else ""
        say.result(say.plain(f"  {one.slot.name}: {one.state.value} ({one.role.value}){token}"))
        for sentence in (one.reason, one.hint):
            if sentence:
                say.result(say.plain(f"    {sentence}"))
        if one.write is not None:
            say.result(f"    syncd would write {short(one.write.token.fingerprint or '')} here")
