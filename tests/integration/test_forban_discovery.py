# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Three processes that announce themselves, each in a network namespace of its
own, on one bridge.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import flocknode
from benchmarks.switch import Switch, switch_or_none
from tests.integration.cluster import wait_until

NODES = 3
CUT_OFF = 2


class Discovery(SynchronousTestCase):
    """On a network of its own."""

    def setUp(self) -> None:
        switch = switch_or_none(NODES)
        if switch is None:
            raise SkipTest("network namespaces are not permitted here")
        self.switch: Switch = switch
        self.addCleanup(switch.close)
        self.top = Path(self.mktemp()).absolute()
        self.top.mkdir(parents=True)
        self.uuids = [str(UUID(int=node + 1, version=4)) for node in range(NODES)]
        for node in range(NODES):
            self.announce(node, "a")
            self.start(node)

    def announce(self, node: int, digit: str) -> None:
        """Its index is another one from now on."""
        new = self.top / f"hmac{node}.new"
        new.write_text(digit * 40)
        os.replace(new, self.top / f"hmac{node}")

    def start(self, node: int) -> None:
        with (self.top / f"log{node}").open("wb") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.switch.namespace(node),
                 sys.executable, "-m", "tests.integration.announcer",
                 self.uuids[node], str(self.top / f"hmac{node}"), str(self.top / f"seen{node}")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(flocknode.__file__).parent.parent)},
            )  # fmt: skip
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

    def seen(self, node: int) -> dict[str, Any]:
        """What it has written down."""
        path = self.top / f"seen{node}"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def knows(self, node: int, other: int, digit: str) -> bool:
        """Has it heard of that index of the other, by both families?"""
        hmac, *hosts = self.seen(node).get("neighbours", {}).get(self.uuids[other], [""])
        local = [host for host in hosts if host.startswith("fe80::") and host.endswith("%eth0")]
        return hmac == digit * 40 and self.switch.address(other) in hosts and len(local) > 0

    def all_know(self, digits: str) -> bool:
        """Does everybody know everybody?"""
        return all(
            self.knows(node, other, digits[other])
            for node in range(NODES)
            for other in range(NODES)
            if node != other
        )

    def test_they_find_each_other_and_find_again_who_was_cut_off(self) -> None:
        wait_until(self.all_know, "all know all, by both families", "aaa")
        for node in range(NODES):
            # Addresses of IPv6 cannot be used for a second or two after they were made.
            wait_until(lambda node: not self.seen(node)["problems"], "nothing is wrong", node)
            self.assertEqual(len(self.seen(node)["neighbours"]), NODES - 1)
        for down, up, digit in (
            (lambda: self.switch.set_link(CUT_OFF, "down"),
             lambda: self.switch.set_link(CUT_OFF, "up"), "b"),
            (lambda: self.switch.disconnect(CUT_OFF),
             lambda: self.switch.connect(CUT_OFF), "c"),
        ):  # fmt: skip
            down()
            wait_until(lambda: self.seen(CUT_OFF)["problems"], "it says that it is cut off")
            self.announce(CUT_OFF, digit)
            self.announce(0, digit)
            wait_until(self.knows, "the others go on", 1, 0, digit)
            self.assertFalse(self.knows(0, CUT_OFF, digit))
            self.assertFalse(self.knows(CUT_OFF, 0, digit))
            up()
            wait_until(self.all_know, "all know all again", digit + "a" + digit)
            wait_until(lambda: not self.seen(CUT_OFF)["problems"], "and nothing is wrong any more")
