# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box on a medium that is really mounted and unmounted, and what came of it,
line by line; run by L{tests.media.private}.  C{argv}: an empty folder.

The medium is a tmpfs, mounted a second time at C{kept}, so that its content
outlives being unmounted at C{stick}.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from flocknode.box.box import Box
from flocknode.box.settings import BoxSettings
from flocknode.media.devices import read_table
from flocknode.media.mountinfo import Mount
from flocknode.media.mounts import Mounts
from flocknode.media.names import parse
from flocknode.media.places import OnMedium


class Trial:
    """
    @ivar stick: where the medium is mounted, C{kept}: where it always is.
    """

    def __init__(self, reactor: Any, folder: str) -> None:
        self.reactor = reactor
        self.stick = os.path.join(folder, "stick")
        self.kept = os.path.join(folder, "kept")
        for path in (self.stick, self.kept):
            os.makedirs(path)
        self.run("mount", "-t", "tmpfs", "none", self.kept)
        place = OnMedium(parse("label:FIELDKIT/papers"), self.table, self.numbers)
        # It looks by itself so seldom that only the mounts can tell it.
        settings = BoxSettings(poll=1000.0)
        self.box = Box(reactor, "stick", place, os.path.join(folder, "state"), settings)
        self.mounts = Mounts(reactor)
        self.mounts.tell(self.box.mounts_changed)

    def run(self, *command: str) -> bool:
        """Did it go well?"""
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def table(self) -> tuple[Mount, ...]:
        return tuple(mount for mount in read_table() if mount.point != os.fsencode(self.kept))

    def numbers(self, spot: object) -> frozenset[int]:
        return frozenset([os.stat(self.kept).st_dev])

    def plug(self) -> bool:
        return self.run("mount", "--bind", self.kept, self.stick)

    def unmount(self, *options: str) -> bool:
        return self.run("umount", *options, self.stick)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        for _ in range(2000):
            if condition():
                print(what)
                return
            await deferLater(self.reactor, 0.005)
        raise AssertionError(f"not {what}: {self.box.status}")

    async def play(self) -> None:
        """All of it, in order."""
        box = self.box
        self.mounts.startService()
        box.startService()
        await self.until(lambda: box.status.state == "offline", "offline at first")
        assert self.plug()
        await self.until(lambda: box.status.state == "in sync", "online when mounted")
        with open(os.path.join(self.stick, "papers/file"), "wb") as file:
            file.write(b"hello")
        await self.until(lambda: box.status.files == 1, "a file is heard of")
        index_id = box.index_id
        print("busy" if not self.unmount() else "not busy")
        await box.eject()
        print("unmounted" if self.unmount() else "still busy")
        await self.until(lambda: "mount it" in box.status.reason, "away")
        os.unlink(os.path.join(self.kept, "papers/file"))
        assert self.plug()
        await self.until(lambda: box.status.state == "in sync", "online again")
        print("the same index" if box.index_id == index_id else "another index")
        await self.until(lambda: box.status.files == 0, "a deletion elsewhere is seen")
        assert self.unmount("--lazy")
        await self.until(lambda: box.status.state == "offline", "offline when pulled out")
        await box.stopService()
        self.mounts.stopService()
        print(os.listdir(self.stick))


if __name__ == "__main__":
    react(
        lambda reactor: Deferred.fromCoroutine(Trial(installed, sys.argv[1]).play()),
    )
