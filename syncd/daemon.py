"""The loop: whatever becomes due, a turn for it. One thread turns; the socket and the watcher only put into its inbox.

Hazard: a fault of one turn must not end the watch over a login. A ledger that cannot be written (a full disk) stops the
writing, is said once, and is tried again; nothing is written to a store that was not recorded first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from syncd.config import Config
from syncd.errors import ConfigFault, LedgerFault, SyncdError
from syncd.ledger import Ledger
from syncd.lineage import Event, Happening
from syncd.model import short
from syncd.ports import Failed
from syncd.serve import PROTOCOL, Server, error
from syncd.status import DaemonStatus, Known, Mode, Status, status_of
from syncd.turn import Keeper, Report
from syncd.watch import Due, Inbox, Question, Watcher

log = logging.getLogger("syncd")

# How long a question waits for the turn that is going on (seconds).
ANSWER_WITHIN = 10.0

# A ledger that cannot be written is tried again after this long (seconds).
LEDGER_PAUSE = 5.0

# Folders can come and go faster than they are watched; the slow tick reads what is left then.
ARMS = 5

ENABLED = "enabled"

# Reads the configuration again and applies it to a keeper; raises ConfigFault.
Reload = Callable[[Keeper], Config]


class Daemon:
    """A keeper, watched and served."""

    def __init__(self, keeper: Keeper, ledger: Ledger, config: Config, *, reload: Reload, socket: Path) -> None:
        self._keeper = keeper
        self._ledger = ledger
        self._config = config
        self._reload = reload
        self._server = Server(socket, self.answer)
        self._inbox = Inbox()
        self._watcher: Watcher | None = None
        self._since = datetime.now(UTC)
        self._tick_at = 0.0
        self._paused_until = 0.0
        self._said: dict[str, str] = {}

    @property
    def active(self) -> bool:
        """May it write? Asked anew each time: `syncd enable` answers while the daemon runs."""
        return self._config.enabled or self._ledger.mark(ENABLED) == "yes"

    def run(self) -> None:
        """Until TERM or INT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if self._config.watch.mode == "events":
            self._watcher = Watcher(self._inbox)
        try:
            self._server.start()
            self._discover()
            self._guarded(None)
            while not (due := self._inbox.take(self._next_time())).stop:
                self._serve(due)
        finally:
            self._server.close()
            if self._watcher is not None:
                self._watcher.close()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._inbox.stop()

    # -- what is due --------------------------------------------------------------------------------------------------

    def _next_time(self) -> float:
        times = [self._tick_at, *(one.at for one in self._keeper.glances)]
        times += [one.next_at for one in self._keeper.attempts.values()]
        return max(min(times), self._paused_until)

    def _serve(self, due: Due) -> None:
        now = time.monotonic()
        everything = now >= self._tick_at or bool(due.questions)
        if everything:
            self._read_config()
        if due.discover or everything:
            due.stores |= self._discover()
        if everything:
            self._guarded(None)
        elif due.stores or self._is_retry_due(now):
            self._guarded(due.stores)
        if any(one.at <= now for one in self._keeper.glances):
            self._look_back()
        for question in due.questions:
            if question.set_running_or_notify_cancel():
                question.set_result(self.status())

    def _look_back(self) -> None:
        """What it could not record is owed, and told with the next turn."""
        try:
            self._say(self._keeper.look_back())
        except SyncdError as fault:
            self._tick_at = time.monotonic() + LEDGER_PAUSE
            self._say_once("fault", str(fault), "this turn was not finished: %s")

    def _read_config(self) -> None:
        """Take up a changed configuration; one that became invalid changes nothing, and is said once."""
        try:
            self._config = self._reload(self._keeper)
            self._said.pop("config", None)
        except ConfigFault as fault:
            self._say_once("config", str(fault), "the configuration in force stays: %s")

    def _is_retry_due(self, now: float) -> bool:
        return any(one.next_at <= now for one in self._keeper.attempts.values())

    def _discover(self) -> set[str]:
        """Look for stores; the ids of those that came or went, or that changed before they were watched."""
        shelf = self._keeper.shelf
        changed = shelf.discover()
        if self._watcher is not None:
            for _ in range(ARMS):
                fresh = self._watcher.arm(shelf.roots, shelf.stores)
                if not fresh:
                    break
                changed |= shelf.discover()
                changed |= {
                    name
                    for name, store in shelf.stores.items()
                    if any(path.is_relative_to(folder) for path in store.info.watched for folder in fresh)
                }
            self._say_once("watch", "; ".join(self._watcher.blind), "not watched, read every minute instead: %s")
        return changed

    def _guarded(self, due: set[str] | None) -> None:
        if due is None:
            self._tick_at = time.monotonic() + self._config.watch.interval
        try:
            self._say(self._turn(due))
            self._said.pop("ledger", None)
        except LedgerFault as fault:
            self._paused_until = time.monotonic() + LEDGER_PAUSE
            self._tick_at = self._paused_until
            self._say_once("ledger", str(fault), "nothing is written until the ledger works again: %s")
        except SyncdError as fault:
            self._say_once("fault", str(fault), "this turn was not finished: %s")
        else:
            self._said.pop("fault", None)

    def _turn(self, due: set[str] | None) -> Report:
        """A turn, and further ones while a store changed under it; a store that never rests is left to its events."""
        write = self.active
        report = self._keeper.turn(due, write=write)
        for _ in range(3):
            if not report.again:
                break
            more = self._keeper.turn(report.again, write=write)
            report.events += more.events
            report.written += more.written
            report.failed += more.failed
            report.again = more.again
        self._inbox.put(report.again)
        return report

    # -- what is said -------------------------------------------------------------------------------------------------

    def _say(self, report: Report) -> None:
        mirrored = [one for one in report.events if one.happening is Happening.MIRRORED]
        for event in report.events:
            if event.happening is not Happening.MIRRORED:
                log.info(sentence(event))
        if mirrored:
            to = sorted({short(one.fingerprint or "") for one in mirrored})
            log.info("mirrored %s to %d store%s", ", ".join(to), len(mirrored), "s" * (len(mirrored) != 1))
        for slot, outcome in report.failed:
            level = logging.WARNING if isinstance(outcome, Failed) else logging.DEBUG
            log.log(level, "not written: %s: %s", slot, outcome.reason)

    def _say_once(self, topic: str, what: str, form: str) -> None:
        if what and self._said.get(topic) != what:
            log.warning(form, what)
        self._said[topic] = what

    # -- answers ------------------------------------------------------------------------------------------------------

    @property
    def self_description(self) -> DaemonStatus:
        mode: Mode = "active" if self.active else "observing"
        return DaemonStatus(running=True, pid=os.getpid(), since=self._since, mode=mode)

    def status(self) -> Status:
        return told(self._keeper, self.self_description)

    async def answer(self, op: str, request: Mapping[str, object]) -> Mapping[str, object]:
        """One request on the socket, on the socket's thread."""
        if op == "ping":
            return {"v": PROTOCOL, "action": "pong", "pid": os.getpid(), "since": self._since.isoformat()}
        if op != "status":
            return error("unknown_op", "this syncd knows: ping, status")
        question: Question[Status] = self._inbox.ask(Question(op))
        try:
            status = await asyncio.wait_for(asyncio.wrap_future(question), ANSWER_WITHIN)
        except TimeoutError:
            return error("busy", "a turn is going on", "try again")
        return {"v": PROTOCOL, "action": "status", "status": status.model_dump(by_alias=True, mode="json")}


def told(keeper: Keeper, daemon: DaemonStatus) -> Status:
    """The status, from what a keeper knows."""
    now = keeper.wall()
    known = Known(keeper.lineage, keeper.shelf.stores, keeper.findings(), now, now)
    return status_of(known, daemon, map(str, keeper.shelf.looked), keeper.shelf.notes)


def sentence(event: Event) -> str:
    """One line of the log or the history."""
    where = str(event.slot) if event.slot else "syncd"
    what = short(event.fingerprint) if event.fingerprint else "-"
    other = f" (was {short(event.other)})" if event.other else ""
    detail = f": {event.detail}" if event.detail else ""
    return f"{event.happening.value} {what}{other} at {where}{detail}"
