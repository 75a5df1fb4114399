"""What the authority does on each of its routes; HTTP is not known here.

A refresh token is spent on arrival, the entry in the journal is written, and only then may a knob hold
or spoil the reply.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tests.real.world.families import Families, Refused, Rotated
from tests.real.world.journal import Entry, Failure, Journal
from tests.real.world.tokens import Account, fingerprint

Json = dict[str, Any]


class Routes:
    """The rules of the routes; HTTP is the handler's business."""

    def __init__(self) -> None:
        self.families = Families()
        self.journal = Journal()
        self.controls: dict[str, Callable[..., Json | list[Json] | None]] = {
            "sign-in": self._sign_in,
            "refuse-access": self.families.refuse_access,
            "newest": self._newest,
            "fail": lambda **said: self.journal.fail_next(Failure(**said)),
            "hold": self.journal.hold,
            "release": self.journal.release,
            "log": lambda **said: [asdict(one) for one in self.journal.since(**said)],
        }

    def token(self, who: str, form: Json) -> tuple[int, Json]:
        """POST /oauth/token: one refresh token for the next generation."""
        refresh = str(form.get("refresh_token", ""))
        forced = self.journal.failure("token")
        outcome = self.families.spend(refresh) if forced is None or forced.spend else Refused("not_spent")
        result = outcome.code if forced is None else "failed"
        why = form.get("refresh_reason")
        self.journal.record(Entry("token", who, fingerprint(refresh), result, outcome.family, outcome.generation, why))
        self.journal.wait_for_leave("token")
        return answer(outcome) if forced is None else (forced.status, error("server_error"))

    def turn(self, who: str, bearer: str) -> bool:
        """POST /backend-api/codex/responses: whether this bearer is let in."""
        forced = self.journal.failure("turn")
        admitted = self.families.admits(bearer) if forced is None else None
        family, generation = admitted or (None, None)
        result = "answered" if admitted else "401"
        self.journal.record(Entry("turn", who, fingerprint(bearer), result, family, generation))
        self.journal.wait_for_leave("turn")
        return admitted is not None

    def revoke(self, who: str, form: Json) -> None:
        """POST /oauth/revoke: the whole sign-in ends."""
        token = str(form.get("token", ""))
        result = "revoked" if self.families.revoke(token) else "unknown"
        self.journal.record(Entry("revoke", who, fingerprint(token), result))

    def other(self, who: str, request: str) -> None:
        """Whatever else the clients ask for on the way; they live without it."""
        self.journal.record(Entry("other", who, "", request))

    def _sign_in(self, account: Json, **said: int) -> Json:
        return asdict(self.families.sign_in(Account(**account), **said))

    def _newest(self, refresh: str) -> Json | None:
        newest = self.families.newest(refresh)
        return asdict(newest) if newest else None


def answer(outcome: Rotated | Refused) -> tuple[int, Json]:
    """The token endpoint's reply, in the form that both clients read."""
    if isinstance(outcome, Refused):
        return 401, error(outcome.code)
    new = outcome.credential
    tokens = {"access_token": new.access, "refresh_token": new.refresh, "id_token": new.id_token}
    return 200, {**tokens, "expires_in": new.expires_at - int(time.time())}


def error(code: str) -> Json:
    return {"error": {"code": code, "message": f"the authority says {code}"}}
