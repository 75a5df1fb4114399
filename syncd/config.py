"""Reads the configuration once, at the edge, into frozen settings; says where each value comes from.

Hazard: a typo that silently means "default". So an unknown key is refused with its line and the nearest valid one, and
nothing is guessed.
"""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import os
import re
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from syncd import files
from syncd.errors import ConfigFault, StoreFault
from syncd.model import Role, Unify

# A socket's path must fit into sockaddr_un: 108 bytes with the final NUL on Linux, 104 on macOS.
MAX_SOCKET_PATH = 103

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def seconds(value: object) -> object:
    """A duration: a number of seconds, or a text such as "30s", "5m", "2h"."""
    if isinstance(value, str) and (found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", value)):
        return float(found[1]) * _UNITS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('a duration is written like "30s", "5m" or "2h"')
    return float(value)


def _expanded(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str) else value


Duration = Annotated[float, BeforeValidator(seconds)]
Folder = Annotated[Path, BeforeValidator(_expanded)]


# After any fault of the file.
_NEXT = "mend it, then: syncd config check"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSection(_Section):
    """[account]"""

    unify: Unify = Unify.AUTO


class WatchSection(_Section):
    """[watch]: `interval` in seconds, between two reads of everything."""

    mode: Literal["events", "poll"] = "events"
    interval: Annotated[Duration, Field(ge=0.1, le=86_400)] = 60.0


class CodexSection(_Section):
    """[codex]: homes beside CODEX_HOME and ~/.codex."""

    homes: tuple[Folder, ...] = ()


class OpenClawSection(_Section):
    """[openclaw]: state folders beside those that are found."""

    state_dirs: tuple[Folder, ...] = ()


class StoreSection(_Section):
    """[[store]]: the role of every store whose id matches; the last match counts."""

    match: str
    role: Role


class LogSection(_Section):
    """[log]"""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Section):
    """The whole file. Every value has a default; an empty file is valid."""

    enabled: bool = False
    account: AccountSection = AccountSection()
    watch: WatchSection = WatchSection()
    codex: CodexSection = CodexSection()
    openclaw: OpenClawSection = OpenClawSection()
    log: LogSection = LogSection()
    store: tuple[StoreSection, ...] = ()

    def role_of(self, store: str) -> Role:
        """The role of the store with this id."""
        role = Role.PEER
        for entry in self.store:
            if fnmatch.fnmatchcase(store, entry.match):
                role = entry.role
        return role


@dataclass(frozen=True, slots=True)
class Places:
    """Where syncd keeps its own things."""

    config: Path
    state: Path
    runtime: Path

    @property
    def socket(self) -> Path:
        return self.runtime / "syncd.sock"


def places(env: Mapping[str, str], config: Path | None = None) -> Places:
    """From the command line, SYNCD_CONFIG, SYNCD_STATE_DIR and SYNCD_RUNTIME_DIR, else the platform's own folders."""
    chosen = config or _folder(env, "SYNCD_CONFIG") or platformdirs.user_config_path("syncd") / "config.toml"
    state = _folder(env, "SYNCD_STATE_DIR") or platformdirs.user_state_path("syncd")
    runtime = _folder(env, "SYNCD_RUNTIME_DIR")
    if runtime is None:
        session = _folder(env, "XDG_RUNTIME_DIR")
        runtime = session / "syncd" if session else state / "run"
    return Places(chosen.absolute(), state.absolute(), _short(runtime.absolute()))


def _folder(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name, "").strip()
    return Path(value).expanduser() if value else None


