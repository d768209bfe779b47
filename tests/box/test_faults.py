# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Disks that refuse: each system call with each error, while a box takes over
changes of every kind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from twisted.trial.unittest import SkipTest

from flocknode.box.disk import syscalls
from flocknode.box.index.database import Index
from tests.box.everything import before, change
from tests.box.filling import CANNOT
from tests.box.peers import Peer, PeerCase, exchange

ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG,
    errno.EMFILE,
)  # fmt: skip

CALLS = (
    "open", "pwrite", "fsync", "fchmod", "utime", "rename", "mkdir", "rmdir", "symlink",
    "unlink", "ftruncate",
)  # fmt: skip
"""Of the module C{os}; beside these there is L{syscalls.rename}."""


LONG = bool(os.environ.get("FLOCKNODE_SOAK"))


class Refusing:
    """
    While L{number} is set, calls that change something in a box are refused.

    @ivar number: the error.
    @ivar name: only for this file name, if one is set.
    @ivar count: how often something was refused.
    """

    def __init__(self, case: PeerCase, peer: Peer, *calls: str) -> None:
        self.number = 0
        self.name: bytes | None = None
        self.count = 0
        self._root = os.path.abspath(peer.root)
        for call in calls:
            if call == "rename2":
                case.patch(syscalls, "rename", self._instead(syscalls.rename, call))
            else:
                case.patch(os, call, self._instead(getattr(os, call), call))

    def _instead(self, real: Callable[..., Any], call: str) -> Callable[..., Any]:
        def refuse(*arguments: Any, **named: Any) -> Any:
            if self.number and self._is_meant(call, arguments, named):
                self.count += 1
                raise OSError(self.number, os.strerror(self.number))
            return real(*arguments, **named)

        return refuse

    def _is_meant(self, call: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
        everything = [*arguments, *named.values()]
        if call == "open" and not (arguments[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)):
            return False
        if self.name is not None and self.name not in everything:
            return False
        return any(isinstance(each, int) and self._is_ours(each) for each in everything)

    def _is_ours(self, descriptor: int) -> bool:
        try:
            return os.readlink(b"/proc/self/fd/%d" % descriptor).startswith(self._root)
        except OSError:
            return False


class FaultCase(PeerCase):
    count = 0

    def pair(self) -> tuple[Peer, Peer]:
        self.count += 1
        a, b = self.peers(f"a{self.count}", f"b{self.count}")
        return a, b

    def assertSentences(self, peer: Peer) -> None:
        for _, reason in peer.engine.snapshot().problems:
            self.assertRegex(reason, r"^[A-Z].*[a-z)]\.$")


class RefusedTests(FaultCase):
    def one(self, call: str, number: int) -> None:
        a, b = self.pair()
        before(a)
        exchange(a, b)
        had = set(b.contents())
        change(a)
        left = a.tree()
        refusing = Refusing(self, b, call)
        refusing.number = number
        exchange(a, b)
        b.wait(1)
        b.wait(3)
        if refusing.count:
            self.assertSentences(b)
            if b.tree() != left:
                self.assertTrue(b.planner.problems, "nothing says why")
                self.assertTrue(list(b.index.pending()))
        self.assertEqual(had - set(b.contents()) - set(b.stored()), set())
        self.assertEqual(set(b.contents()) - had - set(a.contents()), set())
        refusing.number = 0
        b.wait(400)
        exchange(a, b)
        self.assertEqual(a.tree(), left)
        self.assertLevel(a, b)
        for peer in (a, b):
            peer.kill()

    def test_whatever_is_refused_nothing_is_lost_and_it_goes_on_afterwards(self) -> None:
        for place, call in enumerate((*CALLS, "rename2")):
            for number in ERRORS if LONG else (ERRORS[place % len(ERRORS)],):
                with self.subTest(call=call, error=errno.errorcode[number]):
                    self.one(call, number)


class OneRefusedTests(FaultCase):
    """Only one file is refused."""

    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.pair()
        self.refusing = Refusing(self, self.b, "rename2")
        self.refusing.name = b"bad"
        self.a.put("good", b"good content")
        self.a.put("bad", b"bad content")

    def test_it_stays_needed_for_a_reason_and_everything_else_goes_on(self) -> None:
        for number in ERRORS:
            with self.subTest(error=errno.errorcode[number]):
                self.refusing.number = number
                exchange(self.a, self.b)
                self.assertEqual(self.b.names(), {b"good"})
                snapshot = self.b.engine.snapshot()
                self.assertEqual(snapshot.needed, 1)
                self.assertEqual([path for path, _ in snapshot.problems], [b"bad"])
                self.assertSentences(self.b)

    def test_it_is_tried_again_less_and_less_often(self) -> None:
        self.refusing.number = errno.EIO
        exchange(self.a, self.b)
        counts = []
        for _ in range(4):
            before = self.refusing.count
            for _ in range(100):
                self.b.wait(1)
            counts.append(self.refusing.count - before)
        self.assertGreater(counts[0], counts[-1])
        self.assertLess(sum(counts), 20)
        self.refusing.number = 0
        self.b.wait(400)
        self.assertEqual(self.b.names(), {b"good", b"bad"})
        self.assertEqual(self.b.engine.snapshot().problems, ())


class FullIndexTests(FaultCase):
    """The disk of the index is full for three transactions, whichever these are."""

    def run_full(self, at: int, committing: bool) -> bool:
        """@return: whether there were so many."""
        a, b = self.pair()
        before(a)
        exchange(a, b)
        had = set(b.contents())
        change(a)
        left = a.tree()
        real, count = Index.transaction, 0

        @contextlib.contextmanager
        def transaction(index: Index) -> Iterator[None]:
            nonlocal count
            count += index is b.index
            full = index is b.index and at <= count < at + 3
            if full and not committing:
                raise sqlite3.OperationalError("database or disk is full")
            with real(index):
                yield
                if full:
                    raise sqlite3.OperationalError("database or disk is full")

        self.patch(Index, "transaction", transaction)
        for _ in range(10):
            try:
                exchange(a, b)
                break
            except sqlite3.OperationalError:
                # As a box does: it tries again later, and looks at everything.
                self.assertEqual(had - set(b.contents()) - set(b.stored()), set())
                b.time += 5
        else:
            self.fail("It never goes on.")
        b.wait(400)
        exchange(a, b)
        self.assertEqual(a.tree(), left)
        self.assertLevel(a, b)
        self.assertEqual(had - set(b.contents()) - set(b.kept()), set())
        self.patch(Index, "transaction", real)
        for peer in (a, b):
            peer.kill()
        return count >= at

    def test_nothing_is_lost_and_it_goes_on_afterwards(self) -> None:
        at = 1
        while self.run_full(at, True) and self.run_full(at, False):
            at += 1
        self.assertGreater(at, 5)


class FullDiskTests(FaultCase):
    def test_a_full_file_system_holds_up_only_what_does_not_fit(self) -> None:
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        unshare = ["unshare", "--mount"]
        if os.geteuid() != 0:
            unshare += ["--user", "--map-root-user"]
        command = [*unshare, sys.executable, "-m", "tests.box.filling", os.path.abspath(self.base)]
        if shutil.which("unshare") is None:
            raise SkipTest("there is no unshare here to mount something with")
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode == CANNOT or done.stderr.startswith("unshare:"):
            raise SkipTest("this user may not mount anything here")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
