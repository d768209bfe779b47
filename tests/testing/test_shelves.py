# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A shelf for tests answers as a box would.
"""

from __future__ import annotations

from pathlib import Path as FolderPath

from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.content import block_hash
from flocknode.box.listing import Deleted, Known, Offer, Refused
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.shelf import Shelf
from flocknode.testing.shelves import FolderShelf

A = Path(b"a/b.txt")


class AFolderShelf(SynchronousTestCase):
    """What was put there is listed, opened, found and taken."""

    def setUp(self) -> None:
        self.shelf = FolderShelf(self.mktemp())

    def test_it_is_a_shelf(self) -> None:
        shelf: Shelf = self.shelf
        self.assertEqual(shelf.name, "papers")

    def test_what_was_put_is_listed_and_told(self) -> None:
        told: list[int] = []
        self.shelf.tell(lambda: told.append(1))
        file = self.shelf.put(A, b"text", 5)
        self.assertEqual((file.size, file.mtime_ns, file.content), (4, 5, block_hash(b"text")))
        self.assertEqual(self.successResultOf(self.shelf.listing()).files, {A: file})
        self.shelf.remove(A)
        self.assertEqual(self.successResultOf(self.shelf.listing()).files, {})
        self.assertEqual(len(told), 2)

    def test_a_file_is_opened_only_as_it_was_listed(self) -> None:
        before = self.shelf.put(A, b"text")
        opened = self.successResultOf(self.shelf.open(before))
        self.addCleanup(opened.close)
        self.shelf.put(A, b"other")
        self.failureResultOf(self.shelf.open(before), BoxError)
        self.assertEqual(opened.read(1, 9), b"ext")
        self.shelf.remove(A)
        self.failureResultOf(self.shelf.open(before), BoxError)

    def test_it_knows_what_it_holds_and_what_was_deleted(self) -> None:
        self.shelf.put(A, b"text")
        self.shelf.put(b"gone", b"")
        self.shelf.remove(b"gone")
        self.shelf.known_as[Path(b"x")] = Known.REFUSED
        paths = [A, Path(b"gone"), Path(b"x"), Path(b"y")]
        known = self.successResultOf(self.shelf.known(paths))
        self.assertEqual(known, [Known.HELD, Known.DELETED, Known.REFUSED, Known.UNKNOWN])

    def test_content_is_found(self) -> None:
        file = self.shelf.put(A, b"text")
        self.assertEqual(self.successResultOf(self.shelf.find(file.content)), file)
        self.assertIsNone(self.successResultOf(self.shelf.find(bytes(32))))

    def test_nothing_is_replaced_by_what_is_taken(self) -> None:
        source = FolderPath(self.mktemp())
        source.write_bytes(b"text")

        def adopt() -> Path:
            (result,) = self.successResultOf(self.shelf.adopt([Offer(A, str(source), 7)]))
            assert not isinstance(result, BoxError)
            return result

        self.assertEqual(adopt(), A)
        self.assertEqual(self.shelf.files[A].mtime_ns, 7)
        self.assertEqual(adopt(), A)
        source.write_bytes(b"other")
        beside = adopt()
        self.assertNotEqual(beside, A)
        self.assertEqual(self.shelf.where(beside).read_bytes(), b"other")
        self.assertEqual(self.shelf.where(A).read_bytes(), b"text")
        self.assertTrue(source.exists())

    def test_its_errors_are_those_that_a_test_sets(self) -> None:
        file = self.shelf.put(A, b"text")
        self.shelf.error = BoxError("away")
        for answer in (
            self.shelf.listing(),
            self.shelf.open(file),
            self.shelf.known([A]),
            self.shelf.find(file.content),
            self.shelf.adopt([Offer(A, "/")]),
        ):
            self.failureResultOf(answer, BoxError)

    def test_each_that_is_taken_fails_alone_and_deleted_ones_stay_so(self) -> None:
        source = FolderPath(self.mktemp())
        source.write_bytes(b"text")
        self.shelf.known_as[Path(b"gone")] = Known.DELETED
        self.shelf.known_as[Path(b"no")] = Known.REFUSED
        offers = [Offer(Path(path), str(source)) for path in (b"gone", b"no", A)]
        offers.append(Offer(Path(b"gone"), str(source), asked=True))
        results = self.successResultOf(self.shelf.adopt(offers))
        self.assertEqual(
            [each if isinstance(each, bytes) else type(each) for each in results],
            [Deleted, Refused, A, b"gone"],
        )
        self.assertEqual(self.shelf.batches, [[offer.path for offer in offers]])
