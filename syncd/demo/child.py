"""The real syncd, as a process of its own, in the sandbox's environment."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# -P: what lies in the folder that it is started in is not imported.
SYNCD = (sys.executable, "-P", "-m", "syncd", "run", "--yes")

LOG = "syncd.log"

# A turn ends within a second; a syncd that does not end by itself is killed after this (seconds).
PATIENCE = 1.5


@dataclass(slots=True)
class Child:
    """A running process; `end` may be called twice."""

    process: subprocess.Popen[bytes]

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def end(self) -> int:
        """Ask it to end, by its own pid, and wait; its exit code, negative where a signal had to end it."""
        if self.running:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:  # also where the wait was interrupted: it must not outlive the demo
            if self.running:
                self.process.kill()
                self.process.wait()


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator[Child]:
    """Start it, in a session of its own so that Ctrl-C reaches only the demo; it is ended in any case."""
    with (folder / LOG).open("wb") as stderr:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
    child = Child(process)
    try:
        yield child
    finally:
        child.end()


def last_words(folder: Path, lines: int = 6) -> list[str]:
    """The end of what it said."""
    return (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
