"""A check that cannot run on this machine says so, and must be known as such: in docs/not-tested.md, by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "not-tested.md"


def names(page: Path = PAGE) -> frozenset[str]:
    """What the page lists: the words in backquotes at the start of its list items."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return frozenset(line[3:].partition("`")[0] for line in lines if line.startswith("- `"))


def not_run(name: str, why: str) -> None:
    """Print `NOT RUN`, and skip; fail where the page does not list `name`."""
    print(f"NOT RUN: {name}: {why}")  # noqa: T201  a check that does not run prints this
    if name not in names():
        pytest.fail(f"NOT RUN: {name}: {why}; and docs/not-tested.md does not list `{name}`")
    pytest.skip(f"NOT RUN: {name}: {why}")
