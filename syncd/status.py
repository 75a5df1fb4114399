"""What `syncd status` says, as a versioned model, and the words for it out of findings. Shows no secret, no whole id.

The JSON form is a promise (`schemaVersion`); its schema is docs/status.schema.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from syncd.lineage import Account, Family, Lineage
from syncd.model import Role, SlotState, short
from syncd.plan import Finding, standing_of
from syncd.ports import Store

# From this long before its expiry (seconds) a login is shown as "expiring".
AHEAD = 900.0

# What to do about a store that cannot be read, where nothing better is known.
MEND = "mend the file, or sign in again with its own tool"

AccountState = Literal["live", "expiring", "expired", "suspect", "in_doubt", "dead", "none"]
Mode = Literal["active", "observing", "paused"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="forbid")


class DaemonStatus(_Model):
    """The syncd in the background, if one answers."""

    running: bool = False
    pid: int | None = None
    since: datetime | None = None
    mode: Mode | None = None


class FamilyStatus(_Model):
    """One sign-in of an account: its newest token, and since when that is known."""

    head: str
    state: str
    since: datetime


class StoreStatus(_Model):
    """One slot of one store."""

    id: str
    adapter: str
    label: str
    path: str
    slot: str
    role: Role
    state: SlotState
    fingerprint: str | None
    generation: int | None
    seen_at: datetime | None = Field(alias="seenAt")
    reason: str | None
    hint: str | None


class AccountStatus(_Model):
    """One login; `account` is masked. State `none` gathers what belongs to no login."""

    provider: str
    account: str
    state: AccountState
    families: list[FamilyStatus]
    head: str | None
    generation: int | None
    expires_at: datetime | None = Field(alias="expiresAt")
    reason: str | None
    hint: str | None
    stores: list[StoreStatus]


class Status(_Model):
    """The whole answer."""

    schema_version: Literal[1] = Field(default=1, alias="schemaVersion")
    daemon: DaemonStatus
    accounts: list[AccountStatus]
    looked: list[str]
    notes: list[str]

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, indent=2)


def masked(text: str) -> str:
    """Enough to recognise one's own e-mail or id, not enough to publish it."""
    name, at, domain = text.partition("@")
    if at:
        return f"{name[:1]}***@{domain}"
    return f"{text[:4]}***{text[-2:]}" if len(text) > 8 else f"{text[:1]}***"


@dataclass(frozen=True, slots=True)
class Known:
    """What a status is told from."""

    lineage: Lineage
    stores: Mapping[str, Store]
    findings: tuple[Finding, ...]
    now: float
    seen_at: float


def status_of(known: Known, daemon: DaemonStatus, looked: Iterable[str] = (), notes: Iterable[str] = ()) -> Status:
    """All accounts, live ones first, and last what belongs to none."""
    accounts = [_account(known, account) for account in known.lineage.graph.accounts.values()]
    accounts = [one for one in accounts if one.stores or one.state != "dead"]
    orphans = [one for one in known.findings if one.account is None]
    if orphans:
        accounts.append(_nobody(known, orphans))
    return Status(daemon=daemon, accounts=accounts, looked=list(looked), notes=list(notes))


def _account(known: Known, account: Account) -> AccountStatus:
    standing = standing_of(known.lineage, account)
    head, expires = standing.head, standing.head.token.expires_at if standing.head else None
    state, reason, hint = _state_of(known, account)
    return AccountStatus(
        provider=account.provider,
        account=_name_of(account),
        state=state,
        families=[_family(known, family) for family in known.lineage.graph.families_of(account)],
        head=short(head.fingerprint) if head else None,
        generation=head.generation if head else None,
        expiresAt=_time(expires),
        reason=reason,
        hint=hint,
        stores=[_store(known, one) for one in known.findings if one.account == account.id],
    )


def _state_of(known: Known, account: Account) -> tuple[AccountState, str | None, str | None]:
    standing = standing_of(known.lineage, account)
    if standing.disputed:
        return "suspect", standing.disputed, "syncd explain, then sign in again where the right login is"
    if standing.head is None:
        return "dead", "its newest token was refused by the provider", "codex login"
    if account.suspect is not None:
        return "suspect", "its newest login was removed from a store: logged out, or moved to a keyring", "codex login"
    expires = standing.head.token.expires_at
    if expires is None or expires - known.now > AHEAD:
        return "live", None, None
    if expires > known.now:
        return "expiring", "the access token ends soon", None
    return "expired", "the access token has ended; the next program that uses the login renews it", None


def _nobody(known: Known, findings: list[Finding]) -> AccountStatus:
    return AccountStatus(
        provider="-",
        account="-",
        state="none",
        families=[],
        head=None,
        generation=None,
        expiresAt=None,
        reason=None,
        hint=None,
        stores=[_store(known, one) for one in findings],
    )


def _family(known: Known, family: Family) -> FamilyStatus:
    graph = known.lineage.graph
    head = graph.head_of(family)
    newest = head or max((graph.members[tip] for tip in family.tips), key=lambda member: member.first_seen)
    state = "live" if head else ("contested" if graph.live_tips(family) else "dead")
    return FamilyStatus(
        head=short(newest.fingerprint), state=state, since=datetime.fromtimestamp(newest.first_seen, UTC)
    )


def _store(known: Known, finding: Finding) -> StoreStatus:
    store = known.stores[finding.slot.store]
    return StoreStatus(
        id=store.info.id,
        adapter=store.info.adapter,
        label=store.info.label,
        path=str(store.info.path),
        slot=finding.slot.name,
        role=finding.role,
        state=finding.state,
        fingerprint=short(finding.fingerprint) if finding.fingerprint else None,
        generation=finding.generation,
        seenAt=_time(known.seen_at),
        reason=finding.reason,
        hint=finding.hint or (MEND if finding.state is SlotState.UNREADABLE else None),
    )


def _name_of(account: Account) -> str:
    mails = sorted(one.email for one in account.identities if one.email)
    ids = sorted(one.account_id for one in account.identities if one.account_id)
    return next((masked(name) for name in mails + ids), f"login {short(account.id.rpartition(':')[2])}")


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def schema() -> str:
    """The JSON schema of `syncd status --json`: python -m syncd.status > docs/status.schema.json"""
    return json.dumps(Status.model_json_schema(mode="serialization"), indent=2) + "\n"


def verdict(status: Status) -> int:
    """For `status --check`: 0 all current; 1 dead, missing or in doubt; 2 expiring, or stores behind."""
    logins = [one for one in status.accounts if one.state != "none"]
    if not logins or any(one.state in ("dead", "in_doubt", "suspect") for one in logins):
        return 1
    everywhere = [store for one in status.accounts for store in one.stores]
    if any(store.state is SlotState.UNREADABLE for store in everywhere):
        return 2  # whose login it holds cannot be told
    fine = (SlotState.CURRENT, SlotState.SEPARATE, SlotState.IGNORED, SlotState.EMPTY, SlotState.FOREIGN)
    stores = [store for one in logins for store in one.stores]
    if any(one.state != "live" for one in logins) or any(store.state not in fine for store in stores):
        return 2
    return 0


if __name__ == "__main__":
    sys.stdout.write(schema())
