# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Z85, the text form of CURVE keys: four bytes as five printable characters, the
first one the most significant (ZeroMQ RFC 32).  Written here because the
codec that comes with ZeroMQ may only be imported in the wire process, and
because it answers bad text with four kinds of error.
"""

from __future__ import annotations

import struct

from flocknode.errors import KeyFileError

ALPHABET = (
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
)
"""The 85 characters in ascending order of value, from RFC 32."""

_VALUES = {character: value for value, character in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """
    @param data: any number of bytes that four divides.
    @raise ValueError: if four does not divide it.
    """
    if len(data) % 4:
        raise ValueError("Z85 needs a multiple of four bytes")
    text = []
    for (word,) in struct.iter_unpack(">I", data):
        for power in (85**4, 85**3, 85**2, 85, 1):
            text.append(ALPHABET[word // power % 85])
    return "".join(text)


def decode(text: str) -> bytes:
    """
    @raise KeyFileError: if the text is not Z85: its length, a character, or
        five characters that stand for more than four bytes can hold.
    """
    if len(text) % 5:
        raise KeyFileError("Z85 text has a multiple of five characters")
    data = bytearray()
    for start in range(0, len(text), 5):
        word = 0
        for character in text[start : start + 5]:
            if character not in _VALUES:
                raise KeyFileError("a character is none of the 85 of Z85")
            word = word * 85 + _VALUES[character]
        if word > 0xFFFFFFFF:
            raise KeyFileError("five characters stand for more than four bytes hold")
        data += struct.pack(">I", word)
    return bytes(data)
