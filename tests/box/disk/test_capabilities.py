# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.capabilities}.  The file system of the tests' own
directory is whatever it is: what it cannot do is simulated.
"""

from __future__ import annotations

import errno
import os

from flocknode.box.disk import capabilities, syscalls
from tests.box.folders import FolderCase, refuse


class ProbeTests(FolderCase):
    """Finding out what a file system can hold."""

    def probe(self) -> capabilities.Capabilities:
        """What is found; and nothing is left behind."""
        directory = self.folder.open_directory(b".flocknode")
        try:
            before = sorted(os.listdir(directory))
            found = capabilities.probe(directory)
            self.assertEqual(sorted(os.listdir(directory)), before)
            return found
        finally:
            os.close(directory)

    def test_missingCallsAreNoticed(self) -> None:
        self.patch(syscalls, "rename", refuse(errno.EINVAL))
        self.patch(os, "symlink", refuse(errno.EPERM))
        self.patch(os, "link", refuse(errno.EPERM))
        found = self.probe()
        self.assertEqual(
            (found.exchange, found.noreplace, found.symlinks, found.hard_links),
            (False, False, False, False),
        )

    def test_modesThatDoNotStickAreNoticed(self) -> None:
        self.patch(os, "fchmod", lambda descriptor, mode: None)
        self.assertFalse(self.probe().modes)

    def test_theStepOfTimesIsMeasured(self) -> None:
        utime = os.utime
        for step in (1, 100, 1_000_000_000, 2_000_000_000):

            def rounding(file: int, *, ns: tuple[int, int], step: int = step) -> None:
                utime(file, ns=(ns[0], ns[1] // step * step))

            self.patch(os, "utime", rounding)
            self.assertEqual(self.probe().mtime_step_ns, step)

    def test_theClockOfChangesIsNeverFinerThanATick(self) -> None:
        fine = capabilities.Capabilities(mtime_step_ns=1)
        coarse = capabilities.Capabilities(mtime_step_ns=2_000_000_000)
        self.assertEqual(fine.clock_step_ns, 10_000_000)
        self.assertEqual(coarse.clock_step_ns, 2_000_000_000)

    def test_isProbedOnceForAFolder(self) -> None:
        found = self.folder.capabilities
        self.patch(os, "fchmod", refuse(errno.EPERM))
        self.assertIs(self.folder.capabilities, found)
