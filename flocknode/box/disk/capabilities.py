# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a file system can hold, found out by trying.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import attrs

from flocknode.box.disk import syscalls
from flocknode.box.disk.naming import DOUBTFUL, PLAIN, Naming
from flocknode.box.paths import LONGEST_NAME

_NANOSECONDS = 1_111_111_111_987_654_321
"""An odd second with an odd fraction: no step divides it."""

_STEPS = (1, 100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)
"""Steps of known file systems: ext4, NTFS, HFS, exFAT (10 ms), FAT (2 s)."""


@attrs.frozen
class Capabilities:
    """
    What the file system of a box can hold, as probed.

    @ivar modes: permission bits come back as set.
    @ivar mtime_step_ns: the step to which it rounds a modification time.
    @ivar symlinks: it has symbolic links.
    @ivar hard_links: it has hard links.
    @ivar names: which names it has.
    @ivar exchange: C{renameat2} can exchange; else replacing a file has a
        moment in which a change of the last instant is lost.
    @ivar noreplace: C{renameat2} can refuse to replace.
    """

    modes: bool = True
    mtime_step_ns: int = 1
    symlinks: bool = True
    hard_links: bool = True
    names: Naming = PLAIN
    exchange: bool = True
    noreplace: bool = True

    @property
    def clock_step_ns(self) -> int:
        """
        A file changed twice within this many nanoseconds may show the same
        times: hash it again later if its times are this close to when it was
        hashed.  The kernel stamps with its tick, 10 ms at the slowest.
        """
        return max(self.mtime_step_ns, 10_000_000)


def probe(directory: int) -> Capabilities:
    """
    @param directory: a descriptor of a private directory of the file system.
    @raise OSError: if not even a file can be made in it.
    """
    names = [b"probe-" + os.urandom(8).hex().encode() for _ in range(3)]
    one, two, third = names
    try:
        for name in (one, two):
            _make(directory, name)
        descriptor = os.open(one, os.O_RDWR | os.O_NOFOLLOW, dir_fd=directory)
        try:
            held_modes = _holds_modes(descriptor)
            step = _mtime_step(descriptor)
        finally:
            os.close(descriptor)
        return Capabilities(
            modes=held_modes,
            mtime_step_ns=step,
            symlinks=_works(
                lambda: os.symlink(b"target", third, dir_fd=directory),
                lambda: os.unlink(third, dir_fd=directory),
            ),
            hard_links=_works(
                lambda: os.link(
                    one, third, src_dir_fd=directory, dst_dir_fd=directory
                ),
                lambda: os.unlink(third, dir_fd=directory),
            ),
            names=_probe_names(directory, one),
            exchange=_works(
                lambda: syscalls.rename(
                    directory, one, directory, two, syscalls.EXCHANGE
                )
            ),
            noreplace=_works(
                lambda: syscalls.rename(
                    directory, one, directory, third, syscalls.NOREPLACE
                )
            ),
        )
    finally:
        for name in names:
            if _exists(directory, name):
                os.unlink(name, dir_fd=directory)


def _probe_names(directory: int, there: bytes) -> Naming:
    """
    @param there: a name that is taken, in lower case.
    """
    composed, decomposed = there + "é".encode(), there + "e\u0301".encode()
    normalizing = False
    if _works(lambda: _make(directory, composed)):
        normalizing = _exists(directory, decomposed)
        os.unlink(composed, dir_fd=directory)
    longest = os.fstatvfs(directory).f_namemax
    return Naming(
        case_sensitive=not _exists(directory, there.upper()),
        normalizing=normalizing,
        text_only=not _holds_name(directory, there + b"-\xff"),
        refused=bytes(
            character
            for character in DOUBTFUL
            if not _holds_name(directory, b"%s-%c-" % (there, character))
        ),
        any_end=all(_holds_name(directory, there + end) for end in (b"-.", b"- ")),
        devices=_holds_name(directory, b"aux." + there),
        longest=longest if 0 < longest < LONGEST_NAME else LONGEST_NAME,
    )


def _holds_name(directory: int, name: bytes) -> bool:
    """Can it be given, and does the disk show it as it was given?"""
    if not _works(lambda: _make(directory, name)):
        return False
    shown = name in syscalls.names_in(directory)
    os.unlink(name, dir_fd=directory)
    return shown


def _make(directory: int, name: bytes) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    os.close(os.open(name, flags, 0o600, dir_fd=directory))


def _exists(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _works(*steps: Callable[[], object]) -> bool:
    try:
        for step in steps:
            step()
    except OSError:
        return False
    return True


def _holds_modes(descriptor: int) -> bool:
    return _holds_mode(descriptor, 0o751) and _holds_mode(descriptor, 0o640)


def _holds_mode(descriptor: int, mode: int) -> bool:
    if not _works(lambda: os.fchmod(descriptor, mode)):
        return False
    return os.fstat(descriptor).st_mode & 0o777 == mode


def _mtime_step(descriptor: int) -> int:
    os.utime(descriptor, ns=(_NANOSECONDS, _NANOSECONDS))
    off = abs(os.fstat(descriptor).st_mtime_ns - _NANOSECONDS)
    # Rounded down or to the nearest, it is off by less than one step.
    return next((step for step in _STEPS if off < step), _STEPS[-1])
