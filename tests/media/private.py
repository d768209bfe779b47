# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A process that may mount, for tests with real mounts: a mount namespace of its
own, so that nothing is left on this machine whatever happens.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest

import flocknode

TIMEOUT = 60.0
"""Seconds until such a process is killed."""

_TRIAL = "mount -t tmpfs none /mnt && test -r /proc/self/mountinfo"


def prefix() -> list[str]:
    """
    What to put before a command to run it so.

    @raise SkipTest: nobody here may do that.
    """
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        raise SkipTest("there is no unshare or no mount here")
    for options in (["-m"], ["-r", "-m"]):
        command = ["unshare", *options, "--propagation", "private"]
        tried = subprocess.run([*command, "sh", "-c", _TRIAL], capture_output=True, check=False)
        if tried.returncode == 0:
            return command
    raise SkipTest("nothing can be mounted here, not even in a namespace")


def run(module: str, *arguments: str) -> str:
    """
    Run a module in such a process.

    @return: what it wrote.
    @raise AssertionError: it failed.
    """
    top = str(Path(flocknode.__file__).parent.parent)
    done = subprocess.run(
        [*prefix(), sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env={**os.environ, "PYTHONPATH": top},
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{done.stdout}\n{done.stderr}")
    return done.stdout
