"""Bytes made durable: bounded reads of regular files, strict JSON, and replacements that lose nothing.

Hazard: these files belong to programs that write them at any moment, some in place and without a lock. So a
read is settled, a descriptor of the old file outlives its replacement, and whatever a write turned out to
displace is given back to the caller.

    reading    read, read_settled, Kept, Moved
    documents  parse, render
    swapping   swap, sweep, Blocked (inplace is its last resort)
    privacy    private_folder, private_file, abbreviate
"""

from __future__ import annotations

from syncd.files.documents import parse, render
from syncd.files.privacy import abbreviate, private_file, private_folder
from syncd.files.reading import MAX_BYTES, Kept, Moved, read, read_settled
from syncd.files.swapping import Blocked, swap, sweep

__all__ = [
    "MAX_BYTES",
    "read",
    "read_settled",
    "Kept",
    "parse",
    "render",
    "Blocked",
    "Moved",
    "swap",
    "sweep",
    "private_folder",
    "private_file",
    "abbreviate",
]
