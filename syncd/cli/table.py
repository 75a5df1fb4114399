"""The status as a table for people: one line a slot, under a line for its login."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from syncd.cli.say import cell
from syncd.status import AccountStatus, Status, StoreStatus

_STYLES = {
    "current": "green",
    "live": "green",
    "behind": "yellow",
    "expiring": "yellow",
    "expired": "yellow",
    "busy": "yellow",
    "ahead": "cyan",
    "separate": "cyan",
    "contested": "red",
    "refused": "red",
    "unreadable": "red",
    "suspect": "red",
    "dead": "red bold",
}


def table_of(status: Status, now: datetime | None = None) -> RenderableType:
    """All accounts; at 80 columns the reasons wrap, and nothing is cut."""
    moment = now or datetime.now(UTC)
    parts: list[RenderableType] = []
    for account in status.accounts:
        parts += [_title(account, moment), _stores(account), Text("")]
    return Group(*parts)


def _title(account: AccountStatus, now: datetime) -> Text:
    if account.state == "none":
        return Text("other stores (no login of ours in them)", style="bold")
    line = Text.assemble(
        (account.account, "bold"), f"  {account.provider}  ", (account.state, _STYLES.get(account.state, ""))
    )
    if account.head:
        line.append(f"  head {account.head}, generation {account.generation}")
    if account.expires_at is not None:
        line.append(f", {remaining(account.expires_at - now)}")
    if account.reason:
        line.append(f"\n  {account.reason}")
    if account.hint:
        line.append(f"\n  next: {account.hint}")
    return line


def _stores(account: AccountStatus) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=True, header_style="dim")
    table.add_column("  store", no_wrap=True)
    table.add_column("slot", overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("token", no_wrap=True)
    table.add_column("", overflow="fold", ratio=1)
    for store in account.stores:
        table.add_row(*_row(store))
    return table


def _row(store: StoreStatus) -> tuple[Text, Text, Text, Text, Text]:
    state = store.state.value
    role = "" if store.role.value == "peer" else f"({store.role.value}) "
    return (
        cell(f"  {store.label}"),
        cell("" if store.slot == "-" else store.slot),
        cell(state, _STYLES.get(state, "dim")),
        cell(store.fingerprint or "-"),
        cell(role + (store.reason or ""), "dim"),
    )


def remaining(left: timedelta) -> str:
    """How long an access token lives on, in the largest unit that says enough."""
    seconds = int(left.total_seconds())
    if seconds <= 0:
        return "access token ended"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"access token for {seconds // size} {unit}"
    return f"access token for {seconds} s"
