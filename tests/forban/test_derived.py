# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is made of something large is made once.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocknode.forban.derived import Derived


class Made(SynchronousTestCase):
    """Threads that are ended by hand."""

    def setUp(self) -> None:
        self.running: list[tuple[object, Deferred[str]]] = []
        self.derived = Derived[object, str](self.in_thread, str, most=2)

    def in_thread(self, make: Callable[[object], str], source: object) -> Deferred[str]:
        """It runs until L{end}."""
        running: Deferred[str] = Deferred()
        self.running.append((source, running))
        return running

    def end(self, result: str | Exception) -> None:
        """The first thread is done."""
        running = self.running.pop(0)[1]
        if isinstance(result, Exception):
            running.errback(result)
        else:
            running.callback(result)

    def test_all_who_ask_meanwhile_get_the_same(self) -> None:
        source = object()
        first, second = self.derived.of(source), self.derived.of(source)
        self.assertEqual(len(self.running), 1)
        self.end("made")
        self.assertEqual(self.successResultOf(first), "made")
        self.assertEqual(self.successResultOf(second), "made")
        self.assertEqual(self.successResultOf(self.derived.of(source)), "made")
        self.assertEqual(self.running, [])

    def test_another_source_is_another_thing(self) -> None:
        first = self.derived.of("1")
        second = self.derived.of("2")
        self.end("one")
        self.assertEqual(self.successResultOf(first), "one")
        self.end("two")
        self.assertEqual(self.successResultOf(second), "two")
        self.assertEqual(self.successResultOf(self.derived.of("2")), "two")
        self.assertNoResult(self.derived.of("1"))

    def test_what_fails_is_tried_again(self) -> None:
        first = self.derived.of("1")
        self.end(ValueError())
        self.failureResultOf(first, ValueError)
        again = self.derived.of("1")
        self.end("one")
        self.assertEqual(self.successResultOf(again), "one")

    def test_only_so_many_are_kept(self) -> None:
        sources = ["1", "2", "3"]
        for source in sources:
            self.derived.of(source, key=source)
            self.end(source)
        self.derived.of("2", key="2")
        self.assertEqual(self.running, [])
        self.derived.of("1", key="1")
        self.assertEqual(len(self.running), 1)
