"""`syncd status`: how every copy of every login stands; works with and without a syncd in the background."""

from __future__ import annotations

import click
from pydantic import ValidationError

from syncd.cli import say
from syncd.cli.compose import Setup, setup
from syncd.cli.table import table_of
from syncd.daemon import told
from syncd.serve import ask
from syncd.status import DaemonStatus, Status, verdict


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs; the form is versioned.")
@click.option("--check", is_flag=True, help="Exit 0: all current; 1: sign in; 2: expiring, or a store is behind.")
@click.pass_context
def command(ctx: click.Context, as_json: bool, check: bool) -> int:
    """How every copy of every login stands."""
    status = current(setup(ctx))
    if as_json:
        say.result(status.to_json())
    elif not status.accounts:
        nothing(status)
    else:
        say.out().print(table_of(status))
        say.result(_daemon_line(status.daemon))
    for note in status.notes:
        say.warn(note)
    return verdict(status) if check else 0


def current(chosen: Setup) -> Status:
    """The daemon's word where one answers, else a look of our own."""
    if ask(chosen.places.socket, {"op": "ping"}, patience=1.0) is not None:
        reply = ask(chosen.places.socket, {"op": "status"}, patience=15.0)
        try:
            return Status.model_validate((reply or {}).get("status"))
        except ValidationError:
            say.warn("the running syncd is of another version, or too busy to answer; looking without it")
    return told(chosen.onlooker(), DaemonStatus())


def nothing(status: Status) -> None:
    """No store at all: where syncd looked, and what to try."""
    say.talk("no login of Codex or OpenClaw was found; looked at:")
    for path in status.looked:
        say.talk(f"  {path}")
    say.talk("sign in with one of them (codex login), or watch syncd work in a sandbox: syncd demo")


def _daemon_line(daemon: DaemonStatus) -> str:
    if not daemon.running:
        return "no syncd runs in the background; start one with: syncd run"
    doing = "keeps them current" if daemon.mode == "active" else "only looks; let it write with: syncd enable"
    return f"syncd (pid {daemon.pid}) {doing}"
