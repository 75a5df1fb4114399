"""Exit codes, in one table (DESIGN section 8): 0 to 2 tell of the login's health, so faults start at 64 (sysexits)."""

from __future__ import annotations

from syncd import errors

DONE, SICK, SOON = 0, 1, 2
USAGE, DATA, NO_DAEMON, FAULT, CANNOT_CREATE, IO, TRY_AGAIN, PERMISSION, CONFIG, INTERRUPTED = (
    64,
    65,
    69,
    70,
    73,
    74,
    75,
    77,
    78,
    130,
)

# The first that fits counts: leaves of the tree before their parents.
_CODES: tuple[tuple[type[errors.SyncdError], int], ...] = (
    (errors.UsageFault, USAGE),
    (errors.ConfigFault, CONFIG),
    (errors.NotPrivate, PERMISSION),
    (errors.StoreFault, IO),
    (errors.LedgerDamaged, DATA),
    (errors.LedgerFault, IO),
    (errors.AlreadyRunning, TRY_AGAIN),
    (errors.NoDaemon, NO_DAEMON),
)


def code_of(error: errors.SyncdError) -> int:
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAULT)
