"""Exit codes, in one table: 0 to 2 tell of the login's health, so faults start at 64 (sysexits)."""

from __future__ import annotations

from syncd import errors

DONE = 0
SICK = 1  # a sign-in is needed, or something is wrong
SOON = 2  # expiring, or a store is behind
USAGE = 64
DATA = 65
FAULT = 70  # syncd's own
IO = 74
TRY_AGAIN = 75
PERMISSION = 77
CONFIG = 78
INTERRUPTED = 130

# The first that fits counts: leaves of the tree before their parents.
_CODES: tuple[tuple[type[errors.SyncdError], int], ...] = (
    (errors.UsageFault, USAGE),
    (errors.ConfigFault, CONFIG),
    (errors.NotPrivate, PERMISSION),
    (errors.StoreFault, IO),
    (errors.LedgerDamaged, DATA),
    (errors.LedgerFault, IO),
    (errors.AlreadyRunning, TRY_AGAIN),
)


def code_of(error: errors.SyncdError) -> int:
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAULT)
