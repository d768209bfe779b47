# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Which paths may lie in a box.  Pure.

A path is bytes: components joined by C{/}, below the box's top.
"""

from __future__ import annotations

import unicodedata

from flocknode.box.values import Path
from flocknode.errors import PathError

PRIVATE = b".flocknode"
"""The directory at a box's top that is ours; no path of the box lies in it."""

LONGEST_NAME = 255
"""Bytes of a component: C{NAME_MAX} of Linux."""

LONGEST_PATH = 4095
"""Bytes of a path below the box: C{PATH_MAX} without its NUL."""


def check_path(path: bytes) -> Path:
    """
    Rule for every path from outside.

    @return: the same bytes.
    @raise PathError: if it is not a list of one or more components joined by
        C{/}, none empty, C{.} or C{..}, none over 255 bytes nor with a NUL,
        the first not C{.flocknode} in whatever case; or if it is over 4095
        bytes.
    """
    if not 0 < len(path) <= LONGEST_PATH:
        raise PathError(f"A path of {len(path)} bytes.")
    if b"\0" in path:
        raise PathError("A path with a NUL.")
    components = path.split(b"/")
    for component in components:
        if component in (b"", b".", b".."):
            raise PathError("A path that is not below the box.")
        if len(component) > LONGEST_NAME:
            raise PathError(f"A name of {len(component)} bytes in a path.")
    if is_reserved(components[0]):
        raise PathError("A path in the box's private directory.")
    return Path(path)


def is_reserved(name: bytes) -> bool:
    """
    Would this name at a box's top be C{.flocknode}, on any file system?
    Compared as NFC, case-folded, without code points that some file systems
    ignore.
    """
    if name == PRIVATE:
        return True
    if name.isascii():
        return name.lower() == PRIVATE
    text = "".join(
        character
        for character in name.decode("utf-8", "surrogateescape")
        if not _is_ignorable(character)
    )
    for _ in range(2):
        text = unicodedata.normalize("NFC", text).casefold()
    return text == PRIVATE.decode("ascii")


def _is_ignorable(character: str) -> bool:
    # Default_Ignorable_Code_Point, roughly: what ext4's casefold and HFS+
    # skip when they compare names.
    return (
        unicodedata.category(character) == "Cf"
        or character in "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
        or "\u180b" <= character <= "\u180f"
        or "\ufe00" <= character <= "\ufe0f"
        or "\U000e0000" <= character <= "\U000e0fff"
    )


def split(path: bytes) -> tuple[bytes, bytes]:
    """(the path of the directory, the last component)."""
    parent, _, name = path.rpartition(b"/")
    return parent, name
