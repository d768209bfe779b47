# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.verify}: real folders, in which files rot.
"""

from __future__ import annotations

import os
import time

from flocknode.box.index.database import Index
from flocknode.box.survey import compare
from flocknode.box.survey.compare import ROTTEN
from flocknode.box.survey.verify import Verification, verify
from flocknode.box.values import Path
from tests.box.peers import Peer, PeerCase, exchange

LARGE = b"L" + os.urandom(299_999)


def rot(peer: Peer, path: str) -> None:
    """
    Change a file without a trace: here, what the index says of its times is
    changed instead, since C{ctime} cannot be.
    """
    full = peer.path(path)
    before = os.stat(full)
    with open(full, "r+b") as file:
        file.write(b"~")
    os.utime(full, ns=(before.st_atime_ns, before.st_mtime_ns))
    parent, _, name = path.rpartition("/")
    peer.index._db.execute(
        "UPDATE entry SET disk_ctime = ? WHERE parent = ? AND name = ?",
        (os.stat(full).st_ctime_ns, parent.encode(), name.encode()),
    )


class RottenCase(PeerCase):
    def setUp(self) -> None:
        super().setUp()
        # Everything here is young.
        self.patch(compare, "STALE", -(10**15))

    def check(self, peer: Peer, cancelled_after: int = 1 << 30) -> tuple[Verification, bool]:
        asked = iter(range(1 << 31))

        def cancelled() -> bool:
            return next(asked) >= cancelled_after

        return verify(
            peer.site, lambda: Index(peer.state, reading=True), cancelled, lambda _: None
        )

    def found(self, peer: Peer) -> list[tuple[Path, str]]:
        """Paths and reasons."""
        return [(each.path, each.reason) for each in self.check(peer)[0].findings]


class VerifyTests(RottenCase):
    def test_of_a_sound_box_everything_is_read_and_nothing_is_wrong(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/large", LARGE)
        a.put("small", b"one")
        os.symlink("small", a.path("link"))
        exchange(a, b)
        b.put("small", b"two")
        exchange(a, b)
        report, finished = self.check(a)
        self.assertTrue(finished)
        self.assertEqual((report.findings, report.wrong, report.changed), ([], 0, set()))
        self.assertEqual((report.files, report.size, report.kept), (3, 300_008, 1))

    def test_a_file_that_rots_is_found(self) -> None:
        a = self.peer("a")
        a.put("d/large", LARGE)
        a.put("sound", b"x")
        a.scan()
        rot(a, "d/large")
        self.assertEqual(self.found(a), [(b"d/large", ROTTEN)])

    def test_a_file_that_was_changed_is_not_rotten(self) -> None:
        a = self.peer("a")
        a.put("file", b"one")
        a.scan()
        a.put("file", b"two!")
        report, _ = self.check(a)
        self.assertEqual((report.wrong, report.changed), (0, {b"file"}))

    def test_an_old_version_that_rots_is_found(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"one")
        exchange(a, b)
        a.put("file", b"two")
        exchange(a, b)
        (kept,) = b.index.contents.kept()
        with open(b.path(b".flocknode/versions/" + kept.name), "r+b") as file:
            file.write(b"0")
        ((path, reason),) = self.found(b)
        self.assertEqual(path, b"file")
        self.assertIn("is not what it was", reason)
        os.unlink(b.path(b".flocknode/versions/" + kept.name))
        ((path, reason),) = self.found(b)
        self.assertIn("cannot be read: No such file", reason)

    def test_sums_that_are_wrong_are_found(self) -> None:
        a = self.peer("a")
        a.put("file", b"one")
        a.scan()
        a.index._db.execute("UPDATE entry SET placed_size = 4711")
        self.assertEqual([path for path, _ in self.found(a)], [b""])

    def test_a_block_list_that_is_wrong_is_found(self) -> None:
        a = self.peer("a")
        a.put("large", LARGE)
        a.scan()
        a.index._db.execute("UPDATE blocklist SET data = x'00'")
        self.assertEqual([path for path, _ in self.found(a)], [b"large"])

    def test_it_can_be_broken_off_within_a_file(self) -> None:
        a = self.peer("a")
        a.put("large", LARGE * 4)
        a.scan()
        report, finished = self.check(a, 3)
        self.assertEqual((finished, report.files), (False, 0))


class RepairTests(RottenCase):
    def distrust(self, peer: Peer) -> list[bool]:
        report, _ = self.check(peer)
        return [
            peer.engine.distrust(each.path, each.rotten)
            for each in report.findings
            if each.rotten is not None
        ]

    def test_what_rots_is_not_announced(self) -> None:
        """Neither when it is found by reading it, nor by a scan."""
        a, b = self.peers("a", "b")
        a.put("file", b"content")
        exchange(a, b)
        before = a.engine.ledger.highest
        rot(a, "file")
        self.assertIsNone(a.serve(b.content(b"file")))
        a.look([b"file"], afresh=True)
        self.assertEqual(a.planner.problems, {b"file": ROTTEN})
        a.scan()
        self.assertEqual(a.engine.ledger.highest, before)

    def test_a_recent_change_that_no_time_shows_is_announced(self) -> None:
        """It may have been made within the file system's time step."""
        self.patch(compare, "STALE", 3600 * 10**9)
        a = self.peer("a")
        a.put("file", b"content")
        a.scan()
        rot(a, "file")
        reading = Index(a.state, reading=True)
        survey = compare.Survey(a.site, reading, now=time.time_ns)
        for sighting in survey.look([Path(b"file")], afresh=True):
            a.engine.observe(sighting)
        reading.close()
        self.assertEqual((a.engine.ledger.highest, a.planner.problems), (2, {}))

    def test_what_rots_is_fetched_again_from_others(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", LARGE, mode=0o640)
        exchange(a, b)
        tree = a.tree()
        rot(a, "file")
        self.assertEqual(self.distrust(a), [True])
        # Others must not ask here for it.
        self.assertFalse(a.row(b"file").complete)
        exchange(a, b)
        self.assertEqual(a.tree(), tree)
        self.assertEqual(a.kept(), [b"~" + LARGE[1:]])
        self.assertEqual(b.kept(), [])
        self.assertLevel(a, b)
        self.assertEqual(self.found(a), [])

    def test_what_nobody_else_has_stays_as_it_is(self) -> None:
        a = self.peer("a")
        a.put("file", b"content")
        a.scan()
        rot(a, "file")
        self.assertEqual(self.distrust(a), [False])
        self.assertTrue(a.row(b"file").complete)

    def test_another_copy_in_the_folder_repairs_it(self) -> None:
        a = self.peer("a")
        a.put("file", LARGE)
        a.put("copy", LARGE)
        a.scan()
        rot(a, "file")
        self.assertEqual(self.distrust(a), [True])
        a.work()
        self.assertEqual(a.get("file"), LARGE)

    def test_what_was_changed_meanwhile_is_left_alone(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"content")
        exchange(a, b)
        rot(a, "file")
        report, _ = self.check(a)
        (finding,) = report.findings
        assert finding.rotten is not None
        a.put("file", b"new")
        a.scan()
        self.assertFalse(a.engine.distrust(finding.path, finding.rotten))
        exchange(a, b)
        self.assertEqual((a.get("file"), b.get("file")), (b"new", b"new"))

    def test_a_change_of_what_is_to_be_fetched_again_is_not_lost(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"content")
        exchange(a, b)
        rot(a, "file")
        self.distrust(a)
        a.put("file", b"new")
        exchange(a, b)
        self.assertIn(b"new", a.contents())
        self.assertLevel(a, b)
