# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.hashers}.
"""

from __future__ import annotations

import os

from flocknode.box.disk.folder import Stat
from flocknode.box.survey import hashers
from flocknode.box.survey.hashers import Hashers
from flocknode.box.survey.hashing import Changed, Hashed, Scanner
from flocknode.box.values import Path
from tests.box.peers import PeerCase


class HashersTests(PeerCase):
    def setUp(self) -> None:
        super().setUp()
        self.box = self.peer("a")
        self.scanner = Scanner(self.box.site.view)
        self.by_hand: list[Path] = []
        real = self.scanner.hash_file

        def hash_file(path: Path, *arguments: object, **named: object) -> Hashed:
            self.by_hand.append(path)
            return real(path, *arguments, **named)  # type: ignore[arg-type]

        self.patch(self.scanner, "hash_file", hash_file)

    def hashers(self, threads: int | None = None) -> Hashers:
        made = Hashers(self.box.site, self.scanner, lambda: False, threads)
        self.addCleanup(made.close)
        return made

    def wanted(self, *sizes: int) -> list[tuple[Path, Stat]]:
        found = []
        for number, size in enumerate(sizes):
            path = Path(b"f%d" % number)
            self.box.put(f"f{number}", os.urandom(size))
            stat = self.box.site.view.lstat(path)
            assert stat is not None
            found.append((path, stat))
        return found

    def test_processes_find_what_threads_find(self) -> None:
        self.patch(hashers, "ENOUGH", 1_000_000)
        self.patch(hashers, "BUNCH", 500_000)
        self.patch(hashers, "ALONE", 3_000_000)
        wanted = self.wanted(0, 5, 131_072, 131_073, 400_000, 800_000, 2_000_000, 3_000_000)
        threads, processes = self.hashers(1), self.hashers()
        expected = threads.end(threads.begin(wanted))
        self.assertEqual(len(expected), 8)
        self.by_hand.clear()
        begun = processes.begin(wanted)
        self.assertIsNotNone(begun.asked)
        self.assertEqual(processes.end(begun), expected)
        # The small ones, and the largest.
        self.assertEqual(self.by_hand, [b"f0", b"f1", b"f2", b"f7"])

    def test_for_little_no_process_is_started(self) -> None:
        wanted = self.wanted(200_000, 300_000)
        made = self.hashers()
        begun = made.begin(wanted)
        self.assertIsNone(begun.asked)
        self.assertEqual(set(made.end(begun)), {b"f0", b"f1"})

    def test_what_processes_do_not_answer_is_hashed_here(self) -> None:
        self.patch(hashers, "ENOUGH", 1)
        wanted = self.wanted(200_000, 300_000, 400_000)
        made = self.hashers()
        begun = made.begin(wanted)
        assert made._processes is not None
        made._processes.close()
        done = made.end(begun)
        self.assertEqual(sorted(self.by_hand), [b"f0", b"f1", b"f2"])
        self.assertTrue(all(isinstance(each, Hashed) for each in done.values()))

    def test_what_has_changed_or_gone_is_told_as_such(self) -> None:
        self.patch(hashers, "ENOUGH", 1)
        wanted = self.wanted(200_000, 300_000, 400_000)
        self.box.put("f0", os.urandom(200_001))
        os.unlink(self.box.path("f1"))
        made = self.hashers()
        done = made.end(made.begin(wanted))
        self.assertIsInstance(done[Path(b"f0")], Changed)
        self.assertIsInstance(done[Path(b"f1")], FileNotFoundError)
        self.assertIsInstance(done[Path(b"f2")], Hashed)
