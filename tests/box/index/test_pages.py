# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.index.pages}, and for what becomes of pages.
"""

from __future__ import annotations

import os
import shutil

from flocknode.box.index.draft import Draft
from flocknode.box.index.pages import read_page
from flocknode.box.values import Path
from tests.box.peers import Peer, PeerCase, exchange

ONE = 1
"""Bytes: a page of one entry."""


class PageTests(PeerCase):
    def renew(self, peer: Peer, *paths: bytes) -> None:
        """Give these new numbers, in this order."""
        for path in paths:
            draft = Draft(peer.index)
            draft.renew(Path(path))
            peer.engine.ledger.commit(draft)

    def page(self, peer: Peer, number: int, limit: int) -> tuple[list[bytes], int | None]:
        rows, to = read_page(peer.index, number, limit)
        return [row.path for row in rows], to

    def test_pages_follow_each_other(self) -> None:
        a = self.peer("a")
        for name in "abc":
            a.put(name, b"x")
        a.scan()
        self.assertEqual(self.page(a, 0, ONE), ([b"a"], 1))
        self.assertEqual(self.page(a, 1, ONE), ([b"b"], 2))
        self.assertEqual(self.page(a, 2, ONE), ([b"c"], None))
        self.assertEqual(self.page(a, 0, 10_000), ([b"a", b"b", b"c"], None))
        self.assertEqual(self.page(a, 3, ONE), ([], None))

    def test_a_directory_is_brought_forward(self) -> None:
        a = self.peer("a")
        for number in range(9):
            a.put(f"d/e/{number}", b"x")
        a.scan()
        self.renew(a, b"d", b"d/e")
        page, to = self.page(a, 0, 1100)
        self.assertEqual(page[-2:], [b"d", b"d/e"])
        self.assertTrue(all(path.startswith(b"d/e/") for path in page[:-2]))
        self.assertEqual(to, a.row(page[-3]).number)
        # They come again in their place.
        assert to is not None
        self.assertEqual(self.page(a, to, 10_000)[0][-2:], [b"d", b"d/e"])

    def test_no_more_is_brought_forward_than_fits(self) -> None:
        a = self.peer("a")
        a.put("d/file", b"x")
        for number in range(50):
            a.put(f"d/e/{number:02}", b"x")
        a.scan()
        exchange(a, self.peer("b"))
        shutil.rmtree(a.path("d/e"))
        a.put("d/e", b"a file")
        a.scan()
        self.renew(a, *(b"d/e/%02d" % number for number in range(50)))
        start = a.row(b"d/e").number - 1
        rows, to = read_page(a.index, start, 2_000)
        assert to is not None
        self.assertIn(sum(row.number > to for row in rows), range(1, 5))
        self.assertEqual(self.page(a, start, ONE)[0], [b"d/e"])

    def test_a_page_that_ends_within_a_swap_makes_no_conflict(self) -> None:
        """A directory with a file in it became a file."""
        a, b = self.peers("a", "b")
        a.put("d/x", b"old")
        exchange(a, b)
        shutil.rmtree(a.path("d"))
        a.put("d", b"new")
        a.scan()
        self.renew(a, b"d/x")
        for number in range(20):
            a.put(f"more{number}", b"x")
        a.scan()
        start = a.row(b"d").number - 1
        entries, to = a.engine.entries_after(start, 900)
        self.assertEqual([entry.path for entry in entries][:1], [b"d"])
        assert b.engine.join(a.holder, a.engine.ledger.index_id, b.number_of(a), start, [])
        self.assertTrue(b.engine.join(a.holder, a.engine.ledger.index_id, start, to, entries))
        b.work()
        b.fetch([a])
        b.work()
        exchange(a, b)
        self.assertEqual(b.engine.snapshot().conflicts, ())
        self.assertEqual(b.get("d"), b"new")
        self.assertLevel(a, b)

    def test_a_directory_whose_content_was_announced_leaves_when_it_is_removed(self) -> None:
        """It was handed out with that: nobody has to imply it for ever."""
        a, b = self.peers("a", "b")
        os.makedirs(a.path("d/e"))
        for number in range(20):
            a.put(f"d/e/{number}", b"x")
        a.scan()
        os.chmod(a.path("d"), 0o700)
        a.scan()
        entries, to = a.engine.entries_after(0, 1200)
        self.assertIn(b"d", [entry.path for entry in entries])
        assert to < a.row(b"d").number
        b.engine.join(a.holder, a.engine.ledger.index_id, 0, to, entries)
        shutil.rmtree(a.path("d"))
        exchange(a, b)
        self.assertEqual((a.names(), b.names()), (set(), set()))
