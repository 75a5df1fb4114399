"""The lineage lock: of all the syncd processes of one user, one at a time acts on a lineage.

Hazard: two syncd with different state folders that spend one token. So the lock's path depends on the user, the
provider and the account alone, never on a setting: a 0700 folder in /tmp that must be ours (the system's temp folder
where there is no /tmp). Processes that do not share /tmp (containers, PrivateTmp) are not excluded.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from syncd import files
from syncd.errors import AlreadyRunning
from syncd.lineage import Account

# filelock polls; at its default of 50 ms a waiter loses more time than the work under the lock takes (seconds).
POLL = 0.005


class LineageBusy(Exception):
    """Another syncd acts on this lineage."""


def lineage_path(provider: str, name: str) -> Path:
    """Where the lock of a lineage lies: the same for every syncd of this user."""
    digest = hashlib.sha256(f"{provider}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return _folder() / f"lineage-{digest}.lock"


def name_of(account: Account) -> str:
    """What every syncd calls this account: its account id, else its e-mail, else its first family's root."""
    ids = sorted(one.account_id for one in account.identities if one.account_id)
    mails = sorted(one.email for one in account.identities if one.email)
    return next(iter(ids + mails), account.id)


@contextmanager
def lineage_lock(account: Account, patience: float) -> Iterator[None]:
    """Hold the lock of an account's lineage; raises LineageBusy after `patience` seconds, NotPrivate."""
    path = lineage_path(account.provider, name_of(account))
    files.private_folder(path.parent)
    lock = FileLock(path, timeout=patience, poll_interval=POLL, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise LineageBusy(f"another syncd acts on this login ({path})") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def state_lock(state: Path) -> Iterator[None]:
    """Held by the one daemon that serves a state folder, for its life; raises AlreadyRunning."""
    lock = FileLock(state / "daemon.lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        raise AlreadyRunning(f"a syncd already serves {state}", "syncd status") from error
    try:
        yield
    finally:
        lock.release()


def _folder() -> Path:
    if not hasattr(os, "getuid"):
        return Path(tempfile.gettempdir()) / "syncd"
    # Literally /tmp: TMPDIR and XDG_RUNTIME_DIR differ between a login shell, cron and a service of one user.
    return Path("/tmp") / f"syncd-{os.getuid()}"  # noqa: S108  checked to be ours and 0700 by private_folder
