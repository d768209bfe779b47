# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.fetched}.
"""

from __future__ import annotations

import os
from pathlib import Path as FolderPath

import attrs
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.listing import ListedFile
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.fetch.fetched import Arrival, Arrived, Brought, Fetched, Note
from flocknode.forban.fetch.wanting import Version

A, B = Path(b"a"), Path(b"d/\xff b")
ARRIVAL = Arrival("0123", "papers", A, 5, None, 1e9, False)


class FetchedTests(SynchronousTestCase):
    """What was brought in."""

    def setUp(self) -> None:
        self.path = os.path.join(self.mktemp(), "state", "fetched.sqlite")
        self.fetched = self.open()

    def open(self) -> Fetched:
        """The database, as a new process finds it."""
        fetched = Fetched(self.path)
        self.addCleanup(fetched.close)
        return fetched

    def test_what_was_brought_in_is_known_after_a_restart(self) -> None:
        self.fetched.note([Brought("papers", A, Version(5), 1e9)])
        self.fetched.note([Brought("papers", A, Version(6, b"h" * 32), 1e9)])
        self.fetched.note([Brought("papers", B, Version(0), 1e9)])
        self.fetched.note([Brought("books", A, Version(7), 1e9)])
        found = self.open().versions("papers", [A, B, Path(b"c")])
        self.assertEqual(
            {path: set(versions) for path, versions in found.items()},
            {A: {Version(5), Version(6, b"h" * 32)}, B: {Version(0)}},
        )

    def test_what_was_shown_and_is_gone_is_known_as_well(self) -> None:
        files = [ListedFile(A, 5, 10**18, b"h" * 32), ListedFile(B, 0, 10**18, b"i" * 32)]
        self.fetched.gone("papers", files, 1e9)
        found = self.open().versions("papers", [A, B])
        self.assertEqual(found, {A: [Version(5, b"h" * 32)], B: [Version(0, b"i" * 32)]})
        self.assertEqual(self.fetched.today(1e9), 0)

    def test_what_was_added_and_not_closed_is_known(self) -> None:
        # A process that is killed closes nothing.
        other = Fetched(self.path)
        other.note([Brought("papers", A, Version(5), 1e9, arrival=ARRIVAL)])
        again = self.open()
        self.assertEqual(again.versions("papers", [A]), {A: [Version(5)]})
        self.assertEqual(again.arrivals(), [ARRIVAL])
        other.close()

    def test_what_is_on_its_way_is_known_until_it_has_arrived(self) -> None:
        later = attrs.evolve(ARRIVAL, name="4567", path=B, mtime_ns=-7, due=2e9, asked=True)
        self.fetched.note([Brought("papers", B, Version(5), 1e9, arrival=later)])
        self.fetched.note([Brought("papers", A, Version(5), 1e9, arrival=ARRIVAL)])
        self.assertEqual(self.open().arrivals(), [ARRIVAL, later])
        self.fetched.note([Arrived(ARRIVAL.name)])
        self.fetched.note([Arrived(ARRIVAL.name)])
        self.assertEqual(self.open().arrivals(), [later])

    def test_several_are_noted_in_one_go_or_none(self) -> None:
        notes: list[Note] = [
            Brought("papers", A, Version(5), 1e9, arrival=ARRIVAL),
            Arrived(ARRIVAL.name),
            Brought("papers", B, Version(6), 1e9),
        ]
        self.fetched.note(notes)
        found = self.open().versions("papers", [A, B])
        self.assertEqual(found, {A: [Version(5)], B: [Version(6)]})
        self.assertEqual(self.fetched.arrivals(), [])
        right = Brought("papers", Path(b"d"), Version(1), 1e9)
        wrong = attrs.evolve(right, version=Version(1 << 70))
        self.assertRaises(OverflowError, self.fetched.note, [right, wrong])
        self.assertEqual(self.open().versions("papers", [Path(b"d")]), {})

    def test_the_bytes_of_a_day_are_counted(self) -> None:
        day = 86_400.0 * 20_000
        self.fetched.note([Brought("papers", A, Version(5), day)])
        self.fetched.note([Brought("papers", B, Version(6), day + 86_399)])
        self.fetched.note([Brought("papers", A, Version(70), day + 86_400)])
        self.fetched.note([Brought("papers", Path(b"m"), Version(1000), day, counted=False)])
        self.assertEqual(self.fetched.today(day + 5), 11)
        self.assertEqual(self.open().today(day + 86_400), 70)
        self.assertEqual(self.fetched.today(day - 1), 0)

    def test_what_is_too_much_is_forgotten_from_its_beginning(self) -> None:
        for number in range(10):
            self.fetched.note([Brought("papers", Path(b"%d" % number), Version(1), 1e9 + number)])
        self.fetched.trim(4)
        paths = [Path(b"%d" % number) for number in range(10)]
        self.assertEqual(set(self.fetched.versions("papers", paths)), set(paths[6:]))
        self.fetched.trim(4)
        self.assertEqual(len(self.fetched.versions("papers", paths)), 4)

    def test_a_file_that_is_no_database_is_refused_in_one_sentence(self) -> None:
        FolderPath(self.path + "2").write_bytes(b"this is no database at all" * 100)
        error = self.assertRaises(BoxError, Fetched, self.path + "2")
        self.assertIn("move it away", str(error))
