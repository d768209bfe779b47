# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Real nodes with public boxes, each in a network namespace of its own, on one
bridge.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from unittest import skipUnless
from urllib.parse import quote

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from benchmarks.switch import Switch, switch_or_none
from flocknode import control
from tests.certificates import write_certificate
from tests.integration.cluster import Cluster, wait_until

NODES = 3
CUT_OFF = 2

SOAK = bool(os.environ.get("FLOCKNODE_SOAK"))
"""Is there time for the long ones?"""

ODD = (b"plain", b"with blank", b"comma, and, more", b"+plus&amp;", b"ue-\xc3\xbc", b"%41",
       b"a=b?c#d", b"-dash", b"quote'\"", b"dots...", b"\xe2\x80\xae right to left")  # fmt: skip


class ForbanCluster(Cluster):
    """
    Nodes with a public box each, that are no flock: nobody knows another's key.

    @ivar alike: the flock of those that are one.
    """

    def __init__(self, top: str | Path, switch: Switch, flock: bool = False) -> None:
        self.switch = switch
        self.flock = flock
        super().__init__(
            top, NODES, endpoints=[f"tcp://{switch.address(node)}:5671" for node in range(NODES)]
        )

    def configure(self, node: int, uplink: str, *flock: str) -> None:
        """Also that the box is public."""
        super().configure(node, uplink, *flock)
        path = self.folder(node) / "config"
        lines = path.read_text().splitlines()
        if not self.flock:
            lines = [line for line in lines if not line.startswith("node =")]
        lines += ["[box papers]", "forban = yes", "[forban]", f"name = node {node}"]
        path.write_text("\n".join(lines) + "\n")

    def command(self, node: int) -> list[str]:
        """In its namespace."""
        inside = ["ip", "netns", "exec", self.switch.namespace(node)]
        return [*inside, *super().command(node)]

    def asked(self, node: int, command: str, **arguments: object) -> object:
        """What it answers, or None."""
        try:
            return control.ask(str(self.folder(node) / "state"), command, 20.0, **arguments)
        except Exception:
            return None

    def get(self, asking: int, of: int, path: str) -> tuple[int, bytes]:
        """By HTTP, from one node's namespace: the code and the body."""
        body = self.top / "body"
        done = subprocess.run(
            ["ip", "netns", "exec", self.switch.namespace(asking), "curl", "-s", "-o", str(body),
             "-w", "%{http_code}", f"http://{self.switch.address(of)}:12555{path}"],
            capture_output=True,
            check=False,
        )  # fmt: skip
        return int(done.stdout or b"0"), body.read_bytes() if body.exists() else b""


class Case(SynchronousTestCase):
    """On a network of its own."""

    def started(self, flock: bool) -> ForbanCluster:
        switch = switch_or_none(NODES)
        if switch is None:
            raise SkipTest("network namespaces are not permitted here")
        self.addCleanup(switch.close)
        cluster = ForbanCluster(self.mktemp(), switch, flock)
        self.addCleanup(cluster.close)
        return cluster

    def wait_unshown(self, cluster: ForbanCluster, node: int, path: bytes) -> None:
        """Wait until a node has an index without this."""

        def is_unshown() -> bool:
            code, index = cluster.get(node, node, "/s/?g=forban/index")
            return code == 200 and path + b"," not in index

        wait_until(is_unshown, f"node {node} shows {path!r} no more")


class Replication(Case):
    """Nodes that have nothing to do with each other but Forban."""

    def test_all_get_what_each_has_and_who_was_cut_off_gets_it_later(self) -> None:
        cluster = self.started(flock=False)
        for node in range(NODES):
            for number in range(60):
                path = cluster.box(node) / f"folder {number % 7}" / f"{node}-{number}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(os.urandom(number * 97))
        for name in ODD:
            with open(os.fsencode(cluster.box(0)) + b"/" + name, "wb") as file:
                file.write(name)
        cluster.start()
        found = cluster.wait_equal(holds=lambda tree: len(tree) == 180 + 7 + len(ODD))
        self.assertEqual([name in found for name in ODD], [True] * len(ODD))
        cluster.switch.set_link(CUT_OFF, "down")
        (cluster.box(0) / "later").write_bytes(b"x" * 3_000_000)
        cluster.wait_equal((0, 1), lambda tree: b"later" in tree)
        self.assertFalse((cluster.box(CUT_OFF) / "later").exists())
        cluster.switch.set_link(CUT_OFF, "up")
        cluster.wait_equal(holds=lambda tree: b"later" in tree)

    @skipUnless(SOAK, "it waits for what does not come: set FLOCKNODE_SOAK=1")
    def test_what_its_owner_deleted_does_not_come_back_but_when_asked_for(self) -> None:
        cluster = self.started(flock=False)
        cluster.start()
        # Made while the node runs: its box has not told anybody of it.
        wait_until(lambda: cluster.status(0) is not None, "the node runs")
        for name in ("kept", "deleted", "own"):
            (cluster.box(0) / name).write_bytes(name.encode())
        cluster.wait_equal(holds=lambda tree: len(tree) == 3)
        (cluster.box(0) / "own").unlink()
        self.wait_unshown(cluster, 0, b"own")
        (cluster.box(1) / "back").write_bytes(b"is larger, so it comes after it")
        wait_until((cluster.box(0) / "back").exists, "the next file comes back")
        self.assertFalse((cluster.box(0) / "own").exists())
        (cluster.box(1) / "deleted").unlink()
        (cluster.box(0) / "another").write_bytes(b"another")
        wait_until((cluster.box(1) / "another").exists, "the next file comes")
        self.assertFalse((cluster.box(1) / "deleted").exists())
        self.wait_unshown(cluster, 1, b"deleted")
        (neighbour,) = [
            each
            for each in cluster.asked(1, "forban_neighbours") or ()  # type: ignore[attr-defined]
            if each["name"] == "node 0"
        ]
        done = cluster.asked(1, "forban_get", uuid=neighbour["uuid"][:8], path="deleted")
        self.assertEqual(done, {"path": "deleted", "wait": 0.0})
        self.assertEqual((cluster.box(1) / "deleted").read_bytes(), b"deleted")


