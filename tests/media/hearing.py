# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Mounts and unmounts, and prints what L{flocknode.media.mounts} told of it; run
by L{tests.media.private}.  C{argv}: an empty folder.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from flocknode.media.devices import read_table
from flocknode.media.mounts import Mounts


def points() -> list[str]:
    return [mount.point.decode() for mount in read_table()]


async def main(reactor: Any, point: str) -> None:
    told: list[bool] = []
    mounts = Mounts(reactor)
    mounts.tell(lambda: told.append(point in points()))
    mounts.startService()
    for command in (["mount", "-t", "tmpfs", "none", point], ["umount", point]):
        before = len(told)
        subprocess.run(command, check=True)
        for _ in range(1000):
            if len(told) > before:
                break
            await deferLater(reactor, 0.005)
    busy = time.process_time()
    await deferLater(reactor, 0.5)
    idle = time.process_time() - busy < 0.2
    mounts.stopService()
    print(told, idle)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(installed, sys.argv[1])))
