"""Finds planted tokens in whatever syncd printed or wrote, also in disguise: encoded, escaped, reversed.

Every token of the tests is a fake that carries a mark. So a token nobody registered is found too, and so is a piece of
one. Shares no code with syncd.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests import fake

# A piece of any refresh token, and the two ends of any JWT, that tests/fake.py makes.
MARKS = (fake.refresh(""), fake.jwt().split(".")[0], fake.jwt().split(".")[2])

# Shorter pieces of text turn up by chance.
SHORTEST = 8


@dataclass(frozen=True)
class Leak:
    """Where a token was found, in which form, and a little of what stands around it."""

    where: str
    form: str
    around: str

    def __str__(self) -> str:
        return f"{self.where} shows a token ({self.form}): ...{self.around}..."


class Detector:
    """Knows the marks, and the whole of each token that was planted."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._needles: dict[bytes, str] = {}
        for secret in (*MARKS, *secrets):
            self.plant(secret)

    def plant(self, secret: str) -> None:
        for form, needle in forms(secret):
            self._needles.setdefault(needle, form)

    def leaks(self, where: str, text: str | bytes) -> list[Leak]:
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        return [
            Leak(where, form, _around(data, at))
            for needle, form in self._needles.items()
            if (at := data.find(needle)) >= 0
        ]

    def leaks_below(self, folder: Path) -> list[Leak]:
        """Every file of syncd's own below a folder, its name too; of a ledger all but the vault."""
        found: list[Leak] = []
        for path in sorted(folder.rglob("*")):
            found += self.leaks(f"the name of {path}", path.name)
            if path.is_symlink() or not stat.S_ISREG(path.lstat().st_mode):
                continue
            if not path.name.startswith("ledger.db"):
                found += self.leaks(str(path), path.read_bytes())
            elif path.name == "ledger.db":
                found += self.leaks(f"{path}, outside of its vault", "\n".join(ledger_lines(path)))
        return found


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """Each disguise that a careless line of code could give a token."""
    raw = secret.encode("utf-8", "surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    yield from (
        ("raw", raw),
        ("reversed", secret[::-1].encode("utf-8", "surrogatepass")),
        ("URL-encoded", quote(raw, safe="").encode()),
        ("JSON-escaped", escaped.encode()),
        ("JSON-escaped twice", json.dumps(escaped)[1:-1].encode()),
        ("repr", repr(secret)[1:-1].encode("utf-8", "surrogatepass")),
        ("hex", raw.hex().encode()),
    )
    for shift in range(3):
        yield f"base64, {shift} bytes in", _base64(raw, shift)
        yield f"base64url, {shift} bytes in", _base64(raw, shift).translate(bytes.maketrans(b"+/", b"-_"))


def _base64(raw: bytes, shift: int) -> bytes:
    """What the token's own bytes are in the base64 of a longer text, whatever stands before and behind them."""
    text = base64.b64encode(bytes(shift) + raw)
    return text[-(-8 * shift // 6) : 8 * (shift + len(raw)) // 6]


def _around(data: bytes, at: int) -> str:
    return data[max(0, at - 40) : at + SHORTEST].decode("utf-8", "replace")


def ledger_lines(path: Path) -> list[str]:
    """Every row of a ledger but the vault's, whole."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return [
                repr(row)
                for table in tables
                if table != "vault"
                for row in connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608  the names are the ledger's own
            ]
    except sqlite3.DatabaseError:  # damaged on purpose by the test
        return []
