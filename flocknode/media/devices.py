# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
From the name of a medium to the mount that shows it.

udev keeps links to devices in C{/dev/disk/by-label} and C{by-uuid}.  A mount
is of such a device if it shows its number, or (btrfs shows numbers of its own)
names it as its source.  Only files of C{/dev} and C{/proc} are looked at: that
takes microseconds, and never waits for the medium.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from flocknode.errors import BoxError, ProtocolError
from flocknode.media import mountinfo
from flocknode.media.mountinfo import Mount
from flocknode.media.names import Spot, matches

TABLE = "/proc/self/mountinfo"

DISKS = "/dev/disk"

Table = Callable[[], tuple[Mount, ...]]
"""Reads the table of mounts.  @raise BoxError: there is none."""


def read_table(path: str = TABLE) -> tuple[Mount, ...]:
    """
    The table of mounts, now.

    @raise BoxError: this system has none that can be read.
    """
    try:
        with open(path, "rb") as file:
            return mountinfo.parse(file.read(mountinfo.LONGEST))
    except (OSError, ProtocolError) as error:
        raise BoxError(
            f"It cannot be told which media are mounted ({error}); name a path instead."
        ) from None


def devices(spot: Spot, disks: str = DISKS) -> frozenset[int]:
    """
    @param disks: where udev keeps its links.
    @return: the device numbers (C{st_rdev}) of all devices that are called so.
    """
    folder = os.path.join(os.fsencode(disks), b"by-" + spot.kind.encode("ascii"))
    found = set()
    try:
        names = os.listdir(folder)
    except OSError:
        return frozenset()
    for name in names:
        if matches(spot, name):
            number = _number(os.path.join(folder, name))
            if number is not None:
                found.add(number)
    return frozenset(found)


def mounted(numbers: frozenset[int], table: Iterable[Mount]) -> list[Mount]:
    """
    The mounts that show the top of one of these devices, in the order in which
    they were made, without those that are hidden below a later one.
    """
    found: dict[bytes, Mount] = {}
    for mount in table:
        found.pop(mount.point, None)
        if mount.root == b"/" and (
            os.makedev(*mount.device) in numbers or _source(mount) in numbers
        ):
            found[mount.point] = mount
    return list(found.values())


def mount_of(descriptor: int, proc: str = "/proc/self") -> int | None:
    """
    @return: the id of the mount through which this was opened; L{None} if it
        cannot be told.
    """
    try:
        with open(f"{proc}/fdinfo/{descriptor}", "rb") as file:
            for line in file:
                key, _, value = line.partition(b":")
                if key == b"mnt_id":
                    return int(value)
    except (OSError, ValueError):
        pass
    return None


def type_of(descriptor: int) -> str:
    """
    @return: the type of the file system that this was opened on, as in the
        table of mounts; empty if it cannot be told.
    """
    number = mount_of(descriptor)
    try:
        table = read_table()
    except BoxError:
        return ""
    return next((mount.type for mount in table if mount.id == number), "")


def _source(mount: Mount) -> int | None:
    return _number(mount.source) if mount.source.startswith(b"/dev/") else None


def _number(path: bytes) -> int | None:
    try:
        return os.stat(path).st_rdev or None
    except OSError:
        return None
