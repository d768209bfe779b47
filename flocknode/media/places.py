# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Where a folder is: at a path that never changes, or on a medium that is mounted
here or there or not at all.  To be called in a thread, since a medium may take
its time.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from typing import Protocol

import attrs

from flocknode.errors import BoxError
from flocknode.media.devices import Table, devices, mount_of, mounted, read_table
from flocknode.media.names import Spot, is_spot, parse

_PASSING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen
class Found:
    """
    @ivar path: absolute.
    @ivar mount: the id of the mount that it must lie on; L{None}: of any.
    """

    path: str
    mount: int | None = None

    def holds(self, descriptor: int) -> bool:
        """Was this opened on that mount?"""
        return self.mount is None or mount_of(descriptor) == self.mount


class Place(Protocol):
    """
    @ivar removable: it comes and goes with a medium; what is kept about the
        folder is kept on the medium.
    """

    @property
    def removable(self) -> bool: ...

    def __str__(self) -> str:
        """As it is configured."""

    def find(self) -> Found:
        """
        Where it is now.

        @raise BoxError: nowhere; one sentence says why.
        """

    def make(self, found: Found) -> None:
        """
        Make the folder there, with those above it, if it is missing.

        @raise BoxError: it cannot be made.
        """


@attrs.frozen
class Fixed:
    """A path."""

    path: str
    removable: bool = attrs.field(default=False, init=False)

    def __str__(self) -> str:
        return self.path

    def find(self) -> Found:
        """The path."""
        return Found(self.path)

    def make(self, found: Found) -> None:
        """See L{Place.make}."""
        try:
            os.makedirs(found.path, exist_ok=True)
        except OSError as error:
            raise _cannot_make(found.path, error) from error


@attrs.frozen
class OnMedium:
    """
    A folder on a medium.  If several media have the name, that which was
    mounted first.

    @ivar table: reads the mounts.
    @ivar numbers: resolves the medium's name to device numbers.
    """

    spot: Spot
    table: Table = read_table
    numbers: Callable[[Spot], frozenset[int]] = devices
    removable: bool = attrs.field(default=True, init=False)

    def __str__(self) -> str:
        return str(self.spot)

    def find(self) -> Found:
        """See L{Place.find}."""
        name = f"{self.spot.kind} {os.fsdecode(self.spot.name)}"
        numbers = self.numbers(self.spot)
        if not numbers:
            raise BoxError(f"The medium with the {name} is not here; plug it in.")
        mounts = mounted(numbers, self.table())
        if not mounts:
            raise BoxError(f"The medium with the {name} is not mounted; mount it.")
        first = mounts[0]
        if first.read_only:
            raise BoxError(
                f"The medium with the {name} is mounted read-only; mount it so that it can"
                " be written to."
            )
        return Found(os.fsdecode(os.path.join(first.point, *self.spot.path)), first.id)

    def make(self, found: Found) -> None:
        """
        See L{Place.make}.  Nothing is made anywhere but on the medium, also
        if that is unmounted in this moment.
        """
        point = os.fsencode(found.path)
        for _ in self.spot.path:
            point = os.path.dirname(point)
        try:
            directory = os.open(point, _PASSING)
            try:
                if not found.holds(directory):
                    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
                for name in self.spot.path:
                    below = _made(directory, name)
                    os.close(directory)
                    directory = below
            finally:
                os.close(directory)
        except OSError as error:
            raise _cannot_make(found.path, error) from error


def _made(directory: int, name: bytes) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=directory)
    return os.open(name, _PASSING, dir_fd=directory)


def _cannot_make(path: str, error: OSError) -> BoxError:
    return BoxError(
        f"The folder {path} cannot be made ({os.strerror(error.errno or 0)});"
        " make it, or name another one."
    )


def place(where: str) -> Place:
    """
    @param where: an absolute path, or what L{flocknode.media.names.parse} takes.
    """
    return OnMedium(parse(where)) if is_spot(where) else Fixed(where)
