# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is made of something large is made once.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from weakref import ref

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocknode.forban.site.derived import Derived


class Large:
    """Of this something is made."""

    def __init__(self, name: str) -> None:
        self.name = name


class Made(SynchronousTestCase):
    """Threads that are ended by hand."""

    def setUp(self) -> None:
        self.running: list[Deferred[str]] = []
        self.derived = Derived[Large, str](self.in_thread, lambda large: large.name, most=2)

    def in_thread(self, make: Callable[[Large], str], source: Large) -> Deferred[str]:
        """It runs until L{end}."""
        running: Deferred[str] = Deferred()
        self.running.append(running)
        return running

    def end(self, result: str | Exception) -> None:
        """The first thread is done."""
        running = self.running.pop(0)
        if isinstance(result, Exception):
            running.errback(result)
        else:
            running.callback(result)

    def test_all_who_ask_meanwhile_get_the_same(self) -> None:
        source = Large("it")
        first, second = self.derived.of(source), self.derived.of(source)
        self.assertEqual(len(self.running), 1)
        self.end("made")
        self.assertEqual(self.successResultOf(first), "made")
        self.assertEqual(self.successResultOf(second), "made")
        self.assertEqual(self.successResultOf(self.derived.of(source)), "made")
        self.assertEqual(self.running, [])

    def test_another_source_is_another_thing(self) -> None:
        one, two = Large("1"), Large("2")
        first = self.derived.of(one)
        second = self.derived.of(two)
        self.end("one")
        self.assertEqual(self.successResultOf(first), "one")
        self.end("two")
        self.assertEqual(self.successResultOf(second), "two")
        self.assertEqual(self.successResultOf(self.derived.of(two)), "two")
        self.assertNoResult(self.derived.of(one))

    def test_what_fails_is_tried_again(self) -> None:
        source = Large("1")
        first = self.derived.of(source)
        self.end(ValueError())
        self.failureResultOf(first, ValueError)
        again = self.derived.of(source)
        self.end("one")
        self.assertEqual(self.successResultOf(again), "one")

    def test_only_so_many_are_kept(self) -> None:
        sources = {name: Large(name) for name in "123"}
        for name, source in sources.items():
            self.derived.of(source, key=name)
            self.end(name)
        self.derived.of(sources["2"], key="2")
        self.assertEqual(self.running, [])
        self.derived.of(sources["1"], key="1")
        self.assertEqual(len(self.running), 1)

    def test_nothing_is_kept_of_what_nobody_has_any_more(self) -> None:
        source = Large("1")
        self.derived.of(source)
        self.end("one")
        self.assertEqual(len(self.derived), 1)
        seen = ref(source)
        del source
        gc.collect()
        self.assertIsNone(seen())
        self.assertEqual(len(self.derived), 0)
