"""What was measured, line by line; the demo succeeded if every line holds.

Told from three witnesses that syncd cannot talk to: the bytes of the stores, the authority's log, and the exit code.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from syncd.demo.authority import Entry
from syncd.demo.lookout import HOST, Measured
from syncd.demo.sandbox import Kept
from syncd.demo.scene import Scene, Standing
from syncd.demo.story import ACTS


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the summary. `detail`: numbers where it holds, what is wrong where it does not."""

    holds: bool
    text: str
    detail: str = ""


def checks(scene: Scene, measured: Measured, exit_code: int) -> list[Check]:
    """The summary; `scene` was looked at after syncd ended with `exit_code`."""
    told = [
        _current(scene),
        _rotations(scene, measured),
        _heals(measured),
        _stranger(measured),
        _kept("other logins, unknown keys", [*scene.sandbox.foreign, *scene.sandbox.rest]),
        _kept("API keys, a Copilot login", scene.sandbox.keys),
        _requests(scene),
        _turns(scene),
        _ended(scene, exit_code),
    ]
    if measured.acts == len(ACTS):
        return told
    return [Check(False, "the story was played to its end", measured.trouble or "it was not"), *told]


def _current(scene: Scene) -> Check:
    good = sum(row.standing is Standing.CURRENT for row in scene.rows)
    late = ", ".join(row.name for row in scene.rows if row.standing is not Standing.CURRENT)
    total = len(scene.sandbox.stores)
    return Check(good == total, "every store current", f"not: {late}" if late else f"{good} of {total} stores")


def _rotations(scene: Scene, measured: Measured) -> Check:
    laps, rotations = measured.laps, len(scene.requests) - len(_codes(scene.requests))
    holds = 0 < rotations == len(laps)
    if not holds:
        return Check(False, "each rotation reached every store", f"{len(laps)} of {rotations} did")
    detail = f"{rotations} rotations, median {_ms(median(laps))}, worst {_ms(max(laps))}"
    return Check(True, "each rotation reached every store", detail)


def _heals(measured: Measured) -> Check:
    took = ", ".join(_ms(one) for one in measured.heals)
    return Check(len(measured.heals) == 2, "old copies put back are healed", f"after {took}" if took else "none was")


def _stranger(measured: Measured) -> Check:
    if measured.kept is None:
        return Check(False, "the stranger's token spread nowhere", "it never came")
    wrong = [f"seen in {name}" for name in sorted(measured.strayed)]
    wrong += [] if measured.kept else [f"{HOST}'s store was changed"]
    return Check(not wrong, "the stranger's token spread nowhere", ", ".join(wrong) or "and stayed as it was")


def _kept(text: str, promised: list[Kept]) -> Check:
    broken = [one.label for one in promised if not one.untouched()]
    return Check(not broken, f"{text} untouched", f"changed: {', '.join(broken)}" if broken else "byte for byte")


def _codes(log: list[Entry]) -> list[str]:
    """The refusals in it."""
    return [one.code for one in log if one.code]


def _requests(scene: Scene) -> Check:
    asked, codes = len(scene.requests), _codes(scene.requests)
    detail = f"{asked} token requests, {codes.count('refresh_token_reused')} reused, {len(codes)} refused"
    return Check(asked > 0 and not codes, "each token was spent once", detail)


def _turns(scene: Scene) -> Check:
    taken, codes = len(scene.turns), _codes(scene.turns)
    return Check(taken > 0 and not codes, "no program was refused", f"{taken} turns, {len(codes)} refused")


def _ended(scene: Scene, exit_code: int) -> Check:
    litter = scene.sandbox.litter()
    wrong = ([f"exit code {exit_code}"] if exit_code else []) + litter
    return Check(not wrong, "syncd ended and left nothing behind", ", ".join(wrong) or "exit code 0")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
