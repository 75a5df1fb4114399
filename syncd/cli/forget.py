"""`syncd forget`: delete syncd's own copies of a login; the stores of the tools are not touched."""

from __future__ import annotations

import click

from syncd.cli import say
from syncd.cli.compose import Setup, setup
from syncd.errors import UsageFault
from syncd.ledger import FILE
from syncd.lineage import Account
from syncd.locks import state_lock
from syncd.model import Displaced, Fact, Holds, Refused, Rotated, Seen, Slot, Wrote, short
from syncd.turn import Keeper


@click.command()
@click.argument("account", required=False)
@click.option("--all", "everything", is_flag=True, help="Every login, and the whole ledger.")
@click.pass_context
def command(ctx: click.Context, account: str | None, everything: bool) -> int:
    """Delete syncd's own copies of a login (by e-mail, account id or the head's fingerprint)."""
    chosen = setup(ctx)
    if (account is None) is not everything:
        raise UsageFault("name one account, or --all", "syncd status")
    if not (chosen.places.state / FILE).exists():
        say.talk(f"syncd keeps nothing in {chosen.places.state}")
        return 0
    with state_lock(chosen.places.state):  # a running syncd would learn it anew at once
        _forget(chosen, account)
    return 0


def _forget(chosen: Setup, typed: str | None) -> None:
    keeper = chosen.onlooker()
    accounts = [one for one in keeper.lineage.graph.accounts.values() if typed is None or _fits(typed, one, keeper)]
    if typed is not None and len(accounts) != 1:
        found = f'"{typed}" fits {len(accounts)} accounts' if accounts else f'no account is called "{typed}"'
        raise UsageFault(found, "type the head's eight digits, from: syncd status")
    for account in accounts:
        _refuse_orphans(keeper, account)
    if typed is None:
        for part in chosen.places.state.glob(f"{FILE}*"):
            part.unlink()
        say.talk(f"syncd keeps nothing in {chosen.places.state} any more")
        return
    _delete(chosen, keeper, accounts[0])
    say.talk(
        "syncd keeps nothing of this account any more; it will learn it anew when it runs, unless its stores are off"
    )


def _fits(typed: str, account: Account, keeper: Keeper) -> bool:
    wanted = typed.strip()
    names = {name for one in account.identities for name in (one.account_id, one.email) if name}
    if wanted in names or wanted.casefold() in names:
        return True
    graph = keeper.lineage.graph
    heads = [tip for family in graph.families_of(account) for tip in family.tips]
    return len(wanted) >= 8 and any(head.startswith(wanted.lower()) for head in heads)


def _refuse_orphans(keeper: Keeper, account: Account) -> None:
    """A follower whose refresh token only syncd still holds must get it back first (docs/rules.md, 13)."""
    places = list(keeper.lineage.places_of(account))
    followers = [one for one in places if one.ours_access_only and isinstance(one.content, Holds)]
    whole = [one for one in places if isinstance(one.content, Holds) and one.content.token.fingerprint]
    if followers and not whole:
        raise UsageFault(
            f"only syncd holds the refresh token of {followers[0].slot}; give it back first",
            f"syncd role {followers[0].slot.store} peer && syncd run --once",
        )


def _delete(chosen: Setup, keeper: Keeper, account: Account) -> None:
    graph = keeper.lineage.graph
    members = {name for name, member in graph.members.items() if graph.account_of(member) is account}
    slots = {place.slot for place in keeper.lineage.places_of(account)}
    ledger, _ = chosen.ledger()
    try:
        seqs = [fact.seq for fact in ledger.facts() if _is_about(fact, members, slots)]
        ledger.forget(seqs, members)
    finally:
        ledger.close()
    say.talk(f"forgot {len(members)} tokens ({', '.join(sorted(map(short, members))[:5])}) and {len(seqs)} facts")


def _is_about(fact: Fact, members: set[str], slots: set[Slot]) -> bool:
    match fact.body:
        case Seen(slot, Holds(token)) | Wrote(slot, Holds(token)) | Displaced(slot, Holds(token)):
            return token.fingerprint in members if token.fingerprint else slot in slots
        case Seen(slot):
            return slot in slots
        case Rotated(parent):
            return parent in members
        case Refused(fingerprint):
            return fingerprint in members
        case _:
            return False
