# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.public}: with the real reactor, real threads and a
real folder.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable

from blake3 import blake3
from twisted.internet import reactor
from twisted.internet.task import deferLater

from flocknode.box.box import Box
from flocknode.box.listing import Deleted, Known, ListedFile, Offer, OpenFile, Refused
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.blocks import WHOLE
from flocknode.box.values import Path
from flocknode.errors import BoxError, FlocknodeError
from tests.box.test_box import BoxTestCase, pass_on, until


class PublicTests(BoxTestCase):
    """A box, and what is seen of it."""

    async def listed(self, box: Box) -> dict[bytes, ListedFile]:
        files = (await box.public.listing()).files
        return {bytes(path): file for path, file in files.items()}

    async def unsettled(self, box: Box) -> frozenset[bytes]:
        return frozenset((await box.public.listing(await box.public.mark())).unsettled)

    async def box_with(self, **files: bytes) -> Box:
        box = await self.made("one")
        for name, data in files.items():
            self.put(box, name, data)
        await until(lambda: box.status.files == len(files))
        return box

    def outside(self, data: bytes) -> str:
        path = os.path.join(self.base, "fetched")
        with open(path, "wb") as file:
            file.write(data)
        return path

    async def refused(self, asked: Awaitable[object]) -> str:
        try:
            await asked
        except FlocknodeError as error:
            return str(error)
        raise AssertionError("It is not refused.")

    async def read(self, box: Box, path: bytes) -> OpenFile:
        opened = await box.public.open((await self.listed(box))[path])
        self.addCleanup(opened.close)
        return opened


class Reading(PublicTests):
    """What is there."""

    async def test_files_are_listed_as_they_are_on_disk(self) -> None:
        box = await self.box_with(a=b"one", b=b"")
        os.makedirs(self.path(box, "empty"))
        os.symlink("a", self.path(box, "link"))
        await until(lambda: box.status.files == 3)
        files = await self.listed(box)
        self.assertEqual(sorted(files), [b"a", b"b"])
        there = os.stat(self.path(box, "a"))
        listed = files[b"a"]
        self.assertEqual((listed.size, listed.mtime_ns), (3, there.st_mtime_ns))

    async def test_what_was_in_no_round_is_not_settled(self) -> None:
        box = await self.box_with(old=b"1")
        box.counted(box.new_total)
        self.put(box, "new", b"2")
        await until(lambda: box.status.files == 2)
        self.assertEqual(await self.unsettled(box), {b"new"})
        # What nobody has ever heard of leaves no trace when it is deleted.
        await pass_on(box, await self.made("two"))
        os.unlink(self.path(box, "old"))
        await until(lambda: box.status.files == 1)
        self.assertEqual(await self.unsettled(box), {b"new", b"old"})
        box.counted(box.new_total)
        self.assertEqual(await self.unsettled(box), frozenset())

    async def test_what_another_box_brought_is_settled(self) -> None:
        source, box = await self.made("a"), await self.made("b")
        self.put(source, "file", b"content")
        await until(lambda: source.status.files == 1)
        await pass_on(source, box)
        await until(lambda: box.status.files == 1)
        listing = await box.public.listing(await box.public.mark())
        self.assertEqual((set(listing.files), listing.unsettled), ({b"file"}, frozenset()))

    async def test_what_another_box_brings_after_a_mark_is_not_settled(self) -> None:
        source, box = await self.made("a"), await self.made("b")
        mark = await box.public.mark()
        self.put(source, "file", b"content")
        await until(lambda: source.status.files == 1)
        await pass_on(source, box)
        await until(lambda: box.status.files == 1)
        self.assertEqual((await box.public.listing(mark)).unsettled, {b"file"})

    async def test_a_file_is_read_as_it_was_listed(self) -> None:
        box = await self.box_with(file=b"0123456789")
        opened = await self.read(box, b"file")
        self.assertEqual(opened.read(2, 3), b"234")
        self.assertEqual(opened.read(8, 100), b"89")

    async def test_a_file_that_has_changed_since_is_not_opened(self) -> None:
        box = await self.box_with(file=b"old")
        listed = (await self.listed(box))[b"file"]
        self.put(box, "file", b"other")
        self.assertIn("as it was listed", await self.refused(box.public.open(listed)))
        os.unlink(self.path(box, "file"))
        self.assertIn("No such file", await self.refused(box.public.open(listed)))

    async def test_a_link_in_the_place_of_a_directory_leads_nowhere(self) -> None:
        box = await self.made("one")
        self.put(box, "folder/file", b"inside")
        await until(lambda: box.status.files == 1)
        listed = (await self.listed(box))[b"folder/file"]
        outside = os.path.join(os.path.abspath(self.base), "outside")
        os.rename(self.path(box, "folder"), outside)
        os.symlink(outside, self.path(box, "folder"))
        await self.refused(box.public.open(listed))

    async def test_what_is_open_is_closed_when_the_folder_goes_away(self) -> None:
        box = await self.box_with(file=b"content")
        opened = await self.read(box, b"file")
        await box.eject()
        self.assertRaises(BoxError, opened.read, 0, 1)
        await self.refused(box.public.listing())

    async def test_whoever_wants_to_know_is_told_of_changes(self) -> None:
        box = await self.made("one")
        told: list[int] = []
        box.public.tell(lambda: told.append(1))
        self.put(box, "file", b"content")
        await until(lambda: told)

    async def test_also_of_what_is_deleted_before_any_other_box_heard_of_it(self) -> None:
        box = await self.box_with(a=b"one", b=b"two")
        told: list[int] = []
        box.public.tell(lambda: told.append(1))
        os.unlink(self.path(box, "a"))
        await until(lambda: told)
        self.assertEqual(list(await self.listed(box)), [b"b"])

    async def test_content_is_found_under_whatever_name(self) -> None:
        box = await self.box_with(file=b"content")
        listed = (await self.listed(box))[b"file"]
        self.assertEqual(await box.public.find(listed.content), listed)
        self.assertIsNone(await box.public.find(bytes(32)))

    async def test_it_says_what_it_knows_of_paths(self) -> None:
        box = await self.made("one")
        self.put(box, ".flockignore", b"*.tmp\n")
        for name in ("held", "gone"):
            self.put(box, name, name.encode())
        await until(lambda: box.status.files == 3)
        await pass_on(box, await self.made("two"))
        os.unlink(self.path(box, "gone"))
        await until(lambda: box.status.files == 2)
        names = (b"held", b"gone", b"never", b"x.tmp")
        self.assertEqual(
            await box.public.known([Path(name) for name in names]),
            [Known.HELD, Known.DELETED, Known.UNKNOWN, Known.REFUSED],
        )


