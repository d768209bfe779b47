# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How a medium and a folder on it are written in a configuration.  Pure.

C{label:FIELDKIT/papers} is the folder C{papers} on the medium that is called
C{FIELDKIT}; C{uuid:1234-ABCD} the whole medium with that id, as C{lsblk -f}
shows both.  The name ends at the first slash.  What cannot be written plainly
is written as udev does in C{/dev/disk/by-label}: C{\\x20} for a space.
"""

from __future__ import annotations

import os
import re

import attrs

KINDS = ("label", "uuid")

_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")

_LONGEST = 255
"""Bytes of a name: as long as a name in C{/dev/disk/by-label} can be."""


@attrs.frozen
class Spot:
    """
    A folder on a medium.

    @ivar kind: C{label} or C{uuid}.
    @ivar name: the label or id, without escapes.
    @ivar path: components below the medium's top; none: the whole medium.
    """

    kind: str
    name: bytes
    path: tuple[bytes, ...] = ()

    def __str__(self) -> str:
        escaped = re.sub(rb"[/\\]", lambda match: b"\\x%02x" % match[0][0], self.name)
        return f"{self.kind}:{os.fsdecode(b'/'.join([escaped, *self.path]))}"


def unescape(name: bytes) -> bytes:
    r"""udev's C{\x20} and the like are the bytes that they stand for."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), name)


def is_spot(text: str) -> bool:
    """Is this meant as a folder on a medium, and not as a path?"""
    return text.partition(":")[0] in KINDS and ":" in text


def parse(text: str) -> Spot:
    """
    @raise ValueError: one clause on what was expected.
    """
    kind, colon, rest = text.partition(":")
    if kind not in KINDS or not colon:
        raise ValueError("expected label:<LABEL>/<path> or uuid:<UUID>/<path>")
    escaped, _, path = os.fsencode(rest).partition(b"/")
    name = unescape(escaped)
    if not name or len(name) > _LONGEST or min(name) < 32:
        raise ValueError(f"expected the {kind} of a medium behind {kind}:")
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if any(part == b".." or len(part) > 255 or min(part) < 32 for part in parts):
        raise ValueError("expected a path on the medium, without ..")
    return Spot(kind, name, parts)


def matches(spot: Spot, found: bytes) -> bool:
    """
    Is this name, as found in C{/dev/disk}, the medium's?  Ids are written in
    capitals or not.
    """
    plain = unescape(found)
    if spot.kind == "uuid":
        return plain.lower() == spot.name.lower()
    return plain == spot.name
