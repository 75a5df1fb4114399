"""`syncd role STORE ROLE`: say in the configuration what syncd does for a store."""

from __future__ import annotations

import os
from pathlib import Path

import click
import tomlkit

from syncd import files
from syncd.cli import say
from syncd.cli.choose import store_of
from syncd.cli.compose import Setup, setup
from syncd.config import Config, parse
from syncd.errors import UsageFault
from syncd.model import Holds, Role
from syncd.ports import Store
from syncd.serve import ask
from syncd.turn import Keeper


@click.command()
@click.argument("store")
@click.argument("role", type=click.Choice([role.value for role in Role]))
@click.option("--sole", is_flag=True, help="With peer: every other store that can becomes a follower.")
@click.pass_context
def command(ctx: click.Context, store: str, role: str, sole: bool) -> int:
    """Say what syncd does for a store: peer, follower, observer or off."""
    chosen = setup(ctx)
    keeper = chosen.onlooker()
    target, wanted = store_of(store, _all_stores(chosen, keeper)), Role(role)
    if sole and wanted is not Role.PEER:
        raise UsageFault("--sole goes with peer: it makes all the others followers", f"syncd role {store} peer --sole")
    roles = {target.info.id: wanted}
    if sole:
        roles |= {one.info.id: Role.FOLLOWER for one in _others(keeper, target)}
    _refuse_unsafe(keeper, chosen.config, roles)
    _save(chosen.places.config, roles)
    for name, given in roles.items():
        say.talk(f"{name} is {_described(given)} now")
    ask(chosen.places.socket, {"op": "status"}, patience=15.0)  # a running syncd reads the file again for its turn
    return 0


def _all_stores(chosen: Setup, keeper: Keeper) -> dict[str, Store]:
    """With those that are off, which the keeper has not even listed."""
    shelf = chosen.shelf()
    shelf.role_of = lambda _: Role.PEER
    shelf.discover()
    return {**shelf.stores, **keeper.shelf.stores}


def _others(keeper: Keeper, target: Store) -> list[Store]:
    return [one for one in keeper.shelf.stores.values() if one.info.capabilities.follower and one is not target]


def _refuse_unsafe(keeper: Keeper, config: Config, roles: dict[str, Role]) -> None:
    """A follower must be unable to spend, and somebody must be left who can renew the login."""
    for name, role in roles.items():
        store = keeper.shelf.stores.get(name)
        if role is Role.FOLLOWER and store is not None and not store.info.capabilities.follower:
            raise UsageFault(
                f"{name} cannot be a follower: its tool refreshes what it holds, or throws it away",
                f"syncd role {name} observer",
            )
    if Role.FOLLOWER not in roles.values():
        return
    holders = {
        one.slot.store
        for one in keeper.shelf.sightings()
        if isinstance(one.content, Holds) and one.content.token.fingerprint is not None
    }
    if not any(roles.get(name, config.role_of(name)) in (Role.PEER, Role.OBSERVER) for name in holders):
        raise UsageFault(
            "nobody would be left to renew the login: every store that holds a refresh token would be a follower",
            "keep one of them a peer",
        )


def _described(role: Role) -> str:
    return {
        Role.PEER: "a peer (gets the whole credential)",
        Role.FOLLOWER: "a follower (gets the access token only)",
        Role.OBSERVER: "an observer (read, never written)",
        Role.OFF: "off (not even read)",
    }[role]


def _save(path: Path, roles: dict[str, Role]) -> None:
    """Edit the file in place: comments and order stay. Raises ConfigFault, StoreFault."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = files.read(path) or b""
    parse(path, before)
    document = tomlkit.parse(before.decode("utf-8-sig"))
    tables = document.get("store") or tomlkit.aot()
    for name, role in roles.items():
        pattern = _literal(name)
        found = next((table for table in tables if table.get("match") == pattern), None)
        if found is not None:
            tables.remove(found)  # the last match counts, so it goes to the end
        entry = tomlkit.table()
        entry.update({"match": pattern, "role": role.value})
        entry.add(tomlkit.nl())
        tables.append(entry)
    document["store"] = tables
    after = tomlkit.dumps(document).encode()
    parse(path, after)
    _replace(path, after)


def _literal(name: str) -> str:
    """A pattern that matches this id alone."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)


def _replace(path: Path, data: bytes) -> None:
    if not path.exists():
        files.private_file(path)
    with files.Kept(path) as kept:
        files.swap(kept, data, durable=os.name == "posix")
