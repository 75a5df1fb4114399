"""Strict JSON: what every tool would read alike, or a fault with one clear sentence.

Hazard: a document that Python reads and the tool does not (NaN, a key twice, a byte order mark) would be
written back changed. So such a document is refused, and nothing of it is believed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from syncd.errors import StoreFault

# Stores nest 6 deep; the bound keeps a hostile one from exhausting the stack of whoever walks the document.
MAX_DEPTH = 64

_BOM = b"\xef\xbb\xbf"


class _RefusedError(ValueError):
    """JSON, and yet not what is written here; the text is the sentence."""


def parse(path: Path, data: bytes) -> dict[str, object]:
    """The object in `data`; `path` is for the fault. Lone surrogates are kept, as Node keeps them."""
    if not data.strip():
        raise StoreFault(path, "empty")
    if data.startswith(_BOM):
        raise StoreFault(path, "begins with a byte order mark", "save it as UTF-8 without a byte order mark")
    try:
        document = _load(data)
    except UnicodeDecodeError as fault:
        raise _not_json(path, f"not UTF-8 at byte {fault.start + 1}") from None
    except json.JSONDecodeError as fault:
        # Only place and kind: the text around it may hold a token.
        raise _not_json(path, f"not JSON: {fault.msg} at line {fault.lineno} column {fault.colno}") from None
    except RecursionError:
        raise _too_deep(path) from None
    except _RefusedError as fault:
        raise _not_json(path, str(fault)) from None
    except ValueError:  # the interpreter's own bound on the digits of an integer
        raise _not_json(path, "a number with too many digits") from None
    if not isinstance(document, dict):
        raise _not_json(path, "not a JSON object")
    if not _shallow(data, document):
        raise _too_deep(path)
    return document


def render(document: object, indent: int | None = 2) -> bytes:
    """UTF-8 without a final newline; escaped where it holds what UTF-8 cannot (a lone surrogate)."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent, separators=separators, allow_nan=False).encode()


def _load(data: bytes) -> object:
    return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        # Which one counts differs from parser to parser. The name is not shown: it is the stranger's data.
        raise _RefusedError("the same key twice in one object")
    return table


def _no_constant(name: str) -> NoReturn:
    raise _RefusedError(f"{name}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RefusedError("a number too large")
    return number


def _shallow(data: bytes, document: object) -> bool:
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return True  # the common case, without a walk
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _not_json(path: Path, sentence: str) -> StoreFault:
    return StoreFault(path, sentence, "mend the file, or sign in again with its own tool")


def _too_deep(path: Path) -> StoreFault:
    return _not_json(path, f"nested more than {MAX_DEPTH} deep")
