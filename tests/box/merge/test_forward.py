# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.merge.forward}.
"""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.merge.forward import brought_forward
from flocknode.box.merge.history import DIRECTORY
from flocknode.box.values import TOMBSTONE, History, Path
from tests.box.histories import ONE, TWO, after, first

FILE = first(ONE).history
EDITED = after(first(ONE), TWO).history
DELETED = after(first(ONE), TOMBSTONE).history
FOLDER = first(DIRECTORY).history
SWAPPED = after(first(DIRECTORY), ONE).history


class ForwardTests(SynchronousTestCase):
    def forward(self, page: dict[bytes, History], *later: bytes) -> set[bytes]:
        """What belongs to a page, if these come after it."""

        def below(path: Path) -> Iterable[Path]:
            return [Path(other) for other in later if other.startswith(path + b"/")]

        entries = [(Path(path), history) for path, history in page.items()]
        return set(brought_forward(entries, lambda path: path in later, below))

    def test_directories_above_what_is_alive(self) -> None:
        self.assertEqual(
            self.forward({b"a/b/c": FILE, b"a/b/d": FOLDER}, b"a", b"a/b", b"e"), {b"a", b"a/b"}
        )

    def test_only_those_that_come_later(self) -> None:
        self.assertEqual(self.forward({b"a/b/c": FILE}, b"a"), {b"a"})

    def test_nothing_above_what_is_deleted(self) -> None:
        self.assertEqual(self.forward({b"a/b": DELETED}, b"a"), set())

    def test_what_is_below_something_that_may_have_been_a_directory(self) -> None:
        for history in (DELETED, SWAPPED, EDITED):
            self.assertEqual(self.forward({b"a": history}, b"a/b", b"a/b/c", b"a.d"),
                             {b"a/b", b"a/b/c"})

    def test_nothing_below_a_directory_or_a_new_file(self) -> None:
        self.assertEqual(self.forward({b"a": FOLDER, b"b": FILE}, b"a/x", b"b/x"), set())
