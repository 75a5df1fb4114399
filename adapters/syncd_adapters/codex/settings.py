"""Where Codex keeps its login: `cli_auth_credentials_store` in `config.toml` (facts: codex 2).

Hazard: with `keyring` or `ephemeral` the file is not what Codex reads, and a file written there would revive
a login that its owner had moved away.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from syncd import files
from syncd.errors import StoreFault
from syncd.ports import Ignored, ReadOnly, Usage, Used

CONFIG = "config.toml"
KEY = "cli_auth_credentials_store"

FILE, AUTO = "file", "auto"
_ELSEWHERE = {
    "keyring": "Codex keeps its login in the system's keyring",
    "ephemeral": "Codex keeps its login in memory only",
}


def storage(home: Path) -> str | ReadOnly:
    """The setting's value, `file` where it is not set; ReadOnly where Codex itself could not tell."""
    try:
        data = files.read(home / CONFIG)
        table = tomllib.loads(data.decode()) if data is not None else {}
    except StoreFault as fault:
        return ReadOnly(f"{CONFIG} cannot be read: {fault.reason}")
    except (ValueError, RecursionError):  # not UTF-8, or not TOML: Codex does not start with it either
        return ReadOnly(f"{CONFIG} is not TOML, so nothing tells where Codex keeps its login")
    value = table.get(KEY, FILE)
    if isinstance(value, str) and value in (FILE, AUTO, *_ELSEWHERE):
        return value
    return ReadOnly(f"{CONFIG} sets {KEY} to a value that is not known here")


def usage(setting: str | ReadOnly) -> Usage:
    """Whether Codex reads `auth.json`. With `auto` it does, as long as the file is there."""
    match setting:
        case ReadOnly():
            return setting
        case str() if setting in _ELSEWHERE:
            return Ignored(f'{_ELSEWHERE[setting]} ({CONFIG}: {KEY} = "{setting}")')
        case _:
            return Used()
