"""OpenClaw state roots of the SQLite eras, made once by the real `doctor --fix` and copied for every test.

Making one takes a quarter of a minute, so it is kept in the cache folder, under a name that changes with the
code that makes it. The product writes absolute paths and the credential into many files and rows; a copy is
re-addressed as a whole, in text and in every database, so that it is the copy's own root with the test's own
login, archives and strays included.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.real.install import MARKER, cache
from tests.real.world import homes
from tests.real.world.clients import OpenClaw
from tests.real.world.sandbox import sandbox
from tests.real.world.tokens import Credential

# `doctor --fix` spends a token that has an hour left, and leaves one with ten days alone.
TEN_DAYS_S = 10 * 24 * 3600
DOCTOR_S = 240.0
SQLITE_HEADER = b"SQLite format 3\0"
TEXT_COLUMNS = """
    SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c
    WHERE t.type = 'table' AND t.sql NOT LIKE 'CREATE VIRTUAL%' AND upper(c.type) = 'TEXT'
"""


def sqlite_root(path: Path, version: str, credential: Credential) -> homes.StateRoot:
    """A state root of that version, signed in with this credential."""
    template = made(version)
    shutil.copytree(template / "root", path, symlinks=True)
    before = json.loads((template / MARKER).read_text())
    after = addresses(path, credential)
    readdress(path, {before[what]: after[what] for what in after})
    return homes.StateRoot(path, version)


def addresses(root: Path, credential: Credential) -> dict[str, str]:
    """The strings by which one root differs from another."""
    expires = str(credential.expires_at * 1000)
    return {"root": str(root), "access": credential.access, "refresh": credential.refresh, "expires": expires}


def made(version: str) -> Path:
    """The template's folder; made now if there is none yet."""
    sources = b"".join(Path(str(module)).read_bytes() for module in (__file__, homes.__file__))
    template = cache() / f"state-{version}-{hashlib.sha256(sources).hexdigest()[:8]}"
    if not (template / MARKER).is_file():
        with tempfile.TemporaryDirectory() as folder:
            make(template, version, Path(folder) / "machine")
    return template


def make(template: Path, version: str, machine: Path) -> None:
    """The JSON form of the root, then the product's own migration."""
    machine.mkdir()
    with sandbox(machine) as box:
        credential = box.authority.sign_in(first_lifetime_s=TEN_DAYS_S)
        root = homes.json_root(box.home / ".openclaw", credential, version)
        done = OpenClaw(box, root).run("doctor", "--fix", "--non-interactive", timeout_s=DOCTOR_S)
        held = [store.held() for store in root.live]
        good = all(one is not None and one.refresh == credential.refresh for one in held)
        assert done.code == 0 and good, f"doctor did not migrate the login of {version}\n{done}"
        for older in template.parent.glob(f"state-{version}-*"):
            shutil.rmtree(older)
        shutil.copytree(root.path, template / "root", symlinks=True)
    (template / MARKER).write_text(json.dumps(addresses(root.path, credential)))


def readdress(root: Path, changes: Mapping[str, str]) -> None:
    """Replaces the strings everywhere below the root."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    sidecars = [path for path in files if path.name.endswith(("-wal", "-shm"))]
    databases = [path for path in files if path not in sidecars and is_database(path)]
    for path in databases:
        readdress_database(path, changes)
    for path in set(files) - {*sidecars, *databases}:
        readdress_text(path, changes)


def is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SQLITE_HEADER)) == SQLITE_HEADER


def readdress_text(path: Path, changes: Mapping[str, str]) -> None:
    before = content = path.read_bytes()
    for old, new in changes.items():
        content = content.replace(old.encode(), new.encode())
    if content != before:
        path.write_bytes(content)


def readdress_database(path: Path, changes: Mapping[str, str]) -> None:
    """Every text of every table; what the write-ahead log still holds is part of the database."""
    with closing(sqlite3.connect(path)) as db, db:
        # A check of the schema calls it; SQLite has it from 3.43 on, the one that Python brings may be older.
        db.create_function("octet_length", 1, lambda value: len(str(value).encode()), deterministic=True)
        for table, column in db.execute(TEXT_COLUMNS).fetchall():
            change = f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?)'  # noqa: S608 - the schema's own names
            for old, new in changes.items():
                db.execute(f'{change} WHERE instr("{column}", ?)', (old, new, old))
