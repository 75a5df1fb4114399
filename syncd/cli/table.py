"""The status as a table for people: one line a slot under its login, and under it what there is to say of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from syncd.cli.say import cell, plain
from syncd.model import SlotState
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
    """All accounts. Nothing is cut, and no path is broken: what is longer than the terminal, the terminal wraps."""
    moment = now or datetime.now(UTC)
    parts: list[RenderableType] = []
    for account in status.accounts:
        parts += [_title(account, moment), *_stores(account), Text("")]
    return Group(*parts)


def _title(account: AccountStatus, now: datetime) -> Text:
    if account.state == "none":
        return Text("other stores (no login of ours in them)", style="bold")
    style = _STYLES.get(account.state, "")
    line = Text.assemble((account.account, "bold"), f"  {account.provider}  ", (account.state, style))
    if account.head:
        line.append(f"\nhead {account.head}, generation {account.generation}")
        if account.expires_at is not None:
            line.append(f", {remaining(account.expires_at - now)}")
    for sentence in _sentences(account.reason, account.hint):
        line.append(f"\n{sentence}")
    return line


def _stores(account: AccountStatus) -> list[RenderableType]:
    """One line a slot; what there is to say of it stands under its line."""
    rows = [("store", "slot", "state", "token", ""), *map(_row, account.stores)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    parts: list[RenderableType] = [Text(_line(rows[0], widths, "").plain, "dim")]
    for row, store in zip(rows[1:], account.stores, strict=True):
        parts.append(_line(row, widths, _STYLES.get(store.state.value, "dim")))
        parts += [cell(f"    {one}", "dim") for one in _sentences(_placed(store), store.hint)]
    return parts


def _line(row: tuple[str, ...], widths: list[int], style: str) -> Text:
    cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
    return Text.assemble("  ", f"{cells[0]}  {cells[1]}  ", (cells[2], style), f"  {cells[3]}  {row[4]}".rstrip())


def _row(store: StoreStatus) -> tuple[str, str, str, str, str]:
    slot = "" if store.slot == "-" else store.slot
    role = "" if store.role.value == "peer" else f"({store.role.value})"
    return plain(store.label), plain(slot), store.state.value, store.fingerprint or "-", role


def _placed(store: StoreStatus) -> str | None:
    """The reason, with the path where something is wrong with what lies there."""
    if store.reason is None or store.state is not SlotState.UNREADABLE or store.path in store.reason:
        return store.reason
    return f"{store.path}: {store.reason}"


def _sentences(reason: str | None, hint: str | None) -> list[str]:
    return ([reason] if reason else []) + ([f"next: {hint}"] if hint else [])


def remaining(left: timedelta) -> str:
    """How long an access token lives on, in the largest unit that says enough."""
    seconds = int(left.total_seconds())
    if seconds <= 0:
        return "access token ended"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"access token for {seconds // size} {unit}"
    return f"access token for {seconds} s"
