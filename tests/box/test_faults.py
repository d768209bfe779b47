# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Disks that refuse: each system call with each error, while a box takes over
changes of every kind.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from typing import Any

from flocknode.box.disk import syscalls
from flocknode.box.index.database import Index
from tests.box.everything import before, change
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
                self.assertTrue([row for row in b.index.pending()])
        self.assertEqual(had - set(b.contents()) - set(b.kept()), set())
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
            # Each call with each error would be more of the same.
            for number in ERRORS[place % 2 :: 2]:
                with self.subTest(call=call, error=errno.errorcode[number]):
                    self.one(call, number)
