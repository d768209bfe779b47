# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Mounts a file system with a directory C{FORBAN}, and prints what became of it;
run by L{tests.media.private}.  C{argv}: an empty folder to mount it at, and one
for a box.
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

from flocknode.box.listing import Offer
from flocknode.forban.catalogue import compile
from flocknode.forban.media.importing import Into
from flocknode.forban.media.removable import RemovableMedia
from flocknode.media.mounts import Mounts
from flocknode.testing.shelves import FolderShelf
from tests.forban.media.sticks import only

SIZE = 80 << 20
"""Bytes of the file system: 16 MiB can be written, 64 MiB stay free."""


async def until(reactor: Any, condition: Callable[[], object]) -> None:
    while not condition():
        await deferLater(reactor, 0.01)


async def main(reactor: Any, point: str, folder: str) -> None:
    shelf = FolderShelf(folder)
    shelf.put(b"small", b"small")
    shelf.put(b"large", bytes(17 << 20))
    into = Into(
        {"papers": shelf},
        "papers",
        lambda name, *offer: shelf.adopt([Offer(*offer)]).addCallback(only),
        folder + ".copies",
    )
    media = RemovableMedia(reactor, into, lambda: compile({"papers": (shelf, shelf.files)}))
    mounts = Mounts(reactor)
    mounts.tell(media.mounts_changed)
    mounts.startService()
    media.startService()

    prepared = point + ".prepared"
    os.mkdir(prepared)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "/dev/stick", prepared], check=True
    )
    # All of this is one moment to the reactor, which then sees it complete.
    os.mkdir(os.path.join(prepared, "FORBAN"))
    with open(os.path.join(prepared, "FORBAN", "theirs"), "wb") as file:
        file.write(b"theirs")
    subprocess.run(["mount", "--move", prepared, point], check=True)
    os.rmdir(prepared)

    def is_done() -> bool:
        return any(
            each.path.startswith(point + "/") and each.state == "done"
            for each in media.statuses()
        )

    await until(reactor, is_done)
    (status,) = media.statuses()
    print(
        f"{status.state} {status.imported} imported {status.exported} exported"
        f" {status.no_room} without room, {len(status.problems)} problems"
    )
    subprocess.run(["umount", point], check=True)
    await until(reactor, lambda: not media.statuses())
    print("unmounted")
    mounts.stopService()
    await media.stopService()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(installed, *sys.argv[1:])))
