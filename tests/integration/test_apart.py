# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What happens apart and what happens when the nodes meet again: no content is
lost, and all come to the same names.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from blake3 import blake3
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.cluster import Cluster, tree, wait_until


def contents(cluster: Cluster, nodes: Iterable[int] = (0, 1, 2)) -> set[str]:
    """Hashes of all file content in the boxes and version stores of these nodes."""
    found: set[str] = set()
    for node in nodes:
        for folder, _, names in os.walk(os.fsencode(cluster.box(node))):
            for name in names:
                path = os.path.join(folder, name)
                if b"/.flocknode/staging" in path or os.path.islink(path):
                    continue
                with open(path, "rb") as file:
                    found.add(blake3(file.read()).hexdigest())
    return found


class Apart(SynchronousTestCase):
    """Each test has a flock of its own."""

    def setUp(self) -> None:
        self.cluster = Cluster(f"{self._testMethodName[:60]}.flock")
        self.addCleanup(self.cluster.close)

    def together(self, content: bytes = b"common\n") -> list[Path]:
        """Start all with one common file in place; then stop all."""
        self.cluster.start()
        self.cluster.together()
        (self.cluster.box(0) / "folder").mkdir()
        (self.cluster.box(0) / "file.txt").write_bytes(content)
        (self.cluster.box(0) / "folder" / "inner").write_bytes(b"inner\n")
        self.cluster.wait_same(0)
        self.cluster.wait_settled()
        for node in range(3):
            self.assertEqual(self.cluster.stop(node), 0)
        return [self.cluster.box(node) for node in range(3)]

    def meet(self) -> None:
        self.cluster.start()
        self.cluster.together()

    def test_two_changes_of_one_file_both_survive_everywhere(self) -> None:
        one, two, _ = self.together()
        (one / "file.txt").write_bytes(b"from one\n")
        (two / "file.txt").write_bytes(b"from two\n")
        self.meet()
        found = self.cluster.wait_equal(holds=lambda t: len(t) == 4)
        (sibling,) = (p for p in found if b".conflict-" in p)
        self.assertTrue(sibling.startswith(b"file.conflict-") and sibling.endswith(b".txt"))
        both = {(one / os.fsdecode(p)).read_bytes() for p in (b"file.txt", sibling)}
        self.assertEqual(both, {b"from one\n", b"from two\n"})

    def test_three_changes_of_one_file_all_survive_everywhere(self) -> None:
        boxes = self.together()
        for node, box in enumerate(boxes):
            (box / "file.txt").write_bytes(b"from %d\n" % node)
        self.meet()
        found = self.cluster.wait_equal(holds=lambda t: len(t) == 5)
        files = {(boxes[2] / os.fsdecode(p)).read_bytes() for p in found if p.startswith(b"file")}
        self.assertEqual(files, {b"from 0\n", b"from 1\n", b"from 2\n"})

    def test_a_change_survives_a_delete(self) -> None:
        one, two, _ = self.together()
        (one / "file.txt").unlink()
        (two / "file.txt").write_bytes(b"changed\n")
        self.meet()
        self.cluster.wait_equal(holds=lambda t: b"file.txt" in t and len(t) == 3)
        wait_until(
            lambda: (one / "file.txt").exists() and (one / "file.txt").read_bytes() == b"changed\n",
            "the change arrives",
        )

    def test_a_file_added_to_a_folder_deleted_elsewhere_lives_in_its_folder(self) -> None:
        one, two, _ = self.together()
        (one / "folder" / "inner").unlink()
        (one / "folder").rmdir()
        (two / "folder" / "added").write_bytes(b"added\n")
        self.meet()
        self.cluster.wait_equal(holds=lambda t: b"folder/added" in t and b"folder/inner" not in t)

    def test_a_file_and_a_folder_of_one_name_both_live(self) -> None:
        one, two, _ = self.together()
        (one / "name").write_bytes(b"I am a file\n")
        (two / "name").mkdir()
        (two / "name" / "child").write_bytes(b"I am in a folder\n")
        self.meet()
        found = self.cluster.wait_equal(
            holds=lambda t: b"name/child" in t and any(b"name.conflict-" in p for p in t)
        )
        (sibling,) = (p for p in found if b".conflict-" in p)
        self.assertEqual((one / os.fsdecode(sibling)).read_bytes(), b"I am a file\n")

    def test_a_member_that_was_away_for_200_changes_catches_up_by_itself(self) -> None:
        self.cluster.start(0, 1)
        self.cluster.together(0, 1)
        box = self.cluster.box(0)
        for number in range(200):
            (box / f"{number % 60}").write_bytes(b"change %d" % number)
            if number % 20 == 0:
                (box / f"{number % 7}").unlink(missing_ok=True)
        self.cluster.wait_same(0, (0, 1))
        self.cluster.start(2)
        self.cluster.wait_same(0)

    def test_a_changed_clock_makes_no_difference(self) -> None:
        wrong = self.cluster.top / "wrong-clock"
        wrong.mkdir()
        (wrong / "sitecustomize.py").write_text(
            "import time\n"
            "_now, _now_ns = time.time, time.time_ns\n"
            "time.time = lambda: _now() + 7200\n"
            "time.time_ns = lambda: _now_ns() + 7200 * 10**9\n"
        )
        self.patch(os, "environ", {**os.environ, "PYTHONPATH": str(wrong)})
        self.cluster.start(2)
        os.environ.pop("PYTHONPATH")
        self.cluster.start(0, 1)
        self.cluster.together()
        for node in range(3):
            (self.cluster.box(node) / f"from {node}").write_bytes(b"%d" % node)
        self.cluster.wait_equal(holds=lambda t: len(t) == 3)

    def test_a_folder_moved_away_is_offline_and_deletes_nothing(self) -> None:
        self.together()
        self.meet()
        self.cluster.wait_settled()
        box = self.cluster.box(1)
        away = box.with_name("away")
        box.rename(away)
        self.offline(1)
        (self.cluster.box(0) / "meanwhile").write_bytes(b"meanwhile")
        self.cluster.wait_same(0, (0, 2))
        self.assertIn(b"file.txt", tree(self.cluster.box(0)))
        if box.exists():
            box.rmdir()
        away.rename(box)
        self.cluster.wait_same(0)

    def test_a_box_without_its_marker_is_offline_and_deletes_nothing(self) -> None:
        boxes = self.together()
        (boxes[1] / ".flocknode" / "box").unlink()
        (boxes[1] / "file.txt").unlink()
        self.meet()
        self.offline(1)
        (boxes[0] / "meanwhile").write_bytes(b"meanwhile")
        self.cluster.wait_same(0, (0, 2))
        self.assertIn(b"file.txt", tree(boxes[0]))

    def offline(self, node: int) -> None:
        def states() -> list[str]:
            status = self.cluster.status(node)
            return [box["state"] for box in status["boxes"]] if status else []

        wait_until(lambda: states() == ["offline"], f"the box of node {node + 1} goes offline")


