# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box that is killed in the middle of what it does, at every step of it.
"""

from __future__ import annotations

import os

from flocknode.box.values import Path
from tests.box.everything import before, change
from tests.box.peers import Killed, PeerCase, exchange


class CrashTests(PeerCase):
    """
    Box C{a} changes everything in every way, box C{b} takes it over and is
    killed on the way, as often as there are steps.
    """

    def run_killed(self, at: int) -> bool:
        """@return: whether there was a step to be killed at."""
        a, b = self.peers(f"a{at}", f"b{at}")
        before(a)
        exchange(a, b)
        had = b.contents()
        change(a)
        steps = 0

        def kill(step: str, path: Path) -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                raise Killed(step)

        b.hook = kill
        killed = False
        try:
            exchange(a, b)
        except Killed:
            killed = True
            b.hook = lambda step, path: None
            b.restart()
            exchange(a, b)
        self.assertLevel(a, b)
        self.assertEqual(b.index.placing(), [])
        self.assertEqual(a.engine.snapshot().conflicts, ())
        # Nothing that was complete is gone.
        self.assertEqual(set(had) - set(b.contents()) - set(b.kept()), set())
        known = {row.name for row in b.index.contents.kept()}
        self.assertEqual(set(b.site.versions.names()), known)
        return killed

    def test_killed_at_any_step_of_placing(self) -> None:
        at = 1
        while self.run_killed(at):
            at += 1
        self.assertGreater(at, 20)

    def test_a_change_after_the_crash_survives(self) -> None:
        for step in ("exchanged", "acted", "synced"):
            a, b = self.peers("a" + step, "b" + step)
            a.put("plan", b"base", mtime=1)
            exchange(a, b)
            a.put("plan", b"from a", mtime=10)

            def kill(now: str, path: Path, step: str = step) -> None:
                if now == step:
                    raise Killed(now)

            b.hook = kill
            self.assertRaises(Killed, exchange, a, b)
            b.hook = lambda step, path: None
            b.kill()
            b.put("plan", b"from b", mtime=5)
            b.start()
            exchange(a, b)
            # It was made by somebody who saw what had just been placed.
            self.assertEqual(b.contents(), [b"from b"])
            self.assertIn(b"base", b.kept())
            self.assertIn(b"from a", a.kept())
            self.assertLevel(a, b)

    def test_a_change_of_the_last_instant_before_the_crash_survives(self) -> None:
        a, b = self.peers("a", "b")
        a.put("plan", b"base", mtime=1)
        exchange(a, b)
        a.put("plan", b"from a", mtime=10)

        def kill(step: str, path: Path) -> None:
            if step == "checked" and path == b"plan":
                b.put("plan", b"from b", mtime=20)
            if step == "exchanged":
                raise Killed(step)

        b.hook = kill
        self.assertRaises(Killed, exchange, a, b)
        b.hook = lambda step, path: None
        b.restart()
        exchange(a, b)
        self.assertEqual(b.contents(), [b"from a", b"from b"])
        self.assertLevel(a, b)

    def test_a_large_file_goes_on_where_it_was_interrupted(self) -> None:
        a, b = self.peers("a", "b")
        a.put("large", os.urandom(128 * 1024 * 10))
        a.scan()
        b.hear(a)
        b.work()
        b.fetch([a])
        b.work()
        b.fetch([a], limit=6)
        b.restart()
        b.work()
        self.assertEqual(len(b.needs()), 4)
        exchange(a, b)
        self.assertEqual(len(b.asked), 1 + 10)
        self.assertLevel(a, b)

    def test_a_failing_disk_while_placing_loses_nothing(self) -> None:
        a, b = self.peers("a", "b")
        before(a)
        exchange(a, b)
        change(a)

        def fail(step: str, path: Path) -> None:
            if step == "acted":
                b.hook = lambda step, path: None
                raise OSError(5, "Input/output error")

        b.hook = fail
        exchange(a, b)
        b.wait(2)
        exchange(a, b)
        self.assertLevel(a, b)
