# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Padmé: lengths rounded up so that at most 12 % is added and only O(log log L)
bits of a length show (Nikitin et al., PETS 2019).

With E = floor(log2 L), S = floor(log2 E) + 1 and z = max(0, E - S), a length L
becomes the next multiple of 2**z.  Nothing is shown below 64 KiB.  In messages
a padded length is its index in ascending order (u16): 0 for nothing, 1 for
64 KiB, and so on.
"""

from __future__ import annotations

from typing import Final

FLOOR: Final = 65_536
"""Bytes; the least that is shown of anything that is not nothing."""

_FIRST: Final = FLOOR.bit_length() - 1
_LAST: Final = 62
"""Exponents of the first and the last octave that have codes."""


def _step(exponent: int) -> int:
    """z of the octave that starts at C{2**exponent}."""
    return max(0, exponent - exponent.bit_length())


def _offsets() -> tuple[int, ...]:
    offsets = [1]
    for exponent in range(_FIRST, _LAST + 1):
        offsets.append(offsets[-1] + (1 << (exponent - _step(exponent))))
    return tuple(offsets)


_OFFSETS: Final = _offsets()
"""Code of the first length of each octave, from C{_FIRST} on; then the end."""

MOST: Final = 1 << (_LAST + 1)
"""Bytes; the greatest length that has a code.  More is shown as this."""

LAST_CODE: Final = _OFFSETS[-1]


def pad(length: int) -> int:
    """
    Round C{length} bytes up; nothing stays nothing.

    @return: 0, or at least L{FLOOR} and at most L{MOST}.
    """
    if length <= 0:
        return 0
    if length <= FLOOR:
        return FLOOR
    unit = 1 << _step(length.bit_length() - 1)
    return min(-(-length // unit) * unit, MOST)


def encode(length: int) -> int:
    """The code of C{length} bytes, padded."""
    padded = pad(length)
    if not padded:
        return 0
    exponent = padded.bit_length() - 1
    if exponent > _LAST:
        return LAST_CODE
    return _OFFSETS[exponent - _FIRST] + ((padded - (1 << exponent)) >> _step(exponent))


def decode(code: int) -> int:
    """
    Padded bytes of a code.  Every u16 has a meaning: what lies above the last
    code is the most that can be shown.
    """
    if code <= 0:
        return 0
    if code >= LAST_CODE:
        return MOST
    octave = next(i for i, first in enumerate(_OFFSETS) if code < first) - 1
    exponent = _FIRST + octave
    return (1 << exponent) + ((code - _OFFSETS[octave]) << _step(exponent))
