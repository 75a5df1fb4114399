"""What Codex and OpenClaw do with a login: take a turn with the access token, refresh with the refresh token.

They know nothing of each other and nothing of syncd. Each uses what its own store holds at that moment.
"""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

from syncd.demo.authority import TOKEN, TURN
from syncd.demo.tokens import Tokens

# The loopback answers in a millisecond; a machine under load must not end the demo (seconds).
PATIENCE = 3.0

# The client id of the Codex CLI, which OpenClaw uses too: public, and in both sources.
CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"

FORM, JSON = "application/x-www-form-urlencoded", "application/json"


class Refused(Exception):
    """The authority refused a refresh token, with this code."""

    def __init__(self, who: str, code: str) -> None:
        super().__init__(f"{who} was refused: {code}")


def refresh(url: str, who: str, token: str, *, kind: str = FORM) -> Tokens:
    """Spend a refresh token. Raises Refused, OSError."""
    fields = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token}
    data = json.dumps(fields) if kind == JSON else urlencode(fields)
    status, answer = _post(url, TOKEN, data, {"user-agent": who, "content-type": kind})
    if status != 200:
        raise Refused(who, str(answer["error"]["code"]))
    expires_at = int(time.time()) + int(answer["expires_in"])
    return Tokens(answer["access_token"], answer["refresh_token"], answer["id_token"], expires_at)


def turn(url: str, who: str, access: str) -> bool:
    """Ask something of the model. False where the access token was not good enough. Raises OSError."""
    headers = {"user-agent": who, "authorization": f"Bearer {access}", "content-type": JSON}
    status, _ = _post(url, TURN, "{}", headers)
    return status == 200


def _post(url: str, path: str, data: str, headers: dict[str, str]) -> tuple[int, Any]:
    """http.client, because it heeds no proxy of the user's environment."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    try:
        connection.request("POST", path, data, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()
