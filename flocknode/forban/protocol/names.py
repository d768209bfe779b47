# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How a path is written into a URL of Forban: C{/s/?g=<name>&f=b64e}.

The original writes URL-safe Base64 with C{!} for C{=} (L{encode}); goforban's
server knows only the standard alphabet.  What both servers understand is the
standard alphabet with C{!}, its C{+} percent-encoded, since a bare one means a
blank (L{encode_for_any}).  Whoever asks may write anything: L{decode}.  Pure.
"""

from __future__ import annotations

import base64
import binascii

from flocknode.errors import ProtocolError

_ALPHABET = bytes.maketrans(b"-_ ", b"+/+")


def encode(path: bytes) -> str:
    """As the original writes it: only characters that a URL takes as they are."""
    return base64.urlsafe_b64encode(path).decode("ascii").replace("=", "!")


def encode_for_any(path: bytes) -> str:
    """
    As both servers understand it, to be put into a URL as it is: C{+} is
    already percent-encoded.
    """
    text = base64.b64encode(path).decode("ascii")
    return text.replace("=", "!").replace("+", "%2B")


def is_given_by_all(path: bytes) -> bool:
    """
    The original takes each C{..} out of a name before it looks for the file: it
    lists those that have one, and never finds them.
    """
    return b".." not in path


def decode(name: bytes) -> bytes:
    """
    @param name: what stood in the URL, without its percent signs.
    @return: the path that is meant.  It may be any bytes: nothing has been
        checked.
    @raise ProtocolError: it is no Base64 of either kind.
    """
    digits = name.translate(_ALPHABET, b"!=")
    try:
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("A name that is no Base64.") from None
