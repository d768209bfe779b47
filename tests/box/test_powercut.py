# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box on a disk whose power fails at every operation, and what was not synced
is lost or not.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os

from flocknode.box.disk import directories, prepare, syscalls
from flocknode.box.index.database import Index
from flocknode.testing import powercut
from flocknode.testing.inodes import REAL, Data
from flocknode.testing.powercut import Off, PowerCut
from tests.box.everything import before, change
from tests.box.folders import refuse
from tests.box.peers import Peer, PeerCase, exchange

LONG = bool(os.environ.get("FLOCKNODE_SOAK"))

OUTCOMES: tuple[tuple[str, Data], ...] = (
    ("durable", "dropped"), ("all", "torn"), ("durable", "torn"), ("all", "dropped"),
    ("some", "dropped"), ("all", "kept"), ("some", "torn"), ("durable", "kept"),
)  # fmt: skip
"""Which changes of names survive, and which bytes: in this order."""


class WithoutSync:
    """The module C{os}, with a C{fsync} that does nothing."""

    def __getattr__(self, name: str) -> object:
        if name == "fsync":
            return lambda descriptor: None
        return getattr(os, name)


def no_sync(descriptor: int) -> None:
    """Nothing here survives the real power's failing, nor has to."""


class PowerCutCase(PeerCase):
    """
    Box C{a} changes everything in every way, and the power of box C{b} fails
    while it takes that over.
    """

    count = 0

    def setUp(self) -> None:
        super().setUp()
        open_index = Index.__init__

        def open_quickly(index: Index, path: str, reading: bool = False) -> None:
            open_index(index, path, reading)
            index._db.execute("PRAGMA synchronous = OFF")

        self.patch(Index, "__init__", open_quickly)
        self.addCleanup(REAL.__setitem__, "fsync", REAL["fsync"])
        REAL["fsync"] = no_sync
        self.patch(os, "fsync", no_sync)

    def run_cut(self, at: int, names: str, data: Data, again: int = 0) -> list[object]:
        """
        Let the power fail once (and perhaps again while that is mended).

        @return: what is wrong then; or C{"end"}: there was no such operation.
        """
        self.count += 1
        a, b = self.peers(f"a{self.count}", f"b{self.count}")
        before(a)
        exchange(a, b)
        had = set(b.contents())
        change(a)
        known = had | set(a.contents())
        left = a.tree()
        cut = self.cut_during(b, at, lambda: exchange(a, b), names, data)
        if not cut:
            return ["end"]
        wrong = self.wrong(b, had, known, "at once")
        if again and self.cut_during(b, again, b.start, names, data):
            wrong += self.wrong(b, had, known, "after the second time")
        b.start()
        b.work()
        wrong += self.wrong(b, had, known, "after the start")
        exchange(a, b)
        wrong += self.wrong(b, had, known, "in the end")
        if a.tree() != left:
            wrong.append("undone")
        if b.tree() != left:
            wrong.append("not level")
        if b.index.placing() or b.planner.problems or b.engine.snapshot().conflicts:
            wrong.append("not settled")
        for peer in (a, b):
            peer.kill()
        return wrong

    def cut_during(self, peer: Peer, at: int, what: object, names: str, data: Data) -> bool:
        assert callable(what)
        disk = PowerCut(os.path.abspath(peer.root), peer.root + b".yard", at)
        try:
            with contextlib.suppress(Off), disk.on():
                what()
            if not disk.off:
                return False
            peer.kill()
            survive = {
                "durable": disk.durable,
                "some": (disk.durable + disk.changes + 1) // 2,
                "all": disk.changes,
            }
            disk.crash(survive[names], data)
            return True
        finally:
            disk.close()

    def wrong(self, peer: Peer, had: set[bytes], known: set[bytes], when: str) -> list[object]:
        """What is in the folder and was never written, and what is gone."""
        there = set(peer.contents())
        partial = [(when, "partial", data[:20], len(data)) for data in there - known]
        gone = [(when, "gone", data[:20]) for data in had - there - set(peer.stored())]
        return [*partial, *gone]

    def all_wrong(self, step: int = 1) -> list[object]:
        """Every operation (or every C{step}th), each with one of the outcomes, in turn."""
        found: list[object] = []
        for number, at in enumerate(itertools.count(1, step)):
            for names, data in OUTCOMES if LONG else (OUTCOMES[number % len(OUTCOMES)],):
                wrong = self.run_cut(at, names, data, at % 7)
                if wrong == ["end"]:
                    self.assertGreater(at, 60)
                    return found
                found += [(at, names, data, each) for each in wrong]
        return found

    def caught(self) -> None:
        """
        @raise FailTest: no power failure has shown that something is wrong.
        """
        for at in itertools.count(40):
            for names, data in OUTCOMES[:2]:
                wrong = self.run_cut(at, names, data)
                if wrong == ["end"]:
                    self.fail("the mutant lives")
                if wrong:
                    return


class PowerCutTests(PowerCutCase):
    def test_nothing_is_lost_and_nothing_partial_is_seen(self) -> None:
        self.assertEqual(self.all_wrong(1 if LONG else 2), [])

    def test_files_that_are_not_synced_are_caught(self) -> None:
        self.patch(prepare, "os", WithoutSync())
        self.caught()

    def test_directories_that_are_not_synced_are_caught(self) -> None:
        self.patch(directories, "_sync", lambda executor, opened: {})
        self.caught()


class WithoutRenameat2Tests(PowerCutCase):
    """The same where names cannot be exchanged."""

    def setUp(self) -> None:
        super().setUp()
        refused = refuse(errno.EINVAL)
        self.patch(syscalls, "rename", refused)
        self.patch(powercut, "_real_rename2", refused)

    def test_nothing_is_lost_and_nothing_partial_is_seen(self) -> None:
        self.assertEqual(self.all_wrong(1 if LONG else 3), [])
