# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tables of mounts for tests, as values and as the kernel writes them.
"""

from __future__ import annotations

import os
import re

import attrs

from flocknode.media.mountinfo import Mount


def escape(name: bytes) -> bytes:
    """As the kernel does (C{mangle_path})."""
    return re.sub(rb"[ \t\n\\#]", lambda match: b"\\%03o" % match[0][0], name)


def written(mount: Mount, optional: tuple[bytes, ...] = ()) -> bytes:
    """The line of a mount."""
    return b" ".join(
        [
            b"%d %d %d:%d" % (mount.id, mount.parent, *mount.device),
            escape(mount.root),
            escape(mount.point),
            b"ro,noatime" if mount.read_only else b"rw,noatime",
            *optional,
            b"-",
            mount.type.encode("ascii"),
            escape(mount.source),
            b"rw,errors=remount-ro",
        ]
    )


def mount(
    point: str | bytes, device: int = 0, *, id: int = 100, type: str = "vfat", source: bytes = b"x"
) -> Mount:
    """One of a device by its number."""
    numbers = os.major(device), os.minor(device)
    return Mount(id, 1, numbers, b"/", os.fsencode(point), type, source)


@attrs.define
class Tables:
    """
    What is mounted and which devices there are, to be changed at will.

    @ivar mounts: the table.
    @ivar devices: what any name stands for.
    """

    mounts: tuple[Mount, ...] = ()
    devices: frozenset[int] = frozenset()

    def table(self) -> tuple[Mount, ...]:
        """See L{flocknode.media.devices.Table}."""
        return self.mounts

    def numbers(self, spot: object) -> frozenset[int]:
        """See L{flocknode.media.devices.devices}."""
        return self.devices
