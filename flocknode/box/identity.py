# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""What a box is known by."""

from __future__ import annotations

from blake3 import blake3

ID_CONTEXT = "flocknode 2026 box id"
"""BLAKE3 derive-key context of a box's id."""


def box_id(name: str) -> bytes:
    """16 bytes: the same wherever a box has this name."""
    digest: bytes = blake3(
        name.encode("utf-8", "surrogateescape"), derive_key_context=ID_CONTEXT
    ).digest(length=16)
    return digest
