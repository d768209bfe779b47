# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is good for a node and concerns all of its process.  For processes that run
a node and nothing else: an application that embeds one decides for itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

FILES = 8192
"""Descriptors that a node asks for, at most."""

SWITCH = 0.0005
"""Seconds after which a thread has to let others run that wait for the
interpreter; Python's own are ten times as many.  A first scan, of which one
thread reads while another writes the index, takes up to an eighth less; and the
reactor waits less for both."""


KEPT = 33_554_432
"""Bytes of free memory that a process keeps."""
APART = 4_194_304
"""Bytes from which a piece of memory is got from the system and given back by
itself: more than a block, or a message of the port, has."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# Of C{mallopt}, from C{malloc.h}.


def prepare() -> None:
    """To be called once, before the reactor runs."""
    sys.setswitchinterval(SWITCH)
    keep_memory()
    _afford_files()


def keep_memory() -> None:
    """
    Let memory of the size of blocks be used again instead of being given back,
    as glibc does it by itself for 128 KiB and more: what the system gives anew
    is cleared page by page, and copying into that costs up to ten times as much.
    Where there is no glibc nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT)
        mallopt(_MMAP_THRESHOLD, APART)


def _afford_files() -> None:
    """
    Systems begin with 1024, of which each transfer of the Forban site takes
    three.
    """
    try:
        import resource
    except ImportError:
        return  # Windows counts otherwise.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
