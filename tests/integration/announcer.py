# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A process that only announces itself, and writes down whom it hears; run by
L{tests.integration.test_forban_discovery}.  C{argv}: its uuid, a file with
what stands for the hash of its index, and the file to write to.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.task import LoopingCall

from flocknode.forban.near.announcing import Announcing
from flocknode.forban.near.neighbours import Neighbours
from flocknode.forban.protocol.announcement import Announcement

INTERVAL = 1.0
"""Seconds between announcements, so that a test need not wait for long."""


def main(uuid: str, hmac: str, seen: str) -> None:
    reactor: Any = installed
    neighbours = Neighbours(uuid, reactor.seconds)
    announcing = Announcing(
        reactor,
        lambda: Announcement(uuid, "", Path(hmac).read_text()),
        neighbours,
        interval=INTERVAL,
    )
    since: dict[tuple[str, str], float] = {}
    neighbours.tell(lambda each: since.setdefault((each.uuid, each.hmac), each.last))

    def write() -> None:
        found = {
            "problems": announcing.status.problems,
            "listening": announcing.status.listening,
            "neighbours": {
                # where it was heard since it has this index
                each.uuid: [
                    each.hmac,
                    *(a.host for a, at in each.addresses if at >= since[each.uuid, each.hmac]),
                ]
                for each in neighbours.all()
            },
        }
        Path(seen + ".new").write_text(json.dumps(found))
        os.replace(seen + ".new", seen)

    announcing.startService()
    LoopingCall(write).start(0.1)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
