# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How names, numbers and times look on a page.  Pure.

Markup is escaped where pages are put together, not here.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from flocknode.box.paths import split
from flocknode.forban.near.neighbours import Neighbour
from flocknode.forban.protocol import names

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")

_JOINT = "\N{NO-BREAK SPACE}"
# A number and its unit stay together.

_JOINERS = "\u200c\u200d"
# Of scripts and of emoji, which fall apart without them.


def text_of(name: bytes | str) -> str:
    """
    A name from anywhere, to be read: what is no text, what cannot be seen, and
    what turns the direction of other text, is shown as a replacement character.
    """
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_harmless(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def name_in(path: bytes) -> str:
    """The last component of a path, to be read."""
    return text_of(split(path)[1])


def folder_of(path: bytes) -> str:
    """The folder of a path, to be read; empty: the top."""
    return text_of(split(path)[0])


def _is_harmless(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or character in _JOINERS


def size_of(size: int) -> str:
    """Bytes, in units of a thousand."""
    if size < 1000:
        return count_of(size, "byte", "bytes")
    value = float(size)
    power = 0
    # What would be rounded up to 1000 is one of the next unit.
    while value >= 999.5 and power < len(_UNITS) - 1:
        value /= 1000
        power += 1
    digits = 1 if value < 99.95 else 0
    return f"{value:.{digits}f}{_JOINT}{_UNITS[power]}"


def count_of(number: int, one: str, many: str) -> str:
    """So many of them; C{one} and C{many} are what they are called."""
    digits = f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{digits}{_JOINT}{one if number == 1 else many}"


def ago(seconds: float) -> str:
    """How long that is, roughly."""
    if seconds < 15:
        return "just now"
    if seconds < 90:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago"


def own_link(path: bytes) -> str:
    """Where this node hands out that file."""
    return f"/s/?g={names.encode_for_any(path)}&f=b64e"


def base_of(neighbour: Neighbour) -> str | None:
    """
    Where a browser finds that node's site.

    @return: a URL without a C{/} at its end; L{None}: nowhere, since browsers
        do not take addresses with a scope.
    """
    for address, _ in neighbour.addresses:
        if "%" not in address.host:
            return f"http://{address}"
    return None


def folder_link(uuid: str, folder: bytes = b"") -> str:
    """Where the page of a folder is."""
    return f"/l/{uuid}" + (f"?p={quote(folder, safe='/')}" if folder else "")
