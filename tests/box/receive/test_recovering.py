# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.recovering}.
"""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.events import Events
from flocknode.box.index.draft import Change
from flocknode.box.receive.recovering import Recovery
from flocknode.box.receive.tasks import FIRST_DELAY
from flocknode.box.values import Path

ROOT = Path(b"")
DONE: Any = object()


class Mover:
    """The disk fails a few times before it says what became of a batch."""

    def __init__(self, failures: int) -> None:
        self.unfinished = True
        self.failures = failures

    def recover(self, events: Events) -> list[Change]:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "it fails")
        self.unfinished = False
        return [DONE]


def _any(part: object) -> Any:
    """What is enough of that part here."""
    return part


class RecoveryTests(SynchronousTestCase):
    """What became of a batch is found out, sooner or later."""

    def make(self, failures: int) -> Recovery:
        """One with a disk that fails so often."""
        self.now = 10.0
        self.events = Events()
        self.problems: list[Path] = []
        self.mover = Mover(failures)
        index = SimpleNamespace(placing=lambda: [(Path(b"file"), b"")])
        return Recovery(
            _any(SimpleNamespace(index=index)),
            _any(self.mover),
            now=lambda: self.now,
            failed=lambda path, reason: self.problems.append(path),
        )

    def test_it_is_found_out_once(self) -> None:
        recovery = self.make(failures=0)
        self.assertEqual(recovery.attempt(self.events), [DONE])
        self.assertEqual(recovery.attempt(self.events), [])
        self.assertIsNone(recovery.due)

    def test_what_cannot_be_found_out_is_told_and_tried_later(self) -> None:
        recovery = self.make(failures=2)
        self.assertEqual(recovery.attempt(self.events), [])
        self.assertEqual(self.problems, [b"file"])
        self.assertEqual(recovery.due, self.now + FIRST_DELAY)
        self.assertEqual(recovery.attempt(self.events), [])
        self.assertEqual(self.mover.failures, 1, "too early")
        self.now += FIRST_DELAY
        recovery.attempt(self.events)
        self.assertEqual(recovery.due, self.now + 2 * FIRST_DELAY)
        self.now += 2 * FIRST_DELAY
        self.assertEqual(recovery.attempt(self.events), [DONE])

    def test_what_was_seen_meanwhile_is_looked_at_again(self) -> None:
        recovery = self.make(failures=1)
        recovery.attempt(self.events)
        self.assertTrue(recovery.postpone())
        self.assertNotIn(ROOT, self.events.rescan)
        self.now += FIRST_DELAY
        recovery.attempt(self.events)
        self.assertIn(ROOT, self.events.rescan)
        self.assertFalse(recovery.postpone())

    def test_nothing_is_looked_at_again_if_nothing_was_seen(self) -> None:
        recovery = self.make(failures=0)
        recovery.attempt(self.events)
        self.assertFalse(self.events.rescan)
