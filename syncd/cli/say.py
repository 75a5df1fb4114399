"""All printing. Rules of the terminal, then a few functions.

- stdout is the result, stderr the talk: progress, questions, warnings, errors.
- An error is one sentence, lower case, no full stop: `syncd: error: ...`; then `syncd: hint: <the next command>`.
- Colour only on a terminal, and never with NO_COLOR; a meaning is never in the colour alone.
- What comes from a store (a path, a profile id) may hold control characters: shown escaped, never sent raw.
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from syncd.errors import SyncdError


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """As for every other result: rich's own way out is exit code 1, which here means that the login is sick."""
        raise BrokenPipeError


def out() -> Console:
    """Where results go."""
    return _Console(highlight=False, soft_wrap=True)


def result(text: str) -> None:
    """A line, or a whole document, of the result."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def talk(text: str) -> None:
    """A line for the person who watches."""
    sys.stderr.write(plain(text) + "\n")


def warn(text: str) -> None:
    talk(f"syncd: warning: {text}")


def fail(error: SyncdError | str, hint: str | None = None) -> None:
    """What went wrong, and the next command."""
    talk(f"syncd: error: {error}")
    if next_command := hint or (error.hint if isinstance(error, SyncdError) else None):
        talk(f"syncd: hint: {next_command}")


def plain(text: str) -> str:
    """Without control characters, so that no profile id can drive a terminal; newlines stay."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def cell(text: str | None, style: str = "") -> Text:
    """A cell of a table: taken as it is, no markup."""
    return Text(plain(text or ""), style=style)
