# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.media.removable} and L{flocknode.forban.media.medium}: media as
they come and go.
"""

from __future__ import annotations

import os
import threading

import attrs
from twisted.internet.defer import Deferred

from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.ahead import Ahead
from flocknode.forban.catalogue import Catalogue
from flocknode.forban.media import importing
from flocknode.forban.media.medium import is_carrier
from flocknode.forban.shelf import Shelf
from flocknode.media.mountinfo import Mount
from tests.forban.media.sticks import StickCase, tree
from tests.media import private
from tests.media.tables import mount


class Coming(StickCase):
    async def test_files_go_both_ways(self) -> None:
        self.papers.put(b"mine", b"one")
        self.put("theirs", b"two")
        status = await self.visited(imports=True, exports=True)
        both = {"mine": b"one", "theirs": b"two"}
        self.assertEqual((tree(self.top), tree(self.papers.folder)), (both, both))
        self.assertEqual((status.imported, status.exported, status.problems), (1, 1, ()))

    async def test_only_what_is_configured_is_done(self) -> None:
        self.papers.put(b"mine", b"one")
        self.put("theirs", b"two")
        await self.visited(imports=True)
        self.assertEqual(list(tree(self.top)), ["theirs"])
        self.papers.remove(b"theirs")
        await self.visited(exports=True)
        self.assertEqual(list(tree(self.papers.folder)), ["mine"])

    async def test_what_is_there_at_the_start_counts(self) -> None:
        self.put("a", b"one")
        self.tables.mounts = (self.mount(),)
        self.start(imports=True)
        await self.ended()
        self.assertEqual(len(self.delivered), 1)

    async def test_the_directory_may_be_written_in_any_case(self) -> None:
        self.put("a", b"one")
        self.top.rename(self.stick / "Forban")
        status = await self.visited(imports=True)
        self.assertEqual(
            (status.path, status.imported), (os.path.join(self.stick, "Forban"), 1)
        )

    async def test_without_such_a_directory_or_with_a_link_it_is_no_medium_of_ours(self) -> None:
        self.put("a", b"one")
        self.top.rename(self.base / "elsewhere")
        (self.stick / "FORBAN").symlink_to(self.base / "elsewhere")
        (self.stick / "forban").write_bytes(b"a file")
        media = self.start(imports=True)
        self.plug(self.mount())
        await self.until(lambda: media._visits)
        await self.until(lambda: all(visit.ended.called for visit in media._visits.values()))
        self.assertEqual((media.statuses(), self.delivered), ((), []))

    async def test_it_is_done_once_until_it_is_plugged_in_again(self) -> None:
        media = self.start(imports=True)
        self.plug(self.mount())
        await self.ended()
        self.put("late", b"one")
        for _ in range(2):
            media.mounts_changed()
            assert media._looking is not None
            await media._looking
        self.assertEqual(self.delivered, [])
        self.plug()
        await self.until(lambda: not media.statuses())
        self.plug(self.mount())
        await self.ended()
        self.assertEqual(self.delivered, [("papers", b"late")])

    async def test_a_catalogue_that_is_not_there_yet_is_waited_for(self) -> None:
        catalogue = self.catalogue
        self.papers.put(b"a", b"one")
        self.catalogue = lambda: None  # type: ignore[method-assign]
        media = self.start(exports=True)
        self.plug(self.mount())
        await self.until(lambda: (s := self.status()) and s.state == "exporting")
        media.catalogue_changed()
        self.catalogue = catalogue  # type: ignore[method-assign]
        media.catalogue_changed()
        self.assertEqual((await self.ended()).exported, 1)

    async def test_what_can_be_a_medium(self) -> None:
        found = self.mount()
        self.assertTrue(is_carrier(found))
        self.assertTrue(is_carrier(attrs.evolve(found, point=b"/mnt", read_only=True)))
        for other in (
            attrs.evolve(found, source=b"tmpfs"),
            attrs.evolve(found, root=b"/sub"),
            attrs.evolve(found, point=b"/"),
            attrs.evolve(found, point=b"/home"),
        ):
            self.assertFalse(is_carrier(other))

    async def test_what_is_hidden_by_a_later_mount_is_not_there(self) -> None:
        self.put("a", b"one")
        media = self.start(imports=True)
        self.plug(self.mount(), mount(bytes(self.stick), id=7, source=b"tmpfs"))
        assert media._looking is not None
        await media._looking
        self.assertEqual(media._visits, {})


class Going(StickCase):
    """A medium that leaves while something is done with it, one file at a time."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(importing, "Ahead", lambda: Ahead(most=1))
        self.waiting: list[Deferred[object]] = []
        self.called: list[int] = []
        for number in range(5):
            self.put(f"{number}", b"x")

        def deliver(name: str, path: Path, source: str, mtime_ns: int) -> Deferred[object]:
            self.waiting.append(Deferred())
            return self.waiting[-1]

        self.deliver = deliver  # type: ignore[method-assign]

    async def test_nothing_on_it_is_open_when_all_is_done(self) -> None:
        self.start(imports=True, exports=True)
        self.plug(self.mount())
        for number in range(5):
            await self.until(lambda: len(self.waiting) == len(self.called) + 1)
            self.called.append(number)
            self.waiting[number].callback(None)
        self.assertEqual((await self.ended()).state, "done")
        self.assertEqual(self.opened(), [])

    async def test_no_file_waits_for_another_to_be_in_its_box(self) -> None:
        self.patch(importing, "Ahead", Ahead)
        self.start(imports=True)
        self.plug(self.mount())
        await self.until(lambda: len(self.waiting) == 5)
        self.waiting[0].errback(BoxError("It cannot be taken."))
        for each in self.waiting[1:]:
            each.callback(None)
        status = await self.ended()
        self.assertEqual((status.state, status.imported), ("done", 4))
        self.assertIn("It cannot be taken.", str(status.problems))
        self.assertEqual(tree(self.copies), {})

    async def test_when_it_is_unmounted_it_is_left_in_the_middle(self) -> None:
        media = self.start(imports=True)
        self.plug(self.mount())
        await self.until(lambda: self.waiting)
        (visit,) = media._visits.values()
        self.plug()
        await self.until(visit._left.is_set)
        self.waiting[0].callback(None)
        await self.until(lambda: not media.statuses())
        self.assertEqual((len(self.waiting), self.opened(), tree(self.copies)), (1, [], {}))

    async def test_ejecting_leaves_it_until_it_comes_again(self) -> None:
        media = self.start(imports=True)
        self.plug(self.mount())
        await self.until(lambda: self.waiting)
        ejected = Deferred.fromCoroutine(media.eject())
        self.waiting[0].callback(None)
        await ejected
        self.assertEqual((await self.ended()).state, "stopped")
        self.assertEqual(self.opened(), [])
        media.mounts_changed()
        assert media._looking is not None
        await media._looking
        self.assertEqual(len(self.waiting), 1)

    async def test_stopping_waits_for_what_a_box_is_taking_and_no_longer(self) -> None:
        media = self.start(imports=True)
        self.plug(self.mount())
        await self.until(lambda: self.waiting)
        stopped = media.stopService()
        self.assertNoResult(stopped)
        self.waiting[0].callback(None)
        await stopped
        self.assertEqual((len(self.waiting), self.opened()), (1, []))
        names = [thread.name for thread in threading.enumerate()]
        self.assertEqual([name for name in names if "medi" in name], [])

    async def test_stopping_at_any_time_leaves_nothing_behind(self) -> None:
        self.catalogue = lambda: None  # type: ignore[method-assign]
        media = self.start(exports=True)
        self.plug(self.mount())
        await media.stopService()
        self.assertEqual(self.opened(), [])
        media = self.start(exports=True)
        self.plug(self.mount())
        await self.until(lambda: (s := self.status()) and s.state == "exporting")
        await media.stopService()
        self.assertEqual(self.opened(), [])

    async def test_only_one_node_at_a_time_is_at_it(self) -> None:
        self.start(imports=True)
        self.plug(self.mount())
        await self.until(lambda: self.waiting)
        first, self.media = self.media, None
        status = await self.visited(imports=True)
        self.assertEqual(
            (status.state, status.problems),
            ("stopped", (("", "Another node on this machine is at it."),)),
        )
        assert first is not None
        stopped = first.stopService()
        self.waiting[0].callback(None)
        await stopped

    async def test_a_medium_that_is_gone_when_it_is_looked_at_is_no_trouble(self) -> None:
        self.start(imports=True)
        self.plug(self.mount(id=1 << 30))
        self.assertEqual((await self.ended()).problems, (("", "It is not mounted any more."),))
        self.plug(self.mount(point=b"/nowhere/at/all"))
        await self.until(lambda: (s := self.status()) and s.path == "/nowhere/at/all")
        self.assertEqual((await self.ended()).state, "stopped")

    async def test_a_table_that_cannot_be_read_shows_nothing(self) -> None:
        def table() -> tuple[Mount, ...]:
            raise BoxError("There is none.")

        media = self.start(imports=True)
        media._table = table
        media.mounts_changed()
        assert media._looking is not None
        await media._looking
        self.assertEqual(media.statuses(), ())

    async def test_an_error_that_nobody_thought_of_ends_only_this_medium(self) -> None:
        def catalogue() -> Catalogue[Shelf] | None:
            raise ZeroDivisionError

        self.catalogue = catalogue  # type: ignore[method-assign]
        status = await self.visited(exports=True)
        self.assertEqual((status.state, self.opened()), ("stopped", []))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class RealMounts(StickCase):
    async def test_a_file_system_that_is_mounted_is_exchanged_with_and_can_be_unmounted(
        self,
    ) -> None:
        point = self.base / "point"
        point.mkdir()
        self.assertEqual(
            private.run("tests.forban.media.sticking", str(point), str(self.base / "box")),
            "done 1 imported 1 exported 1 without room, 0 problems\nunmounted\n",
        )