class Adopting(PublicTests):
    """Files from elsewhere."""

    async def adopt(
        self, box: Box, path: bytes, source: str, mtime_ns: int | None, asked: bool = False
    ) -> Path:
        """One, alone."""
        (result,) = await box.public.adopt([Offer(Path(path), source, mtime_ns, asked)])
        if isinstance(result, BoxError):
            raise result
        return result

    def offers(self, *files: tuple[bytes, bytes]) -> list[Offer]:
        """Paths and contents."""
        offers = []
        for path, data in files:
            source = os.path.join(self.base, f"source-{blake3(data).hexdigest(length=8)}")
            with open(source, "wb") as file:
                file.write(data)
            offers.append(Offer(Path(path), source, 10**18))
        return offers

    async def known(self, box: Box, path: bytes) -> Known:
        (known,) = await box.public.known([Path(path)])
        return known

    async def all_known(self, box: Box, known: Known, *paths: bytes) -> None:
        """Wait until the box knows this of all of these."""
        wanted = [known] * len(paths)
        while await box.public.known([Path(path) for path in paths]) != wanted:
            await deferLater(reactor, 0.01)

    async def test_a_file_is_taken_in_as_a_local_change(self) -> None:
        box = await self.made("one")
        path = await self.adopt(box, b"x/y/file", self.outside(b"fetched"), 10**18)
        self.assertEqual((path, self.get(box, "x/y/file")), (b"x/y/file", b"fetched"))
        self.assertEqual(os.stat(self.path(box, "x/y/file")).st_mtime_ns, 10**18)
        await until(lambda: box.status.files == 1)
        self.assertIn(b"x/y/file", await self.unsettled(box))

    async def test_nothing_is_replaced(self) -> None:
        box = await self.box_with(file=b"mine")
        path = await self.adopt(box, b"file", self.outside(b"theirs"), 10**18)
        self.assertIn(b".conflict-", path)
        self.assertEqual(self.get(box, "file"), b"mine")
        self.assertEqual(self.get(box, os.fsdecode(path)), b"theirs")

    async def test_what_lies_beside_already_is_not_taken_twice(self) -> None:
        box = await self.box_with(file=b"mine")
        path = await self.adopt(box, b"file", self.outside(b"theirs"), 10**18)
        for _ in range(200):
            try:
                again = await self.adopt(box, b"file", self.outside(b"theirs"), 10**18)
                break
            except BoxError:
                # Until it has been looked at.
                await deferLater(reactor, 0.05)
        self.assertEqual((again, box.status.files), (path, 2))

    async def test_the_same_content_is_not_taken_twice(self) -> None:
        box = await self.box_with(file=b"content")
        path = await self.adopt(box, b"file", self.outside(b"content"), None)
        self.assertEqual(path, b"file")
        self.assertEqual(os.listdir(os.path.join(self.base, "one")).count("file"), 1)
        self.assertEqual(box.status.files, 1)

    async def test_a_file_in_the_place_of_a_directory_stays(self) -> None:
        box = await self.box_with(folder=b"a file")
        path = await self.adopt(box, b"folder/file", self.outside(b"new"), 0)
        self.assertTrue(path.startswith(b"folder.conflict-"), path)
        self.assertEqual(self.get(box, "folder"), b"a file")

    async def test_what_the_box_leaves_out_is_refused(self) -> None:
        box = await self.made("one", BoxSettings(poll=0.05))
        self.put(box, ".flockignore", b"*.tmp\n")
        await until(lambda: box.status.files == 1)
        said = await self.refused(self.adopt(box, b"x.tmp", self.outside(b""), None))
        self.assertIn("leave it out", said)
        for path in (b"../x", b"/x", b".flocknode/x"):
            await self.refused(self.adopt(box, path, self.outside(b""), None))
        self.assertFalse(os.path.exists(os.path.join(self.base, "x")))

    async def test_a_source_that_is_not_there_is_said_so(self) -> None:
        box = await self.made("one")
        said = await self.refused(self.adopt(box, b"x", self.base + "/none", None))
        self.assertIn("No such file", said)

    async def test_many_are_taken_in_one_go_and_each_fails_alone(self) -> None:
        box = await self.box_with(mine=b"mine")
        offers = self.offers(
            (b"a/b/one", b"1"), (b"../x", b"2"), (b"a/b/two", b"2"), (b"a/three", b"3")
        )
        offers.insert(2, Offer(Path(b"lost"), os.path.join(self.base, "none"), 0))
        results = await box.public.adopt(offers)
        self.assertEqual(
            [each if isinstance(each, bytes) else type(each) for each in results],
            [b"a/b/one", Refused, BoxError, b"a/b/two", b"a/three"],
        )
        self.assertEqual(self.get(box, "a/b/two"), b"2")
        await until(lambda: box.status.files == 4)
        # Nothing is left of what was on its way.
        self.assertEqual(os.listdir(self.path(box, ".flocknode/staging")), [])

    async def test_no_file_at_all_is_nothing_to_do(self) -> None:
        box = await self.made("one")
        self.assertEqual(await box.public.adopt([]), [])

    async def test_a_large_file_is_taken_a_piece_at_a_time(self) -> None:
        box = await self.made("one")
        data = bytes(range(256)) * (WHOLE // 256) + b"more"
        (offer,) = self.offers((b"large", data))
        self.assertEqual(await box.public.adopt([offer]), [b"large"])
        self.assertEqual(self.get(box, "large"), data)

    async def test_a_pipe_is_no_file(self) -> None:
        box = await self.made("one")
        pipe = os.path.join(self.base, "pipe")
        os.mkfifo(pipe)
        self.assertIn("no file", await self.refused(self.adopt(box, b"x", pipe, None)))

    async def test_a_deleted_conflict_stays_deleted_unless_it_is_asked_for(self) -> None:
        box = await self.box_with(file=b"mine")
        theirs = self.outside(b"theirs")
        path = await self.adopt(box, b"file", theirs, 10**18)
        await self.all_known(box, Known.HELD, path)
        # What nobody has ever heard of leaves no trace when it is deleted.
        await pass_on(box, await self.made("two"))
        os.unlink(self.path(box, os.fsdecode(path)))
        await self.all_known(box, Known.DELETED, path)
        said = await self.refused(self.adopt(box, b"file", theirs, 10**18))
        self.assertIn("deleted", said)
        self.assertEqual(await self.known(box, path), Known.DELETED)
        (result,) = await box.public.adopt([Offer(Path(b"file"), theirs, 10**18)])
        self.assertIsInstance(result, Deleted)
        self.assertEqual(await self.adopt(box, b"file", theirs, 10**18, asked=True), path)
        self.assertEqual(self.get(box, os.fsdecode(path)), b"theirs")

    async def test_what_was_deleted_comes_back_only_if_it_is_asked_for(self) -> None:
        box = await self.box_with(file=b"mine")
        await pass_on(box, await self.made("two"))
        os.unlink(self.path(box, "file"))
        await self.all_known(box, Known.DELETED, b"file")
        theirs = self.outside(b"theirs")
        await self.refused(self.adopt(box, b"file", theirs, None))
        self.assertEqual(await self.adopt(box, b"file", theirs, None, asked=True), b"file")

class Ending(PublicTests):
    """After the box has stopped."""

    async def test_it_says_so_whatever_is_asked(self) -> None:
        box = await self.box_with(file=b"content")
        file = (await self.listed(box))[b"file"]
        outside = self.outside(b"fetched")
        await box.stopService()
        public = box.public
        for asked in (
            public.mark(),
            public.listing(),
            public.open(file),
            public.known([Path(b"file")]),
            public.find(file.content),
            public.adopt([Offer(Path(b"other"), outside, None)]),
        ):
            self.assertIn("The folder of the box is not there.", await self.refused(asked))