def _short(runtime: Path) -> Path:
    """The folder itself, or one of a short, hashed name where a socket's path in it would be too long."""
    if len(os.fsencode(runtime / "syncd.sock")) <= MAX_SOCKET_PATH:
        return runtime
    digest = hashlib.sha256(os.fsencode(runtime)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"syncd-{digest}"


def load(path: Path) -> Config:
    """The configuration in a file; all defaults where there is none. Raises ConfigFault."""
    try:
        data = files.read(path)
    except StoreFault as fault:
        raise ConfigFault(path, fault.reason, hint=fault.hint) from fault
    return parse(path, data or b"")


def parse(path: Path, data: bytes) -> Config:
    """The configuration in these bytes; `path` is for the message only. Raises ConfigFault."""
    try:
        text = data.decode("utf-8-sig")
        return Config.model_validate(tomllib.loads(text))
    except UnicodeDecodeError as error:
        raise ConfigFault(path, "it is not UTF-8", hint=_NEXT) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigFault(path, f"not TOML: {error}", hint=_NEXT) from error
    except ValidationError as error:
        raise _explained(path, data.decode("utf-8-sig"), error) from error


def _explained(path: Path, text: str, error: ValidationError) -> ConfigFault:
    """The first thing that is wrong, with its line."""
    # An unknown key explains what is missing: it is told first.
    faults = error.errors(include_url=False, include_input=False)
    first = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
    where = tuple(part for part in first["loc"] if isinstance(part, str))
    entry = next((part for part in first["loc"] if isinstance(part, int)), 0)
    name = ".".join(where)
    if first["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(where[-1], _keys(where[:-1]), n=1, cutoff=0.5)
        known = f'did you mean "{nearest[0]}"?' if nearest else f"known here: {', '.join(_keys(where[:-1]))}"
        sentence = f'unknown key "{name}"; {known}'
    else:
        sentence = f"{name}: {_said(first['type'], first['msg'])}"
    line = _line_of(text, where, entry) or _line_of(text, where[:-1], entry)
    return ConfigFault(path, sentence, line=line, hint=_NEXT)


def _said(kind: str, message: str) -> str:
    """Pydantic's message in the words of the file."""
    match kind:
        case "model_type":
            return "this is a table, and wants its keys below a line in brackets"
        case "missing":
            return "is missing"
        case _:
            message = message.removeprefix("Value error, ")
            return message[:1].lower() + message[1:]


def _keys(table: Iterable[str]) -> list[str]:
    """The valid keys of a table."""
    section: type[BaseModel] = Config
    for part in table:
        section = _SECTIONS.get(part, section)
    return list(section.model_fields)


_SECTIONS: dict[str, type[BaseModel]] = {
    "account": AccountSection,
    "watch": WatchSection,
    "codex": CodexSection,
    "openclaw": OpenClawSection,
    "log": LogSection,
    "store": StoreSection,
}


def _line_of(text: str, where: tuple[str, ...], entry: int = 0) -> int | None:
    """The first line that sets this key in its table, or opens the table; tomllib tells no lines of valid TOML.

    `entry`: of an array of tables, which one, from 0.
    """
    table: tuple[str, ...] = ()
    seen: Counter[tuple[str, ...]] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([^\[\]#]+?)\s*\]", line):
            table = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            seen[table] += 1
            if table == where and seen[table] > entry:
                return number
        elif setting := re.match(r"\s*([\w.\-\"']+)\s*=", line):
            key = (*table, *(part.strip("\"'") for part in setting[1].split(".")))
            if key == where[: len(key)] and (not table or seen[table] > entry):
                return number
    return None


TEMPLATE = """\
# syncd's configuration. Every line shows its default; remove the "#" to change it. Check it with: syncd config check

# Write without having asked (see also: syncd enable).
# enabled = false

[account]
# Two sign-ins of one account: "auto" lets all stores follow the newest one, except where both are proven alive;
# "account" always; "lineage" never.
# unify = "auto"

[watch]
# "events", or "poll" for network mounts and other places where file events do not arrive.
# mode = "events"
# Everything is read again this often, whatever the mode.
# interval = "1m"

[codex]
# Codex homes beside $CODEX_HOME and ~/.codex.
# homes = ["~/work/.codex"]

[openclaw]
# State folders beside ~/.openclaw, ~/.openclaw-* and ~/.clawdbot.
# state_dirs = ["/srv/openclaw"]

[log]
# "debug", "info", "warning" or "error".
# level = "info"

# What syncd does for a store, by its id (syncd status --json shows ids; * and ? match; the last match counts):
# "peer" gets the whole credential, "follower" the access token only, "observer" is read and never written,
# "off" is not even read.
# [[store]]
# match = "openclaw:~/.openclaw/agents/*"
# role = "observer"
"""
