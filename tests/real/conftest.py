"""What every test against the real programs starts from: they are installed, and a machine is empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.install import PACKAGES
from tests.real.world.sandbox import Sandbox, sandbox

HERE = Path(__file__).parent
# The slowest test takes a minute on two idle cores; a template may have to be made in it.
LIMIT_S = 420


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A hard limit for each, above the bounds of what it runs."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(scope="session", autouse=True)
def installed() -> None:
    """Nothing is skipped: without the real programs these tests say so and fail."""
    missing = [f"{one.name} {one.version}" for one in PACKAGES if not one.complete]
    if missing:
        wanted = ", ".join(missing)
        pytest.exit(f"not installed: {wanted}; run: python tests/real/install.py", returncode=1)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    """An empty machine with an authority and a proxy of its own; every process of theirs ends with it."""
    (tmp_path / "m").mkdir()
    with sandbox(tmp_path / "m") as machine:
        yield machine