class Secret(Case):
    """A node that serves by TLS, too."""

    def test_what_it_has_is_fetched_by_tls_and_it_ends_in_the_middle_when_told(self) -> None:
        cluster = self.started(flock=False)
        write_certificate(cluster.folder(0) / "key.pem")
        config = cluster.folder(0) / "config"
        config.write_text(config.read_text() + "listen = ssl:12557:privateKey=key.pem\n")
        other = cluster.folder(1) / "config"
        other.write_text(other.read_text() + "rate = 1 MB/s\n")
        (cluster.box(0) / "small").write_bytes(b"small")
        (cluster.box(0) / "large").write_bytes(os.urandom(1 << 20) * 64)
        cluster.start(0, 1)
        wait_until((cluster.box(1) / "small").exists, "a file comes")
        neighbours: Any = cluster.asked(1, "forban_neighbours")
        (neighbour,) = neighbours
        self.assertEqual((neighbour["name"], neighbour["tls"]), ("node 0", True))

        def is_coming() -> bool:
            status: Any = cluster.asked(1, "forban_status")
            return bool(status) and any(t["received"] for t in status["fetching"]["transfers"])

        wait_until(is_coming, "the large one is on its way")
        for node in (0, 1):
            self.assertEqual(cluster.stop(node), 0)
            self.assertNotIn("Traceback", cluster.log(node))
        self.assertFalse((cluster.box(1) / "large").exists())

    def test_a_key_that_is_not_there_is_said_in_one_sentence(self) -> None:
        cluster = self.started(flock=False)
        config = cluster.folder(0) / "config"
        config.write_text(config.read_text() + "listen = ssl:12557:privateKey=key.pem\n")
        line = len(config.read_text().splitlines())
        cluster.start(0)
        self.assertEqual(cluster.processes.pop(0).wait(60), 1)
        (said,) = cluster.log(0).splitlines()[-1:]
        self.assertTrue(said.startswith("flocknode: "))
        self.assertIn(f"line {line}: listen = ssl:12557:", said)
        self.assertIn("key.pem cannot be read: No such file or directory", said)


class WithAFlock(Case):
    """Nodes of a flock, whose box is public as well.  Twice it waits up to a minute."""

    if not SOAK:
        skip = "long: set FLOCKNODE_SOAK=1"

    def test_what_is_new_in_the_flock_is_not_public_before_all_have_it(self) -> None:
        cluster = self.started(flock=True)
        (cluster.box(0) / "old").write_bytes(b"old")
        cluster.start()
        cluster.together()
        cluster.wait_equal(holds=lambda tree: b"old" in tree)

        def shown(node: int) -> bytes:
            return cluster.get(node, node, "/s/?g=" + quote("forban/index"))[1]

        wait_until(lambda: shown(1) == b"old,3\n", "it is public", patience=100)
        cluster.stop(0)
        cluster.stop(2)
        (cluster.box(1) / "new").write_bytes(b"new")
        status = lambda: json.dumps(cluster.status(1) or {})  # noqa: E731
        wait_until(lambda: '"files": 2' in status(), "the node has seen it")
        # With nobody else alive there is no round, however long it takes.
        self.assertEqual(shown(1), b"old,3\n")
        cluster.start(0, 2)
        wait_until(lambda: shown(1) == b"new,3\nold,3\n", "it is public, too", patience=120)
        self.assertEqual(cluster.trees()[0], cluster.trees()[1])
