"""Pure: digests of JSON values, and foreign text made fit to be shown."""

from __future__ import annotations

import hashlib
import json


def etag_of(value: object) -> str:
    """SHA-256 of the canonical form: the order of keys and the spaces between them do not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def shown(text: str) -> str:
    """For a reason, a label or a slot name: printable ASCII, at most 64 characters."""
    plain = ascii(text)[1:-1]
    return plain if len(plain) <= 64 else plain[:61] + "..."
