"""Pure: which of its stores an OpenClaw really uses, from what lies in its state folder.

Hazard: a store that the running version ignores must not be written. Beside SQLite an `auth-profiles.json`
blocks an agent or splits the login in two (facts: openclaw 3.5), and where syncd wrote there, it would
believe that all is well.

Versions are a hint only: 2026.6.11 leaves `app_version` empty. Tables and the ownership row decide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum

from syncd.ports import Ignored, ReadOnly, Usage, Used

from .text import shown

# The first version whose agents keep their logins in SQLite; the last with JSON was 2026.6.1 (facts: openclaw
# 0).
FIRST_SQLITE = (2026, 6, 5)


class Owner(Enum):
    """Where the shared logins are, by the ownership row."""

    STATE = "state-db"
    MAIN = "legacy-main"
    STRANGE = "strange"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found in one state folder.

    `shared_table`: the state database has the table of the shared row. `agent_table`: some agent's database
    has the table for logins. `trouble`: what could not be read, so that the rest is not to be relied on.
    `eclipsed`: the state folder that OpenClaw takes instead of this one.
    """

    version: str | None = None
    owner: Owner = Owner.MAIN
    shared_table: bool = False
    agent_table: bool = False
    trouble: str | None = None
    eclipsed: str | None = None


def owner_of(row: bytes | None) -> Owner:
    """The ownership row's meaning: missing is legacy-main; another shape stops OpenClaw itself."""
    if row is None:
        return Owner.MAIN
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        return Owner.STRANGE
    match value:
        case {"location": "state-db", **rest} if not rest:
            return Owner.STATE
        case {"location": "legacy-main", **rest} if not rest:
            return Owner.MAIN
        case _:
            return Owner.STRANGE


def is_sqlite(evidence: Evidence) -> bool:
    """Do this OpenClaw's agents keep their logins in SQLite?"""
    return evidence.agent_table or evidence.shared_table or _number(evidence.version) >= FIRST_SQLITE


def json_usage(evidence: Evidence) -> Usage:
    """Of an `auth-profiles.json`."""
    if evidence.eclipsed:
        return _eclipsed(evidence)
    if is_sqlite(evidence):
        return Ignored(f"{_name(evidence)} keeps its logins in SQLite and does not read this file")
    if evidence.trouble:
        return ReadOnly(f"{evidence.trouble}, so it is not known whether OpenClaw still reads this file")
    return Used()


def agent_usage(evidence: Evidence) -> Usage:
    """Of the login row in an agent's own database."""
    if evidence.eclipsed:
        return _eclipsed(evidence)
    return _unsure(evidence) or Used()


def shared_usage(evidence: Evidence) -> Usage:
    """Of the shared login row in the state database."""
    if evidence.eclipsed:
        return _eclipsed(evidence)
    if evidence.owner is Owner.MAIN and not evidence.trouble:
        return Ignored(f"{_name(evidence)} still keeps the shared logins in the main agent's database")
    return _unsure(evidence) or Used()


def _unsure(evidence: Evidence) -> ReadOnly | None:
    if evidence.trouble:
        return ReadOnly(f"{evidence.trouble}, so it is not known which store OpenClaw uses")
    if evidence.owner is Owner.STRANGE:
        return ReadOnly("OpenClaw's ownership row (auth.sharedStore) has a form that this syncd does not know")
    return None


def _eclipsed(evidence: Evidence) -> Ignored:
    return Ignored(f"OpenClaw uses {evidence.eclipsed} instead of this folder")


def _name(evidence: Evidence) -> str:
    return f"OpenClaw {shown(evidence.version)}" if evidence.version else "this OpenClaw"


def _number(version: str | None) -> tuple[int, ...]:
    return tuple(int(part[:9]) for part in re.findall(r"\d+", version or "", re.ASCII)[:3])
