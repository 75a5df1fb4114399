"""The tools that syncd knows: `ALL` is the list. No entry points: installing a package must not load its code here."""

from __future__ import annotations

from collections.abc import Callable

from syncd.ports import Adapter
from syncd_adapters.codex import CodexAdapter
from syncd_adapters.openclaw import OpenClaw

ALL: tuple[Callable[[], Adapter], ...] = (CodexAdapter, OpenClaw)

__all__ = ["ALL"]
