# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.media.importing}: what of a medium comes into a box.
"""

from __future__ import annotations

import errno
import os
from unittest.mock import patch

from twisted.internet.defer import Deferred, fail, succeed

from flocknode.box.disk.folder import Folder
from flocknode.box.listing import Known
from flocknode.box.merge.conflict import conflict_path
from flocknode.box.values import Kind, Path, Value
from flocknode.errors import BoxError
from flocknode.forban.media.importing import FAILURES, Carried, Reader
from flocknode.forban.media.medium import Left, Medium
from flocknode.testing.shelves import FolderShelf, content_of
from tests.forban.media.sticks import StickCase, tree

SECOND = 1_000_000_000


class Taken(StickCase):
    async def test_files_that_the_box_does_not_know_are_taken_with_their_times(self) -> None:
        self.put("a", b"one", 1_600_000_000)
        self.put("d/e/b, c", b"x" * 3_000_000)
        self.put("empty", b"")
        status = await self.visited(imports=True)
        self.assertEqual(
            tree(self.papers.folder), {"a": b"one", "d/e/b, c": b"x" * 3_000_000, "empty": b""}
        )
        self.assertEqual(self.papers.files[Path(b"a")].mtime_ns, 1_600_000_000 * SECOND)
        self.assertEqual(
            (status.state, status.looked, status.imported, status.imported_bytes, status.problems),
            ("done", 3, 3, 3_000_003, ()),
        )

    async def test_nothing_on_the_medium_is_changed(self) -> None:
        self.put("a", b"one")
        self.put("d/b", b"two")
        before = tree(self.stick)
        await self.visited(imports=True)
        self.assertEqual(tree(self.stick), before)

    async def test_no_copy_stays_behind(self) -> None:
        self.put("a", b"one")
        self.copies.mkdir(parents=True)
        (self.copies / "left by a crash").write_bytes(b"x")
        await self.visited(imports=True)
        self.assertEqual(tree(self.copies), {})

    async def test_the_copy_may_be_moved_away(self) -> None:
        def deliver(name: str, path: Path, source: str, mtime_ns: int) -> Deferred[object]:
            os.rename(source, self.base / "arrived")
            return succeed(None)

        self.deliver = deliver  # type: ignore[method-assign]
        self.put("a", b"one")
        status = await self.visited(imports=True)
        self.assertEqual(status.imported, 1)
        self.assertEqual((self.base / "arrived").read_bytes(), b"one")

    async def test_another_file_of_the_same_name_comes_to_lie_beside_it(self) -> None:
        self.papers.put(b"a", b"mine")
        self.put("a", b"theirs, longer")
        self.papers.put(b"b", b"same size", 1_500_000_000 * SECOND)
        self.put("b", b"size same")
        await self.visited(imports=True)
        contents = tree(self.papers.folder)
        self.assertEqual((contents["a"], contents["b"]), (b"mine", b"same size"))
        self.assertEqual(
            sorted(contents.values(), key=repr),
            sorted([b"mine", b"theirs, longer", b"same size", b"size same"], key=repr),
        )

    async def test_several_boxes_get_what_lies_in_their_directories(self) -> None:
        self.shelves["art"] = FolderShelf(self.base / "art", "art")
        for path in ("art/a", "papers/b", "other/c", "d", "artist"):
            self.put(path, path.encode())
        await self.visited(imports=True)
        self.assertEqual(tree(self.shelves["art"].folder), {"a": b"art/a"})
        self.assertEqual(sorted(tree(self.papers.folder)), ["artist", "b", "d", "other/c"])


class NotTaken(StickCase):
    async def nothing(self) -> None:
        """The box is given nothing."""
        status = await self.visited(imports=True)
        self.assertEqual((status.state, self.delivered, status.imported), ("done", [], 0))

    async def test_what_the_box_has_is_not_read_if_its_time_is_the_same(self) -> None:
        self.papers.put(b"a", b"one", 1_700_000_001 * SECOND)
        self.put("a", b"two", 1_700_000_000)
        await self.nothing()

    async def test_nor_is_it_taken_if_only_its_time_differs(self) -> None:
        self.papers.put(b"a", b"one", 1_500_000_000 * SECOND)
        self.put("a", b"one")
        await self.nothing()

    async def test_what_comes_a_second_time_is_not_taken_again(self) -> None:
        self.papers.put(b"a", b"mine")
        self.put("a", b"theirs, longer")
        self.put("b", b"new")
        await self.visited(imports=True)
        self.delivered.clear()
        await self.nothing()

    async def test_what_was_deleted_or_is_coming_anyway(self) -> None:
        self.papers.put(b"a", b"one")
        self.papers.remove(b"a")
        self.papers.known_as[Path(b"b")] = Known.COMING
        self.put("a", b"one")
        self.put("b", b"two")
        await self.nothing()

    async def test_another_file_of_the_same_name_whose_sibling_was_deleted(self) -> None:
        self.papers.put(b"a", b"mine")
        self.put("a", b"theirs, longer")
        content = content_of(self.top / "a")
        value = Value(kind=Kind.FILE, mtime_ns=1_700_000_000 * SECOND, content=content)
        self.papers.known_as[conflict_path(Path(b"a"), value)] = Known.DELETED
        await self.nothing()

    async def test_another_file_of_the_same_name_that_the_box_has_elsewhere(self) -> None:
        self.papers.put(b"a", b"mine")
        self.papers.put(b"moved", b"theirs, longer")
        self.put("a", b"theirs, longer")
        await self.nothing()

    async def test_what_could_not_stand_in_an_index(self) -> None:
        for path in (b".a", b"d/.b/c", b"forban/index", b"n\nl", b"\xff", b".flocknode/box"):
            self.put(path, b"x")
        await self.nothing()

    async def test_links_fifos_and_what_lies_behind_links(self) -> None:
        (self.base / "outside").mkdir()
        (self.base / "outside" / "secret").write_bytes(b"secret")
        (self.top / "directory").symlink_to(self.base / "outside")
        (self.top / "file").symlink_to(self.base / "outside" / "secret")
        os.mkfifo(self.top / "fifo")
        await self.nothing()

    async def test_what_the_box_refuses_is_said(self) -> None:
        self.papers.known_as[Path(b"a.tmp")] = Known.REFUSED
        self.put("a.tmp", b"x")
        self.put("b", b"x")
        status = await self.visited(imports=True)
        self.assertEqual(status.problems, (("a.tmp", "It cannot be in this box."),))
        self.assertEqual(self.delivered, [("papers", b"b")])

    async def test_what_is_too_large_is_said(self) -> None:
        self.put("a", b"x" * 11)
        self.put("b", b"x" * 10)
        self.start(imports=True, largest=10)
        self.plug(self.mount())
        status = await self.ended()
        self.assertEqual([path for path, _ in status.problems], ["a"])
        self.assertEqual(self.delivered, [("papers", b"b")])

    async def test_what_there_is_no_room_for_is_said(self) -> None:
        self.put("a", b"x")
        with patch("flocknode.forban.media.importing.has_room", return_value=False):
            status = await self.visited(imports=True)
        self.assertEqual(
            status.problems, (("a", "There is no room for it on this machine."),)
        )
        self.assertEqual(tree(self.copies), {})

    async def test_a_medium_with_more_than_is_looked_at_is_cut_and_that_is_said(self) -> None:
        for number in range(20):
            self.put(f"d{number}/.hidden", b"x")
            self.put(f"d{number}/f", b"x")
        with patch("flocknode.forban.media.importing.ENTRIES", 30):
            status = await self.visited(imports=True)
        self.assertLess(status.imported, 20)
        self.assertEqual(
            status.problems, (("", "Only its first 30 files and directories are looked at."),)
        )


class Troubles(StickCase):
    async def test_a_box_that_does_not_take_a_file_is_given_the_others(self) -> None:
        def deliver(name: str, path: Path, source: str, mtime_ns: int) -> Deferred[object]:
            if path == b"a":
                return fail(BoxError("The disk is full."))
            return StickCase.deliver(self, name, path, source, mtime_ns)

        self.deliver = deliver  # type: ignore[method-assign]
        self.put("a", b"one")
        self.put("b", b"two")
        status = await self.visited(imports=True)
        self.assertEqual((status.imported, status.problems), (1, (("a", "The disk is full."),)))
        self.assertEqual(tree(self.copies), {})

    async def test_a_box_that_is_away_is_said_once(self) -> None:
        self.papers.error = BoxError("The folder of the box is not there.")
        for number in range(600):
            self.put(f"{number}", b"")
        status = await self.visited(imports=True)
        self.assertEqual(status.problems, (("", "The folder of the box is not there."),))

    async def test_a_medium_that_cannot_be_read_any_more_is_given_up(self) -> None:
        for number in range(100):
            self.put(f"{number:03}", b"x")
        error = OSError(errno.EIO, os.strerror(errno.EIO))
        with patch.object(Reader, "copy", side_effect=error):
            status = await self.visited(imports=True)
        self.assertEqual((status.state, len(status.problems)), ("stopped", FAILURES + 1))
        self.assertEqual(status.problems[0], ("000", "Input/output error."))
        self.assertEqual(self.opened(), [])

    async def test_some_files_that_cannot_be_read_or_taken_stop_nothing(self) -> None:
        copy = Reader.copy

        def sometimes(reader: Reader, file: Carried, folder: str) -> str:
            if file.path.endswith(b"0"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return copy(reader, file, folder)

        for number in range(3 * FAILURES):
            self.papers.known_as[Path(b"refused%d" % number)] = Known.REFUSED
            for name in (f"a{number:03}-0", f"a{number:03}-1", f"refused{number}"):
                self.put(name, b"x")
        with patch.object(Reader, "copy", sometimes):
            status = await self.visited(imports=True)
        self.assertEqual((status.state, status.imported), ("done", 3 * FAILURES))


class Reading(StickCase):
    def reader(self, left: bool = False) -> Reader:
        folder = Folder(str(self.top))
        self.addCleanup(folder.close)
        return Reader(Medium(folder, self.mount(), lambda: left))

    async def test_a_file_that_is_not_as_it_was_listed_is_not_taken(self) -> None:
        self.put("a", b"hello")
        for file in (
            Carried(Path(b"a"), 5, 1_700_000_000 * SECOND + 1),
            Carried(Path(b"a"), 4, 1_700_000_000 * SECOND),
            Carried(Path(b"a"), 6, 1_700_000_000 * SECOND),
        ):
            self.assertRaises(BoxError, self.reader().copy, file, str(self.copies))
            self.assertRaises(BoxError, self.reader().content_of, file)
        self.assertEqual(tree(self.copies), {})

    async def test_contents_are_named_as_in_boxes(self) -> None:
        for size in (0, 1, 131_072, 131_073, 1_048_577, 3_000_000):
            self.put("a", os.urandom(size))
            file = Carried(Path(b"a"), size, 1_700_000_000 * SECOND)
            self.assertEqual(self.reader().content_of(file), content_of(self.top / "a"))

    async def test_all_of_it_ends_when_the_medium_is_to_be_left(self) -> None:
        self.put("a", b"hello")
        reader = self.reader(left=True)
        file = Carried(Path(b"a"), 5, 1_700_000_000 * SECOND)
        self.assertRaises(Left, list, reader.batches())
        self.assertRaises(Left, reader.copy, file, str(self.copies))
        self.assertRaises(Left, reader.content_of, file)
        self.assertEqual(tree(self.copies), {})
