# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is good for a node and concerns all of its process.  For processes that run
a node and nothing else: an application that embeds one decides for itself.
"""

from __future__ import annotations

import contextlib
import sys

FILES = 8192
"""Descriptors that a node asks for, at most."""

SWITCH = 0.0005
"""Seconds after which a thread has to let others run that wait for the
interpreter; Python's own are ten times as many.  A first scan, of which one
thread reads while another writes the index, takes up to an eighth less; and the
reactor waits less for both."""


def prepare() -> None:
    """To be called once, before the reactor runs."""
    sys.setswitchinterval(SWITCH)
    _afford_files()


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
