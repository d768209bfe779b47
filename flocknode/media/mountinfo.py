# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The table of mounts as Linux shows it in C{/proc/self/mountinfo}.  Pure.

A line, see C{proc_pid_mountinfo(5)}::

    36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    (1)(2)(3)   (4)   (5)      (6)      (7)  (8) (9)   (10)         (11)

(1) id, (2) parent's id, (3) device, (4) root within the file system, (5) mount
point, (6) options, (7) any number of fields, (8) C{-}, (9) type, (10) source,
(11) options of the file system.  White space and backslashes in names are
written as C{\\} and three octal digits.
"""

from __future__ import annotations

import re

import attrs

from flocknode.errors import ProtocolError

LONGEST = 16 << 20
"""Bytes of a table that are read at most: the kernel allows 100 000 mounts."""

_ESCAPE = re.compile(rb"\\([0-3][0-7]{2})")

_DEVICE = re.compile(rb"([0-9]{1,10}):([0-9]{1,10})")


@attrs.frozen
class Mount:
    """
    A mounted file system.

    @ivar id: unique while it is mounted.
    @ivar device: (major, minor) of what C{stat} shows within.
    @ivar root: the path within the file system that is mounted.
    @ivar point: where it is mounted, absolute.
    @ivar read_only: nothing can be written.
    @ivar type: C{ext4}, C{vfat}, C{fuse.sshfs}, ….
    @ivar source: what was mounted, usually a device's path.
    """

    id: int
    parent: int
    device: tuple[int, int]
    root: bytes
    point: bytes
    type: str
    source: bytes
    read_only: bool = False


def unescape(name: bytes) -> bytes:
    r"""C{\040} and the like are the bytes that they stand for."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), name)


def parse(table: bytes) -> tuple[Mount, ...]:
    """
    @param table: the whole table.
    @return: its lines, in their order: what is mounted later comes later.
    @raise ProtocolError: it is no such table.
    """
    return tuple(_line(line) for line in table.split(b"\n") if line)


def _line(line: bytes) -> Mount:
    fields = line.split(b" ")
    try:
        dash = fields.index(b"-", 6)
        id, parent, device, root, point, options = fields[:6]
        type, source, others = fields[dash + 1 : dash + 4]
        numbers = _DEVICE.fullmatch(device)
        if numbers is None:
            raise ValueError
        if not point.startswith(b"/"):
            raise ValueError
        return Mount(
            _number(id),
            _number(parent),
            (int(numbers[1]), int(numbers[2])),
            unescape(root),
            unescape(point),
            unescape(type).decode("ascii"),
            unescape(source),
            b"ro" in options.split(b",") or b"ro" in others.split(b","),
        )
    except ValueError:
        raise ProtocolError(
            f"The table of mounts holds a line that is none: {line[:200]!r}."
        ) from None


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ValueError
    return int(text)