class Downloading(SynchronousTestCase):
    """Things done to a file while its newer version is on its way."""

    def setUp(self) -> None:
        self.cluster = Cluster(f"{self._testMethodName[:60]}.flock", uplink="16 Mbit/s")
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.cluster.together()
        self.large = os.urandom(4 << 20)
        (self.cluster.box(0) / "file").write_bytes(b"old\n")
        self.cluster.wait_same(0)
        self.cluster.wait_settled()

    def receiving(self, node: int) -> bool:
        status = self.cluster.status(node)
        return status is not None and any(b["needed"] for b in status["boxes"])

    def test_an_edit_meanwhile_keeps_both_contents(self) -> None:
        (self.cluster.box(0) / "file").write_bytes(self.large)
        wait_until(lambda: self.receiving(1), "node 2 knows of the newer version")
        (self.cluster.box(1) / "file").write_bytes(b"edited meanwhile\n")
        self.cluster.wait_equal(holds=lambda t: len(t) == 2)
        found = contents(self.cluster, (2,))
        self.assertIn(blake3(self.large).hexdigest(), found)
        self.assertIn(blake3(b"edited meanwhile\n").hexdigest(), found)

    def test_a_delete_meanwhile_does_not_swallow_the_newer_version(self) -> None:
        (self.cluster.box(0) / "file").write_bytes(self.large)
        wait_until(lambda: self.receiving(1), "node 2 knows of the newer version")
        (self.cluster.box(1) / "file").unlink()
        self.cluster.wait_equal(holds=lambda t: len(t) == 1)
        for node in range(3):
            wait_until(
                lambda n: (self.cluster.box(n) / "file").read_bytes() == self.large,
                "the newer version is everywhere",
                node,
            )

    def test_a_change_in_the_last_instant_survives(self) -> None:
        for attempt in range(4):
            content = os.urandom(300_000 + attempt)
            (self.cluster.box(0) / "file").write_bytes(content)
            staging = self.cluster.box(1) / ".flocknode" / "staging"
            wait_until(lambda s: s.is_dir() and any(s.iterdir()), "node 2 receives", staging)
            mine = b"mine %d\n" % attempt
            (self.cluster.box(1) / "file").write_bytes(mine)
            self.cluster.wait_equal(
                (), lambda t, m: blake3(m).hexdigest() in contents(self.cluster), mine
            )
            self.cluster.wait_settled()
            self.cluster.wait_equal()
            found = contents(self.cluster)
            self.assertIn(blake3(mine).hexdigest(), found)
            self.assertIn(blake3(content).hexdigest(), found)


