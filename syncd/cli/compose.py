"""The composition root: from the environment and the configuration to a keeper. The only importer of the adapters."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from syncd.config import Config, Places, load, places
from syncd.errors import ConfigFault, LedgerDamaged
from syncd.ledger import Ledger, intact, set_aside
from syncd.plan import Policy
from syncd.ports import Surroundings
from syncd.serve import forbid_core_dumps
from syncd.shelf import Shelf
from syncd.turn import Keeper
from syncd_adapters import ALL


@dataclass(frozen=True, slots=True)
class Setup:
    """What every command starts from."""

    places: Places
    config: Config

    def shelf(self) -> Shelf:
        """The user's own stores, by the tools' own variables."""
        return Shelf(tuple(adapter() for adapter in ALL), _surroundings(self.config), self.config.role_of)

    def reload(self, keeper: Keeper) -> Config:
        """Read the configuration again and apply it. Raises ConfigFault."""
        config = load(self.places.config)
        keeper.policy = _policy(config)
        keeper.shelf.role_of = config.role_of
        keeper.shelf.surroundings = _surroundings(config)
        return config

    def keeper(self, ledger: Ledger | None) -> Keeper:
        """A keeper that knows what the ledger knows; with None it only looks."""
        keeper = Keeper(self.shelf(), _policy(self.config), ledger)
        if ledger is not None:
            keeper.load(ledger)
        return keeper

    def onlooker(self) -> Keeper:
        """A keeper that has looked at everything once, and writes nothing, not even its ledger."""
        keeper = self.keeper(None)
        if (ledger := Ledger.open(self.places.state)) is not None:
            try:
                keeper.load(ledger)
            finally:
                ledger.close()
        keeper.shelf.discover()
        keeper.turn(write=False)
        return keeper

    def ledger(self) -> tuple[Ledger, Path | None]:
        """The ledger, open for writing; a damaged one is set aside, and where it went is the second value."""
        try:
            ledger = Ledger.create(self.places.state)
        except LedgerDamaged:
            ledger = None
        if ledger is not None:
            if intact(self.places.state):  # a page that is broken further in would only show in the middle of a turn
                return ledger, None
            ledger.close()
        aside = set_aside(self.places.state)
        return Ledger.create(self.places.state), aside


def _surroundings(config: Config) -> Surroundings:
    extra = {"codex": config.codex.homes, "openclaw": config.openclaw.state_dirs}
    return Surroundings(os.environ, Path.home(), extra)


def _policy(config: Config) -> Policy:
    return Policy(config.account.unify, config.role_of)


def setup(ctx: click.Context) -> Setup:
    """From the command line's context. Raises ConfigFault."""
    options: dict[str, Any] = ctx.find_root().obj or {}
    where = places(os.environ, options.get("config"))
    if options.get("config") and not where.config.exists():
        raise ConfigFault(where.config, "there is no such file", hint=f"syncd --config {where.config} config init")
    config = load(where.config)
    _log(os.environ.get("SYNCD_LOG") or config.log.level, options.get("louder", 0))
    forbid_core_dumps()
    return Setup(where, config)


def _log(level: str, louder: int) -> None:
    """Readable lines on stderr."""
    levels = ["error", "warning", "info", "debug"]
    index = levels.index(level) if level in levels else 2
    chosen = levels[max(0, min(len(levels) - 1, index + louder))]
    logging.basicConfig(
        level=chosen.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("watchdog").setLevel(logging.WARNING)
    logging.getLogger("filelock").setLevel(logging.WARNING)
