# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Which names a file system can hold, and which it cannot tell apart.  Pure.
"""

from __future__ import annotations

import re
import unicodedata

import attrs

DOUBTFUL = b'\x01"*:<>?\\|'
"""What Windows and FAT refuse in a name; C{\\x01} stands for all below 32."""

DEVICES = re.compile(rb"(con|prn|aux|nul|com[0-9]|lpt[0-9])[ ]*(\..*)?", re.IGNORECASE | re.DOTALL)
"""Names that stand for devices on Windows, whatever follows a dot
(U{https://learn.microsoft.com/windows/win32/fileio/naming-a-file})."""

_CONTROL = re.compile(rb"[\x00-\x1f]")


@attrs.frozen
class Naming:
    """
    What a file system makes of names.

    @ivar case_sensitive: C{a} and C{A} are two names.
    @ivar normalizing: composed and decomposed accents are one name.
    @ivar text_only: it refuses what is not UTF-8.
    @ivar refused: those of L{DOUBTFUL} that no name may hold.
    @ivar any_end: a name may end in a dot or a space.
    @ivar devices: L{DEVICES} are ordinary names.
    @ivar longest: bytes of a name, at most.
    """

    case_sensitive: bool = True
    normalizing: bool = False
    text_only: bool = False
    refused: bytes = b""
    any_end: bool = True
    devices: bool = True
    longest: int = 255

    @property
    def plain(self) -> bool:
        """Any name can be held, and each is another one."""
        return self == PLAIN

    @property
    def exact(self) -> bool:
        """Names that differ in any byte are two."""
        return self.case_sensitive and not self.normalizing

    def key(self, name: bytes) -> str:
        """Equal for names that this file system cannot tell apart."""
        text = name.decode("utf-8", "surrogateescape")
        if self.normalizing:
            text = unicodedata.normalize("NFD", text)
        if not self.case_sensitive:
            # Who normalises folds as Unicode says; others, one character by
            # another: to them "ß" is not "ss".
            text = text.casefold() if self.normalizing else "".join(map(_upper, text))
        return unicodedata.normalize("NFC", text) if self.normalizing else text

    def why_not(self, path: bytes) -> str:
        """
        @return: why this path cannot be held, as one sentence; empty if it can.
        """
        for name in path.split(b"/"):
            reason = self._why_not(name)
            if reason:
                return f"{reason}: rename it on another node."
        return ""

    def _why_not(self, name: bytes) -> str:
        if len(name) > self.longest:
            return "The name is too long for this disk"
        for character in self.refused:
            if character == 1:
                if _CONTROL.search(name):
                    return "This disk cannot hold a name with a control character"
            elif character in name:
                return f"This disk cannot hold a name with {chr(character)} in it"
        if not self.any_end and name[-1:] in (b".", b" "):
            return "This disk cannot hold a name that ends in a dot or a space"
        if not self.devices and DEVICES.fullmatch(name):
            return "This disk takes the name for a device"
        if self.text_only and not _is_text(name):
            return "This disk cannot hold a name that is not UTF-8"
        return ""


PLAIN = Naming()
"""Those of Linux."""


def _upper(character: str) -> str:
    upper = character.upper()
    return upper if len(upper) == 1 else character


def _is_text(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
