"""What every test stands in: a sandbox where it asks for one, and a grep of all that was printed for planted tokens."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.planted import Detector
from tests.sandbox import Sandbox

_DETECTOR = Detector()


def pytest_configure() -> None:
    """All that syncd logs is captured, and so grepped, whatever the level in force."""
    logging.getLogger("syncd").setLevel(logging.DEBUG)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that printed or logged a token has failed, whatever else it found (docs/rules.md, 11)."""
    report = yield
    leaks = [str(leak) for name, text in report.sections for leak in _DETECTOR.leaks(name, text)]
    if leaks and report.passed:
        report.outcome = "failed"
        report.longrepr = "\n".join(leaks)
    return report


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A home of one's own; at the end nothing that syncd said or wrote there may hold a token."""
    box = Sandbox(tmp_path)
    yield box
    assert box.leaks() == []
