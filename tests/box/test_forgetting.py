# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Boxes that forget what nobody needs to know any more: L{flocknode.box.forgetting}
over real folders.
"""

from __future__ import annotations

import os
import shutil
import time

from flocknode.box.forgetting import SLICE
from flocknode.box.merge.forgetting import AGE
from flocknode.box.settings import BoxSettings
from flocknode.box.values import Path
from tests.box.peers import Peer, PeerCase, exchange

MONTH = AGE + 1


class ForgettingTests(PeerCase):
    def setUp(self) -> None:
        super().setUp()
        self.wall = time.time()

    def peer(self, name: str) -> Peer:
        peer = super().peer(name)
        self.set_clock(peer)
        return peer

    def set_clock(self, peer: Peer) -> None:
        self.patch(peer.engine._forgetting._calendar, "today", lambda: self.wall)

    def forget(self, *peers: Peer) -> None:
        """All that can be, at the end of two long months."""
        for _ in range(2):
            for peer in peers:
                while peer.engine.forget():
                    pass
                peer.check_sums()
            self.wall += MONTH
        for peer in peers:
            while peer.engine.forget():
                pass
            peer.check_sums()

    def edit(self, peer: Peer, path: str, times: int) -> None:
        """A file is written to so often, and others may hear of it each time."""
        for number in range(times):
            peer.put(path, b"%d" % number)
            peer.look([os.fsencode(path)])
            peer.engine._changes.announced(Path(os.fsencode(path)))

    def old(self, peer: Peer, path: bytes) -> int:
        """How many superseded versions of a path are remembered."""
        return len(peer.row(path).history.superseded)

    def copy(self, peer: Peer, to: str) -> None:
        """The folder and the index of a box that is not running."""
        shutil.copytree(os.fsdecode(peer.root), os.path.join(self.base, to))
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(peer.state + suffix):
                shutil.copy(peer.state + suffix, os.path.join(self.base, to + ".sqlite" + suffix))

    def test_what_all_know_is_forgotten_after_a_month(self) -> None:
        a, b = self.peers("a", "b")
        self.edit(a, "file", 5)
        exchange(a, b)
        self.assertEqual((self.old(a, b"file"), self.old(b, b"file")), (4, 4))
        numbers = a.engine.ledger.highest, b.engine.ledger.highest
        a.engine.forget()
        self.wall += MONTH - 10
        a.engine.forget()
        self.assertEqual(self.old(a, b"file"), 4)
        self.forget(a, b)
        self.assertEqual((self.old(a, b"file"), self.old(b, b"file")), (0, 0))
        self.assertEqual((a.engine.ledger.highest, b.engine.ledger.highest), numbers)
        exchange(a, b)
        self.assertLevel(a, b)

    def test_a_deleted_path_is_forgotten(self) -> None:
        a, b = self.peers("a", "b")
        self.edit(a, "d/file", 3)
        exchange(a, b)
        shutil.rmtree(a.path("d"))
        exchange(a, b)
        self.forget(a)
        self.assertEqual((list(a.index.rows()), len(list(b.index.rows()))), ([], 2))
        self.assertLevel(a, b)
        a.put("d/file", b"new")
        exchange(a, b)
        self.assertEqual(b.get("d/file"), b"new")
        self.assertLevel(a, b)

    def test_who_was_away_for_a_thousand_edits_and_a_delete_brings_nothing_back(self) -> None:
        a, b, away = self.peers("a", "b", "away")
        a.put("file", b"first")
        a.put("other", b"first")
        exchange(a, b, away)
        self.edit(a, "file", 1000)
        self.edit(a, "other", 30)
        exchange(a, b)
        os.unlink(a.path("file"))
        exchange(a, b)
        self.forget(a, b)
        exchange(a, b, away)
        self.assertEqual(away.names(), {b"other"})
        self.assertEqual(away.kept(), [b"first", b"first"])
        self.assertLevel(a, b, away)

    def test_an_old_copy_of_the_folder_gets_the_deletes_while_they_are_remembered(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"content")
        exchange(a, b)
        copy = os.path.join(self.base, "c")
        shutil.copytree(os.fsdecode(a.root), copy, ignore=lambda *_: [".flocknode"])
        os.unlink(a.path("file"))
        exchange(a, b)
        self.wall += MONTH / 2
        a.engine.forget()
        c = self.peer("c")
        exchange(a, b, c)
        self.assertEqual((c.names(), c.kept()), (set(), [b"content"]))
        self.assertLevel(a, b, c)

    def test_a_restored_backup_brings_nothing_back_that_is_remembered(self) -> None:
        a, b, c = self.peers("a", "b", "c")
        a.put("file", b"content")
        exchange(a, b, c)
        c.kill()
        self.copy(c, "backup")
        c.start()
        self.set_clock(c)
        os.unlink(a.path("file"))
        exchange(a, b, c)
        self.forget(a)
        self.assertIsNone(a.index.row(b"file"))
        c.kill()
        shutil.rmtree(c.root)
        os.rename(os.path.join(self.base, "backup"), c.root)
        os.replace(os.path.join(self.base, "backup.sqlite"), c.state)
        c.start()
        self.assertEqual(c.names(), {b"file"})
        # They say what they have stored of it, which is more than it has.
        c.engine.acknowledged(a.holder, c.engine.ledger.index_id, a.number_of(c))
        # One who has forgotten hears of it first.
        a.hear(c)
        a.work()
        a.fetch([c])
        a.work()
        self.assertEqual(a.names(), {b"file"})
        exchange(a, b, c)
        self.assertEqual(c.names(), set())
        self.assertLevel(a, b, c)

    def test_who_never_showed_the_box_keeps_nobody_from_forgetting(self) -> None:
        stranger = BoxSettings(members=frozenset([self.peer("b").holder, self.peer("x").holder]))
        a = Peer(self.base, "a", stranger)
        self.addCleanup(a.kill)
        self.set_clock(a)
        b = self.peer("b2")
        b.holder = self.peer("b").holder
        self.edit(a, "file", 3)
        self.forget(a)
        self.assertEqual(self.old(a, b"file"), 2)
        exchange(a, b)
        self.forget(a)
        self.assertEqual(self.old(a, b"file"), 0)

    def test_who_is_no_member_any_more_is_not_waited_for(self) -> None:
        b, c = self.peers("b", "c")
        a = Peer(self.base, "a", BoxSettings(members=frozenset([b.holder])))
        self.addCleanup(a.kill)
        self.set_clock(a)
        exchange(a, b, c)
        self.edit(a, "file", 3)
        exchange(a, b)
        self.forget(a)
        self.assertEqual(self.old(a, b"file"), 0)

    def test_nothing_is_forgotten_of_what_somebody_has_not_heard(self) -> None:
        a, b, c = self.peers("a", "b", "c")
        exchange(a, b, c)
        a.put("other", b"x")
        exchange(a, b, c)
        self.edit(a, "file", 3)
        exchange(a, b)
        self.forget(a, b)
        self.assertEqual((self.old(a, b"file"), self.old(b, b"file")), (2, 2))

    def test_a_member_that_lost_its_index_has_to_acknowledge_anew(self) -> None:
        a, b = self.peers("a", "b")
        self.edit(a, "file", 3)
        exchange(a, b)
        a.engine.join(b.holder, 4711, 0, 0, [])
        self.forget(a)
        self.assertEqual(self.old(a, b"file"), 2)

    def test_two_who_edit_in_turn_do_not_remind_each_other_for_ever(self) -> None:
        a, b = self.peers("a", "b")
        self.edit(a, "file", 3)
        exchange(a, b)
        self.forget(a)
        self.assertEqual((self.old(a, b"file"), self.old(b, b"file")), (0, 2))
        self.edit(b, "file", 1)
        exchange(a, b)
        self.assertEqual((self.old(a, b"file"), self.old(b, b"file")), (1, 3))
        self.assertLevel(a, b)

    def test_a_deleted_directory_that_is_still_there_is_not_forgotten(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/file", b"x")
        exchange(a, b)
        shutil.rmtree(a.path("d"))
        exchange(a, b)
        # As if something ignored had kept it.
        os.mkdir(a.path("d"))
        self.forget(a)
        self.assertEqual({row.path for row in a.index.rows()}, {b"d"})

    def test_it_is_done_in_slices(self) -> None:
        a, b = self.peers("a", "b")
        for number in range(SLICE + 5):
            a.put(str(number), b"x")
        exchange(a, b)
        for number in range(SLICE + 5):
            os.unlink(a.path(str(number)))
        exchange(a, b)
        turns = []
        for _ in range(2):
            turns.append(1)
            while a.engine.forget():
                turns[-1] += 1
            self.wall += MONTH
        self.assertEqual((turns, list(a.index.rows())), ([3, 3], []))

    def test_what_is_forgotten_stays_so_after_a_restart(self) -> None:
        a, b = self.peers("a", "b")
        self.edit(a, "file", 3)
        exchange(a, b)
        self.forget(a)
        a.restart()
        self.set_clock(a)
        self.edit(b, "file", 1)
        exchange(a, b)
        self.assertEqual(self.old(a, b"file"), 1)

    def test_a_clock_that_was_ahead_forgets_nothing_early(self) -> None:
        a, b = self.peers("a", "b")
        self.edit(a, "file", 3)
        exchange(a, b)
        self.wall += 100 * MONTH
        a.engine.forget()
        self.wall -= 100 * MONTH
        self.forget(a)
        self.assertEqual(self.old(a, b"file"), 0)
