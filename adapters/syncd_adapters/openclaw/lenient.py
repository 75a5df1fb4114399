"""Pure: JSON as people write it in `openclaw.json`: JSON5, with comments, bare keys and trailing commas.

Hazard: this is somebody's configuration, read only to find folders. It is made into strict JSON token by
token and handed to the standard reader; a number that JSON does not know (0x1f, .5, Infinity) becomes null,
for none is wanted.
"""

from __future__ import annotations

import json
import re

# A configuration is some kilobytes. More is not read: the tokens are walked in Python, at about a second for
# 2 MB.
MAX_TEXT = 1024 * 1024

_TOKEN = re.compile(
    r"""(?P<space>[\s\ufeff]+|//[^\n\r\u2028\u2029]*|/\*.*?\*/)
      | "(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"
      | '(?P<single>[^'\\]*(?:\\.[^'\\]*)*)'
      | (?P<mark>[{}\[\],:])
      | (?P<word>[^\s{}\[\],:"'/]+)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(\r\n|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,300})(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_LINE_ENDS = frozenset({"\n", "\r", "\r\n", "\u2028", "\u2029"})


def parse(text: str) -> object:
    """The value. Raises ValueError for what is no JSON5, or is too long."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"longer than {MAX_TEXT} characters")
    try:
        return json.loads("".join(_strict(text)))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _strict(text: str) -> list[str]:
    out: list[str] = []
    bare, at = None, 0  # `bare`: the word that was put out last, which a colon makes a key
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not JSON5 at character {at}")
        at = found.end()
        kind, value = found.lastgroup, found[found.lastgroup or 0]
        if kind == "space":
            continue
        if kind == "mark":
            _mark(out, value, bare)
        else:
            out.append(_word(value) if kind == "word" else json.dumps(_ESCAPE.sub(_unescaped, value)))
        bare = value if kind == "word" else None
    return out


def _mark(out: list[str], mark: str, bare: str | None) -> None:
    if mark == ":" and bare is not None:
        out[-1] = json.dumps(bare)
    elif mark in "}]" and out and out[-1] == ",":
        out.pop()
    out.append(mark)


def _word(word: str) -> str:
    return word if word in ("true", "false") or _NUMBER.fullmatch(word) else "null"


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code in _LINE_ENDS:
        return ""
    if len(code) > 1:
        return chr(int(code[1:], 16))
    return _PLAIN.get(code, code)
