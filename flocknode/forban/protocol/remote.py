# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a neighbour has, as its index said: values.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from flocknode.box.values import Path


@attrs.frozen
class RemoteFile:
    """
    A file of a neighbour's index.

    @ivar path: a safe path below a box.
    @ivar size: bytes.
    @ivar content: its hash, 32 bytes, see L{flocknode.box.content}; L{None}: only
        another flocknode tells.
    @ivar mtime_ns: nanoseconds since the epoch; L{None} likewise.
    """

    path: Path
    size: int
    content: bytes | None = None
    mtime_ns: int | None = None


@attrs.frozen
class Tls:
    """
    Where a site is served by TLS, and with what.

    @ivar port: TCP, at the same address as the plain one.
    @ivar fingerprint: SHA-256 of the certificate (DER), 32 bytes.
    """

    port: int
    fingerprint: bytes


@attrs.frozen
class RemoteIndex:
    """
    @ivar uuid: whose it is.
    @ivar files: by path.
    @ivar hmac: of the text of the index, with the common or configured key.
    @ivar tampered: a key is configured, and the index was not hashed with it:
        nothing is fetched by it.
    @ivar cut: there was more than a node looks at (lines or bytes).
    @ivar cost: bytes of memory that it takes, about.
    @ivar tls: how its files are to be fetched; L{None}: by plain HTTP.
    """

    uuid: str
    files: Mapping[Path, RemoteFile]
    hmac: str = ""
    tampered: bool = False
    cut: bool = False
    cost: int = 0
    tls: Tls | None = None
