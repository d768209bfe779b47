# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of what is next to the disk, once more on btrfs, in an image that is mounted
for it: there, a directory that is held open is listed as it was when it was opened.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from twisted.trial.unittest import SkipTest, SynchronousTestCase

MODULES = (
    "tests.box.disk.test_capabilities",
    "tests.box.disk.test_staging",
    "tests.box.disk.test_versions",
    "tests.box.survey.test_hashing",
    "tests.box.test_engine_versions",
)

SIZE = 256 << 20
"""Bytes of the image, few of which are ever written; btrfs wants 109 MiB at least."""


class BtrfsTests(SynchronousTestCase):
    def test_nothing_is_different_there(self) -> None:
        for program in ("unshare", "mount", "mkfs.btrfs"):
            if shutil.which(program) is None:
                raise SkipTest(f"there is no {program} here")
        if os.geteuid() != 0:
            raise SkipTest("only root may mount an image")
        image, disk = os.path.abspath(self.mktemp()), os.path.abspath(self.mktemp())
        os.mkdir(disk)
        with open(image, "wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mkfs.btrfs", "--quiet", image], check=True, capture_output=True)
        # The mount and the loop device go with the namespace.
        command = 'mount -o loop "$0" "$1" || exit 77; shift; exec "$@"'
        trial = [sys.executable, "-m", "twisted.trial", f"--temp-directory={disk}/trial"]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", command, image, disk, *trial, *MODULES],
            cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode == 77 or done.stderr.startswith("unshare:"):
            raise SkipTest("nothing can be mounted here")
        self.assertEqual(done.returncode, 0, done.stdout[-5000:])
