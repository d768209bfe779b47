# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.deletions}: many deletions at a time wait
until somebody says that they were meant.
"""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.receive.deletions import GATHER, PAUSE, is_too_much
from flocknode.box.settings import BoxSettings
from tests.box.peers import Peer, PeerCase, exchange

HALF = BoxSettings(confirm_deletes=0.5)


class DecisionTests(SynchronousTestCase):
    def test_more_than_the_share_is_too_much(self) -> None:
        self.assertFalse(is_too_much(5, 10, 0.5))
        self.assertTrue(is_too_much(6, 10, 0.5))

    @given(st.integers(1, 1000), st.floats(0, 1))
    def test_all_is_too_much_unless_all_is_the_share(self, files: int, share: float) -> None:
        self.assertEqual(is_too_much(files, files, share), share < 1)

    @given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0, 1))
    def test_fewer_are_never_too_much_where_more_are_not(
        self, deletions: int, files: int, share: float
    ) -> None:
        if not is_too_much(deletions + 1, files, share):
            self.assertFalse(is_too_much(deletions, files, share))


class WaveTests(PeerCase):
    """Box C{a} deletes, box C{b} asks."""

    def setUp(self) -> None:
        super().setUp()
        self.a = self.peer("a")
        self.b = Peer(self.base, "b", HALF)
        self.addCleanup(self.b.kill)
        for number in range(10):
            self.a.put(f"folder/{number}", b"content of %d" % number)
        exchange(self.a, self.b)

    def delete(self, *numbers: int) -> None:
        for number in numbers:
            os.unlink(self.a.path(f"folder/{number}"))

    def settle(self) -> None:
        exchange(self.a, self.b)
        self.b.wait(GATHER)

    @property
    def left(self) -> int:
        return len(self.b.contents())

    @property
    def unconfirmed(self) -> int:
        return self.b.engine.snapshot().unconfirmed

    def test_a_few_go_without_asking(self) -> None:
        self.delete(0, 1, 2, 3, 4)
        self.settle()
        self.assertEqual((self.left, self.unconfirmed), (5, 0))

    def test_many_wait_and_the_rest_goes_on(self) -> None:
        self.delete(*range(6))
        self.a.put("new", b"new content")
        self.settle()
        self.assertEqual((self.left, self.unconfirmed), (11, 6))
        self.b.wait(10 * PAUSE)
        self.assertEqual(self.left, 11)

    def test_nothing_is_done_again_and_again_while_they_wait(self) -> None:
        self.delete(*range(6))
        self.settle()
        self.assertEqual(self.b.engine.delay(), None)

    def test_confirmed_they_go(self) -> None:
        self.delete(*range(6))
        self.settle()
        self.assertEqual(self.b.engine.confirm(), 6)
        self.b.work()
        self.assertEqual((self.left, self.unconfirmed), (4, 0))
        self.assertEqual(len(self.b.kept()), 6)

    def test_what_is_put_back_is_not_asked_for_any_more(self) -> None:
        self.delete(*range(6))
        self.settle()
        for number in range(6):
            self.a.put(f"folder/{number}", b"content of %d" % number)
        self.settle()
        self.assertEqual((self.left, self.unconfirmed), (10, 0))
        self.b.wait(2 * PAUSE)
        self.delete(7)
        self.settle()
        self.assertEqual(self.left, 9)

    def test_they_still_wait_after_a_restart(self) -> None:
        self.delete(*range(6))
        self.settle()
        self.b.restart()
        self.b.wait(10)
        self.assertEqual((self.left, self.unconfirmed), (10, 6))
        self.b.engine.confirm()
        self.b.work()
        self.assertEqual(self.left, 4)

    def test_one_wave_in_parts_is_one_wave(self) -> None:
        for number in range(10):
            self.delete(number)
            self.settle()
            self.b.wait(5)
        self.assertEqual((self.left, self.unconfirmed), (5, 5))

    def test_a_few_now_and_a_few_later_are_no_wave(self) -> None:
        for number in range(9):
            self.delete(number)
            self.settle()
            self.b.wait(PAUSE + 1)
        self.assertEqual((self.left, self.unconfirmed), (1, 0))

    def test_renaming_everything_is_no_deletion(self) -> None:
        os.rename(self.a.path("folder"), self.a.path("other"))
        self.settle()
        self.assertEqual((self.left, self.unconfirmed), (10, 0))
        self.assertNotIn(b"folder", self.b.names())

    def test_what_is_deleted_here_is_not_asked_for(self) -> None:
        for number in range(10):
            os.unlink(self.b.path(f"folder/{number}"))
        self.b.scan()
        self.settle()
        self.assertEqual((len(self.a.contents()), self.left), (0, 0))

    def test_without_a_share_nothing_waits(self) -> None:
        plain = self.peer("plain")
        exchange(self.a, plain)
        self.delete(*range(10))
        exchange(self.a, plain)
        self.assertEqual(plain.contents(), [])