class Killed(SynchronousTestCase):
    """C{kill -9}, and ends on request."""

    def setUp(self) -> None:
        self.cluster = Cluster(f"{self._testMethodName[:60]}.flock", uplink="64 Mbit/s")
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.cluster.together()
        self.cluster.wait_settled()

    def no_partial(self, content: bytes) -> None:
        for node in range(3):
            path = self.cluster.box(node) / "large"
            if path.exists():
                self.assertEqual(path.stat().st_size, len(content), "never partial")

    def status_code(self, node: int) -> int:
        return int((self.cluster.status(node) or {"code": 0})["code"])

    def test_a_member_killed_in_any_phase_of_a_round_catches_up(self) -> None:
        for number, code in enumerate((125, 135, 115, 155, 150)):
            content = os.urandom(400_000)
            (self.cluster.box(0) / "large").write_bytes(content)
            # The codes pass quickly; what counts is that the kill falls around each.
            wait_until(lambda c: self.status_code(2) in (c, c - 1, 114, 115, 145), "a round", code)
            self.cluster.kill(2)
            self.cluster.wait_same(0, (0, 1))
            (self.cluster.box(1) / f"after {number}").write_bytes(b"without it")
            self.cluster.wait_same(1, (0, 1))
            self.no_partial(content)
            self.cluster.start(2)
            self.cluster.wait_same(0)

    def test_a_source_killed_in_mid_transfer_sends_only_the_rest(self) -> None:
        content = os.urandom(6 << 20)
        (self.cluster.box(0) / "large").write_bytes(content)
        wait_until(lambda: self.received(1) + self.received(2) > 3 << 20, "half of it is sent")
        self.cluster.kill(0)
        had = self.received(1) + self.received(2)
        self.no_partial(content)
        self.cluster.start(0)
        self.cluster.wait_same(0)
        self.no_partial(content)
        again = self.received(1) + self.received(2) - had
        # Two receivers; what was in flight or not yet verified may come again.
        self.assertLess(again, 2 * len(content) - had + 2 * (1 << 20))

    def test_a_receiver_killed_in_mid_transfer_gets_only_the_rest(self) -> None:
        content = os.urandom(6 << 20)
        (self.cluster.box(0) / "large").write_bytes(content)
        wait_until(lambda: self.received(2) > 2 << 20, "a third of it is there")
        had = self.received(2)
        self.cluster.kill(2)
        self.no_partial(content)
        self.cluster.start(2)
        self.cluster.wait_same(0)
        self.assertLess(self.received(2), len(content) - had + (1 << 20) + (1 << 19))

    def received(self, node: int) -> int:
        return int((self.cluster.status(node) or {"content_received": 0})["content_received"])

    def test_nodes_end_cleanly_on_a_signal_in_mid_round(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGINT):
            (self.cluster.box(0) / "large").write_bytes(os.urandom(8 << 20))
            wait_until(lambda: self.status_code(1) in (114, 115, 145), "a round is on")
            process = self.cluster.processes[1]
            self.assertEqual(self.cluster.stop(1, sign), 0)
            state = self.cluster.folder(1) / "state"
            self.assertFalse((state / "control").exists())
            self.assertIsNotNone(process.returncode)
            self.assertNotIn("Traceback", self.cluster.log(1))
            self.cluster.start(1)
            self.cluster.together()
            self.cluster.wait_same(0)
