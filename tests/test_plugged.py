# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.plugged} and L{flocknode.box.bridge}: plain folders play
the media.
"""

from __future__ import annotations

import os

import attrs
from twisted.internet import reactor

from flocknode.box.box import Box
from flocknode.box.disk import marker
from flocknode.box.disk.folder import Folder
from flocknode.box.settings import BoxSettings
from flocknode.media.devices import mount_of
from flocknode.media.mountinfo import Mount
from flocknode.media.places import Fixed, Place
from flocknode.plugged import PluggedMedia, boxes_on, is_medium
from tests.box.test_box import BoxTestCase, until, until_alive
from tests.media.tables import Tables, mount

QUICK = BoxSettings(poll=0.05)


class PluggedCase(BoxTestCase):
    """
    Box C{papers} of a node, and a medium at C{base/stick}.
    """

    def setUp(self) -> None:
        super().setUp()
        self.base = os.path.abspath(self.base)
        self.stick = os.path.join(self.base, "stick")
        os.makedirs(self.stick)
        descriptor = os.open(self.stick, os.O_RDONLY)
        number = mount_of(descriptor) or 0
        os.close(descriptor)
        self.mount = mount(self.stick, id=number, source=b"/dev/sdz1")
        self.tables = Tables()
        self.media: PluggedMedia | None = None

    async def stop(self) -> None:
        if self.media is not None and self.media.running:
            await self.media.stopService()
        await super().stop()

    def mark(self, folder: str, name: str) -> str:
        """Make it a box of this name.  @return: its path."""
        path = os.path.join(self.stick, folder)
        os.makedirs(path, exist_ok=True)
        opened = Folder(path)
        marker.write(opened, name=name)
        opened.close()
        return path

    def make_box(self, name: str, place: Place) -> Box:
        return Box(reactor, name, place, os.path.join(self.base, "state"), QUICK)

    def start(self, *joined: str) -> PluggedMedia:
        self.media = PluggedMedia(
            reactor, self.boxes, frozenset(joined), self.make_box, self.tables.table
        )
        self.media.startService()
        return self.media

    def plug(self, *mounts: Mount) -> None:
        assert self.media is not None
        self.tables.mounts = mounts
        self.media.mounts_changed()

    def states(self) -> list[tuple[str, str]]:
        assert self.media is not None
        return [(status.path, status.state) for status in self.media.statuses()]


class PluggedTests(PluggedCase):
    async def test_a_medium_with_the_marker_of_a_box_is_kept_equal_with_it(self) -> None:
        home = await self.made("papers")
        self.put(home, "d/file", b"from home")
        self.put(home, "large", os.urandom(300_000))
        await until(lambda: home.status.files == 2)
        path = self.mark("papers", "papers")
        with open(os.path.join(path, "other"), "wb") as file:
            file.write(b"from the stick")
        self.start("papers")
        self.plug(self.mount)
        await until_alive(home, b"d", b"d/file", b"large", b"other")
        await until(lambda: self.get(home, "other") == b"from the stick")
        await until(lambda: os.path.exists(os.path.join(path, "large")))
        with open(os.path.join(path, "d/file"), "rb") as file:
            self.assertEqual(file.read(), b"from home")
        os.unlink(os.path.join(path, "other"))
        await until(lambda: self.get(home, "other") is None)
        self.assertEqual(home.status.conflicts, ())

    async def test_it_leaves_when_its_medium_does_and_comes_back_as_it_was(self) -> None:
        home = await self.made("papers")
        path = self.mark("papers", "papers")
        self.start("papers")
        self.plug(self.mount)
        await until(lambda: self.states() == [(path, "in sync")])
        self.plug()
        await until(lambda: not self.states())
        self.put(home, "file", b"while it was away")
        await until(lambda: home.status.files == 1)
        os.rename(self.stick, self.stick + "2")
        self.plug(attrs.evolve(self.mount, point=os.fsencode(self.stick + "2")))
        await until(lambda: os.path.exists(self.stick + "2/papers/file"))
        self.assertEqual(home.status.conflicts, ())

    async def test_only_boxes_that_media_may_join_are_joined(self) -> None:
        await self.made("papers")
        await self.made("music")
        self.mark("p", "papers")
        self.mark("m", "music")
        self.mark("x", "films")
        self.start("papers")
        self.plug(self.mount)
        await until(self.states)
        self.assertEqual([path for path, _ in self.states()], [self.stick + "/p"])

    async def test_the_folder_of_a_configured_box_does_not_join_itself(self) -> None:
        path = self.mark("papers", "papers")
        box = self.make_box("papers", Fixed(path))
        box.startService()
        self.boxes.append(box)
        await until(lambda: box.status.state == "in sync")
        media = self.start("papers")
        self.plug(self.mount)
        assert media._looking is not None
        await media._looking
        self.assertEqual(self.states(), [])

    async def test_an_ejected_medium_holds_nothing_open(self) -> None:
        await self.made("papers")
        self.mark("papers", "papers")
        media = self.start("papers")
        self.plug(self.mount)
        await until(lambda: [state for _, state in self.states()] == ["in sync"])
        self.assertTrue(await media.eject("papers"))
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        opened = [os.readlink(link) for link in links if os.path.lexists(link)]
        self.assertEqual([path for path in opened if path.startswith(self.stick)], [])
        self.assertFalse(await media.eject("music"))

    async def test_stopping_at_any_time_leaves_nothing_behind(self) -> None:
        await self.made("papers")
        self.mark("papers", "papers")
        media = self.start("papers")
        self.plug(self.mount)
        await media.stopService()
        self.assertEqual(self.states(), [])


class SearchTests(PluggedCase):
    """What is on a medium."""

    async def test_boxes_are_found_at_the_top_and_in_its_folders(self) -> None:
        self.mark("", "top")
        self.mark("a", "in a folder")
        self.mark("b/c", "too deep")
        os.makedirs(os.path.join(self.stick, "plain"))
        self.assertEqual(
            sorted(boxes_on(self.mount)),
            [("in a folder", self.stick + "/a"), ("top", self.stick)],
        )

    async def test_markers_without_a_name_and_other_files_are_none(self) -> None:
        self.mark("old", "")
        path = self.mark("broken", "x")
        with open(path + "/.flocknode/box", "wb") as file:
            file.write(b"notes")
        self.assertEqual(boxes_on(self.mount), [])

    async def test_links_do_not_lead_to_what_is_elsewhere(self) -> None:
        path = self.mark("a", "x")
        os.rename(path, os.path.join(self.base, "elsewhere"))
        os.symlink(os.path.join(self.base, "elsewhere"), path)
        self.assertEqual(boxes_on(self.mount), [])

    async def test_what_is_not_mounted_any_more_has_no_boxes(self) -> None:
        self.mark("a", "x")
        self.assertEqual(boxes_on(attrs.evolve(self.mount, id=self.mount.id + 1)), [])
        self.assertEqual(boxes_on(attrs.evolve(self.mount, point=b"/nowhere")), [])

    async def test_what_can_be_a_medium(self) -> None:
        self.assertTrue(is_medium(self.mount))
        for other in (
            attrs.evolve(self.mount, source=b"tmpfs"),
            attrs.evolve(self.mount, root=b"/sub"),
            attrs.evolve(self.mount, point=b"/"),
            attrs.evolve(self.mount, read_only=True),
        ):
            self.assertFalse(is_medium(other))
