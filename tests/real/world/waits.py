"""Waits that end: for what the stores hold, and for whatever else becomes true.

`expect` polls the content of the stores themselves, because that is what the next client will read; nothing
that syncd says about them counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from tests.real.world.stores import Store
from tests.real.world.tokens import Credential, generation_of

POLL_S = 0.05


def expect(stores: Iterable[Store], credential: Credential, timeout_s: float) -> None:
    """Waits until all of the stores hold this credential; AssertionError says what they hold instead."""
    stores = list(stores)
    deadline = time.monotonic() + timeout_s
    while behind := [one for one in stores if not holds(one, credential)]:
        if time.monotonic() > deadline:
            wanted = generation_of(credential.refresh)
            raise AssertionError(f"after {timeout_s} s not {wanted}: {'; '.join(map(describe, behind))}")
        time.sleep(POLL_S)


def until(what: str, true: Callable[[], bool], timeout_s: float) -> None:
    """Waits for something that is not the content of a store."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(POLL_S)


def holds(store: Store, credential: Credential) -> bool:
    found = store.held()
    return found is not None and (found.access, found.refresh) == (credential.access, credential.refresh)


def describe(store: Store) -> str:
    found = store.held()
    return f"{store.name} holds {generation_of(found.refresh) if found else 'nothing'}"
