"""Runs the programs of a test, each bounded in time and ended by its own pid.

Every child leads a session of its own: what it starts in turn belongs to its process group, and the group is
ended with it. No name is ever searched for.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]
# How long a child may take to leave after its stdin has ended, before it is made to.
LEAVE_S = 10.0
TAIL = 3000


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended and what it said."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out[-TAIL:]}\n--- stderr\n{self.err[-TAIL:]}"


def run(command: Sequence[object], *, env: Mapping[str, str], cwd: Path, timeout_s: float, said: str = "") -> Finished:
    """A program from start to end; AssertionError with what it said when it takes longer."""
    child = subprocess.Popen(
        [str(part) for part in command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = child.communicate(said, timeout_s)
    except subprocess.TimeoutExpired:
        end_group(child.pid)
        out, err = child.communicate()
        raise AssertionError(f"{command[0]}: not done in {timeout_s} s\n{Finished(-9, out, err)}") from None
    finally:
        end_group(child.pid)
    return Finished(child.returncode, out, err)


def end_group(pid: int) -> None:
    """Ends what a child of ours has left behind; the leader of the group is the child itself."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


class Talker:
    """A child that is spoken to in lines of JSON; its stderr goes to a file that a failure shows."""

    def __init__(self, command: Sequence[object], *, env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self._name, self._log = str(command[0]), log
        self._heard: queue.Queue[Json | None] = queue.Queue()
        with log.open("ab") as err:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def say(self, message: Json) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()

    def hear(self, timeout_s: float, wanted: Callable[[Json], bool] = lambda _: True) -> Json:
        """The next line that is wanted, the others passed over; AssertionError when the child ends first."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                heard = self._heard.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self._name}: silent for {timeout_s} s\n{self.complaints()}") from None
            if heard is None:
                raise AssertionError(f"{self._name}: ended\n{self.complaints()}")
            if wanted(heard):
                return heard

    def complaints(self) -> str:
        """The end of what it wrote on stderr."""
        return self._log.read_text(errors="replace")[-TAIL:]

    def stop(self) -> None:
        """Ends its stdin, which asks it to leave, then whatever is left of its group."""
        assert self._child.stdin is not None
        with suppress(OSError):
            self._child.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(LEAVE_S)
        end_group(self._child.pid)
        self._child.wait(LEAVE_S)
        self._listener.join(LEAVE_S)
        assert self._child.stdout is not None
        self._child.stdout.close()

    def _listen(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with suppress(json.JSONDecodeError):
                self._heard.put(json.loads(line))
        self._heard.put(None)
