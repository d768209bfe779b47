# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.media.exporting}: what is written to a medium.
"""

from __future__ import annotations

import errno
import os
from unittest.mock import patch

from flocknode.box.disk.folder import Folder
from flocknode.forban.catalogue import Shown
from flocknode.forban.media.exporting import FAILURES, Writer
from flocknode.forban.media.medium import Left, Medium, MediumStatus
from flocknode.testing.shelves import FolderShelf
from tests.forban.media.sticks import StickCase, tree

SECOND = 1_000_000_000


class Written(StickCase):
    async def test_what_it_lacks_is_written_with_its_times(self) -> None:
        self.papers.put(b"a", b"one", 1_600_000_000 * SECOND)
        self.papers.put(b"d/e/b", b"x" * 3_000_000)
        self.papers.put(b"d/empty", b"")
        status = await self.visited(exports=True)
        self.assertEqual(tree(self.top), tree(self.papers.folder))
        self.assertEqual((self.top / "a").stat().st_mtime_ns, 1_600_000_000 * SECOND)
        self.assertEqual(
            status, MediumStatus(str(self.top), "done", exported=3, exported_bytes=3_000_003)
        )

    async def test_it_is_all_on_the_medium_at_the_end_and_nothing_is_open(self) -> None:
        synced: set[str] = set()
        fsync = os.fsync

        def syncing(descriptor: int) -> None:
            synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
            fsync(descriptor)

        self.papers.put(b"d/e/b", b"one")
        with patch("flocknode.forban.media.exporting.os.fsync", syncing):
            await self.visited(exports=True)
        top = str(self.top)
        self.assertEqual(synced, {f"{top}/.flocknode-part", top, f"{top}/d", f"{top}/d/e"})
        self.assertEqual(self.opened(), [])

    async def test_boxes_get_directories_if_there_are_several(self) -> None:
        self.shelves["art"] = FolderShelf(self.base / "art", "art")
        self.papers.put(b"a", b"one")
        self.shelves["art"].put(b"a", b"two")
        await self.visited(exports=True)
        self.assertEqual(tree(self.top), {"papers/a": b"one", "art/a": b"two"})

    async def test_what_it_has_already_is_not_written_again(self) -> None:
        self.papers.put(b"a", b"one")
        await self.visited(exports=True)
        inode = (self.top / "a").stat().st_ino
        status = await self.visited(exports=True)
        self.assertEqual((status.exported, status.kept), (0, 0))
        self.assertEqual((self.top / "a").stat().st_ino, inode)

    async def test_what_was_left_of_an_interrupted_one_is_written_over(self) -> None:
        (self.top / ".flocknode-part").write_bytes(b"long " * 1000)
        self.papers.put(b"a", b"one")
        await self.visited(exports=True)
        self.assertEqual(tree(self.top), {"a": b"one"})

    async def test_what_was_exported_is_not_imported_again(self) -> None:
        self.papers.put(b"a", b"one")
        await self.visited(exports=True)
        status = await self.visited(imports=True, exports=True)
        self.assertEqual((status.looked, status.imported, status.exported), (1, 0, 0))


class Kept(StickCase):
    async def kept(self, *paths: bytes) -> MediumStatus:
        """Files of a box, of which none comes to the medium, which stays as it is."""
        for path in paths:
            self.papers.put(path, b"one")
        before = tree(self.stick), tree(self.base / "outside")
        status = await self.visited(exports=True)
        self.assertEqual((tree(self.stick), tree(self.base / "outside")), before)
        self.assertEqual((status.state, status.exported), ("done", 0))
        return status

    async def test_another_file_of_the_same_name(self) -> None:
        self.put("a", b"theirs")
        self.assertEqual((await self.kept(b"a")).kept, 1)

    async def test_a_directory_of_the_same_name(self) -> None:
        self.put("a/b", b"theirs")
        self.assertEqual((await self.kept(b"a")).kept, 1)

    async def test_a_link_is_neither_followed_nor_replaced(self) -> None:
        (self.base / "outside").mkdir()
        (self.base / "outside" / "file").write_bytes(b"x")
        (self.top / "a").symlink_to(self.base / "outside" / "file")
        (self.top / "new").symlink_to(self.base / "outside" / "new")
        (self.top / "d").symlink_to(self.base / "outside")
        status = await self.kept(b"a", b"new", b"d/b")
        self.assertEqual(status.kept, 2)
        self.assertEqual([path for path, _ in status.problems], ["d/b"])

    async def test_a_file_in_the_place_of_a_directory(self) -> None:
        self.put("d", b"theirs")
        status = await self.kept(b"d/b")
        self.assertEqual([path for path, _ in status.problems], ["d/b"])

    async def test_a_link_where_files_grow(self) -> None:
        (self.base / "outside").mkdir()
        (self.base / "outside" / "file").write_bytes(b"x")
        part = self.top / ".flocknode-part"
        for make in (
            lambda: part.symlink_to(self.base / "outside" / "file"),
            lambda: os.link(self.base / "outside" / "file", part),
            lambda: os.mkfifo(part),
        ):
            make()
            self.papers.put(b"a", b"one")
            status = await self.visited(exports=True)
            self.assertEqual((status.exported, len(status.problems)), (0, 1))
            self.assertEqual(tree(self.base / "outside"), {"file": b"x"})
            self.assertEqual(tree(self.top).get("a"), None)
            if os.path.lexists(part):
                os.unlink(part)

    async def test_a_file_that_came_in_between(self) -> None:
        write = Writer._write

        def slowly(writer: Writer, opened: object) -> None:
            write(writer, opened)  # type: ignore[arg-type]
            self.put("a", b"theirs")

        self.papers.put(b"a", b"one")
        with patch.object(Writer, "_write", slowly):
            status = await self.visited(exports=True)
        self.assertEqual((tree(self.top), status.kept), ({"a": b"theirs"}, 1))

    async def test_what_would_take_the_last_room(self) -> None:
        with patch("flocknode.forban.media.exporting.has_room", return_value=False):
            self.assertEqual((await self.kept(b"a", b"b")).no_room, 2)


class Troubles(StickCase):
    async def test_what_is_not_as_it_was_listed_is_not_written(self) -> None:
        listed = self.papers.put(b"a", b"one")
        self.papers.put(b"b", b"two")
        self.papers.where(b"a").write_bytes(b"changed")
        self.papers.where(b"b").write_bytes(b"2nd")
        os.utime(self.papers.where(b"b"), ns=(listed.mtime_ns, listed.mtime_ns))
        status = await self.visited(exports=True)
        self.assertEqual([path for path, _ in status.problems], ["a", "b"])
        self.assertEqual(tree(self.top), {})
        self.assertTrue(all(opened._descriptor < 0 for opened in self.papers.opened))

    async def test_all_of_it_ends_when_the_medium_is_to_be_left(self) -> None:
        listed = self.papers.put(b"a", b"one")
        folder = Folder(str(self.top))
        self.addCleanup(folder.close)
        writer = Writer(Medium(folder, self.mount(), lambda: True))
        opened = await self.papers.open(listed)
        self.addCleanup(opened.close)
        self.assertRaises(Left, writer.lacking, [Shown(listed.path, self.papers, listed)])
        self.assertRaises(Left, writer.copy, opened, listed.path)
        self.assertNotIn("a", tree(self.top))

    async def test_a_name_that_it_cannot_hold_is_said_and_the_others_are_written(self) -> None:
        rename = os.mkdir

        def mkdir(name: bytes, mode: int, dir_fd: int) -> None:
            if name == b"a?":
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            rename(name, mode, dir_fd=dir_fd)

        self.papers.put(b"a?/x", b"one")
        self.papers.put(b"b/x", b"two")
        with patch("flocknode.forban.media.exporting.os.mkdir", mkdir):
            status = await self.visited(exports=True)
        self.assertEqual(status.problems, (("a?/x", "Invalid argument."),))
        self.assertEqual(tree(self.top), {"b/x": b"two"})

    async def test_a_medium_that_cannot_be_written_any_more_is_given_up(self) -> None:
        for number in range(100):
            self.papers.put(b"%03d" % number, b"x")
        error = OSError(errno.EIO, os.strerror(errno.EIO))
        with patch.object(Writer, "copy", side_effect=error):
            status = await self.visited(exports=True)
        self.assertEqual((status.state, len(status.problems)), ("stopped", FAILURES + 1))
        self.assertEqual(self.opened(), [])

    async def test_a_medium_that_is_read_only_is_not_tried(self) -> None:
        self.papers.put(b"a", b"one")
        self.put("b", b"two")
        self.start(imports=True, exports=True)
        self.plug(self.mount(read_only=True))
        status = await self.ended()
        self.assertEqual((status.imported, len(status.problems)), (1, 1))
        self.assertEqual(tree(self.top), {"b": b"two"})
