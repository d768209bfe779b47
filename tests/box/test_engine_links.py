# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What boxes do about symbolic links and special files, as configured.
"""

from __future__ import annotations

import os
import shutil
import socket
from random import Random

from flocknode.box.settings import BoxSettings
from tests.box.peers import Peer, PeerCase, exchange


class LinkCase(PeerCase):
    symlinks: str

    def setUp(self) -> None:
        super().setUp()
        self.a = Peer(self.base, "a", BoxSettings(symlinks=self.symlinks))
        self.addCleanup(self.a.kill)
        self.b = self.peer("b")

    def link(self, peer: Peer, path: str, target: str) -> None:
        os.makedirs(os.path.dirname(peer.path(path)), exist_ok=True)
        os.symlink(target, peer.path(path))


class CopyTests(LinkCase):
    symlinks = "copy"

    def test_links_are_copied_wherever_they_lead(self) -> None:
        outside = os.path.abspath(os.path.join(self.base, "outside"))
        os.mkdir(outside)
        with open(os.path.join(outside, "secret"), "w") as file:
            file.write("secret")
        self.a.put("file", b"x")
        for number, target in enumerate(("file", "nothing", "..", outside, "/etc/passwd")):
            self.link(self.a, f"link{number}", target)
        exchange(self.a, self.b)
        self.assertLevel(self.a, self.b)
        self.assertEqual(self.b.contents(), [b"x"])
        self.assertEqual(os.readlink(self.b.path("link3")), os.fsencode(outside))

    def test_special_files_are_left_out_and_told(self) -> None:
        self.a.put("file", b"x")
        os.mkfifo(self.a.path("fifo"))
        with socket.socket(socket.AF_UNIX) as listening:
            directory = os.open(self.a.root, os.O_RDONLY)
            self.addCleanup(os.close, directory)
            listening.bind(f"/proc/self/fd/{directory}/socket")
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b"file"})
        problems = dict(self.a.engine.snapshot().problems)
        self.assertEqual(set(problems), {b"fifo", b"socket"})
        self.assertIn("left out", problems[b"fifo"])  # type: ignore[index]
        os.unlink(self.a.path("fifo"))
        self.a.look([b"fifo"])
        self.assertEqual(set(dict(self.a.engine.snapshot().problems)), {b"socket"})


class IgnoreTests(LinkCase):
    symlinks = "ignore"

    def test_links_are_neither_sent_nor_placed_nor_deleted(self) -> None:
        self.a.put("file", b"x")
        self.link(self.a, "mine", "file")
        self.link(self.b, "theirs", "file")
        exchange(self.a, self.b)
        self.assertEqual(self.a.names(), {b"file", b"mine"})
        self.assertEqual(self.b.names(), {b"file", b"theirs"})
        self.assertEqual(self.a.engine.snapshot().needed, 0)
        c = self.peer("c")
        c.hear(self.a)
        self.assertEqual(c.head(b"theirs"), self.b.head(b"theirs"))

    def test_links_that_were_copied_before_stay(self) -> None:
        self.link(self.b, "link", "file")
        self.a.kill()
        self.a.settings = BoxSettings()
        self.a.start()
        exchange(self.a, self.b)
        self.a.kill()
        self.a.settings = BoxSettings(symlinks="ignore")
        self.a.start()
        os.unlink(self.b.path("link"))
        exchange(self.a, self.b)
        self.assertEqual(self.a.names(), {b"link"})
        os.unlink(self.a.path("link"))
        self.link(self.b, "link", "another")
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b"link"})


class FollowTests(LinkCase):
    symlinks = "follow"

    def test_links_in_the_box_are_sent_as_what_they_lead_to(self) -> None:
        self.a.put("d/file", b"x")
        self.link(self.a, "alias", "d/file")
        self.link(self.a, "dir", "d")
        self.link(self.a, "out", "/etc/passwd")
        self.link(self.a, "d/loop", "../d")
        exchange(self.a, self.b)
        self.assertEqual(self.b.get("alias"), b"x")
        self.assertEqual(self.b.get("dir/file"), b"x")
        for path in ("alias", "dir", "dir/file"):
            self.assertFalse(os.path.islink(self.b.path(path)), path)
        for path in ("out", "d/loop", "dir/loop"):
            self.assertTrue(os.path.islink(self.b.path(path)), path)
        self.assertTrue(os.path.islink(self.a.path("dir")))
        self.assertEqual(self.a.engine.snapshot().problems, ())

    def test_a_change_of_what_they_lead_to_is_one_of_all(self) -> None:
        self.a.put("d/file", b"x")
        self.link(self.a, "dir", "d")
        self.link(self.a, "alias", "dir/file")
        exchange(self.a, self.b)
        self.a.put("d/file", b"changed")
        self.a.look([b"d/file"])
        exchange(self.a, self.b, scan=False)
        for path in ("d/file", "dir/file", "alias"):
            self.assertEqual(self.b.get(path), b"changed")
        self.a.put("d/new", b"new")
        self.a.look([b"d/new"])
        os.unlink(self.a.path("d/file"))
        self.a.look([b"d/file"])
        exchange(self.a, self.b, scan=False)
        self.assertEqual(self.b.get("dir/new"), b"new")
        self.assertNotIn(b"dir/file", self.b.names())

    def test_nothing_is_written_through_a_link(self) -> None:
        self.a.put("d/file", b"x")
        self.link(self.a, "dir", "d")
        self.link(self.a, "alias", "d/file")
        exchange(self.a, self.b)
        for path in ("dir/file", "dir/new", "alias"):
            self.b.put(path, b"changed")
        exchange(self.a, self.b)
        self.assertEqual(self.a.get("d/file"), b"x")
        problems = dict(self.a.engine.snapshot().problems)
        self.assertEqual(set(problems), {b"dir/file", b"dir/new", b"alias"})
        os.unlink(self.b.path("dir/file"))
        exchange(self.a, self.b)
        self.assertEqual(self.a.get("d/file"), b"x")
        self.assertEqual(self.b.get("alias"), b"changed")
        self.a.restart()
        self.a.work()
        self.assertEqual(self.a.names(), {b"d", b"d/file", b"dir", b"alias"})

    def test_a_link_that_makes_room_is_replaced_by_what_others_have(self) -> None:
        self.a.put("d/file", b"x")
        self.link(self.a, "dir", "d")
        exchange(self.a, self.b)
        self.b.put("dir/new", b"new")
        exchange(self.a, self.b)
        os.unlink(self.a.path("dir"))
        os.mkdir(self.a.path("dir"))
        exchange(self.a, self.b)
        self.assertEqual(self.a.get("dir/new"), b"new")
        self.assertEqual(self.a.engine.snapshot().problems, ())

    def test_a_link_to_a_file_makes_room_when_it_goes(self) -> None:
        self.a.put("file", b"x")
        self.link(self.a, "alias", "file")
        exchange(self.a, self.b)
        self.b.put("alias", b"changed")
        exchange(self.a, self.b)
        os.unlink(self.a.path("alias"))
        exchange(self.a, self.b)
        self.assertEqual(self.a.get("alias"), b"changed")
        self.assertLevel(self.a, self.b)

    def test_a_link_that_others_made_stays_one(self) -> None:
        self.b.put("d/file", b"x")
        self.link(self.b, "alias", "d/file")
        self.link(self.b, "dir", "d")
        for _ in range(2):
            exchange(self.a, self.b)
            exchange(self.a, self.b)
            self.assertTrue(os.path.islink(self.a.path("alias")))
            self.assertTrue(os.path.islink(self.b.path("alias")))
            self.assertTrue(os.path.islink(self.b.path("dir")))
            self.a.restart()
        self.assertLevel(self.a, self.b)

    def test_a_link_that_goes_is_deleted_and_what_it_led_to_is_not(self) -> None:
        self.a.put("d/file", b"x")
        self.link(self.a, "dir", "d")
        exchange(self.a, self.b)
        os.unlink(self.a.path("dir"))
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b"d", b"d/file"})
        self.assertLevel(self.a, self.b)

    def test_directories_behind_links_are_watched_where_they_are(self) -> None:
        entered: list[bytes] = []
        self.a.put("d/file", b"x")
        self.link(self.a, "dir", "d")
        self.a.entering = lambda path, _: entered.append(path)
        self.a.scan()
        self.assertEqual(entered, [b"", b"d"])


class StormTests(PeerCase):
    """Whatever happens to links and patterns."""

    names = (
        *("f", "d/f", "d/e/f", "d/e", "d", "x", "x/y", "g.o", "d/g.o"),
        *(".flockignore", "d/.flockignore"),
    )
    targets = ("f", "d", "../d", "d/e", "../f", "..", "x", "/etc", "nothing", "e", "../x")
    patterns = (b"*.o\n", b"", b"d/\n", b"e\n!f\n", b"x\n")

    def change(self, random: Random, peer: Peer, name: str, data: bytes) -> None:
        path, chance = peer.path(name), random.random()
        if name.endswith(".flockignore"):
            peer.put(name, random.choice(self.patterns))
        elif chance < 0.35:
            peer.put(name, data)
        elif chance < 0.6:
            os.symlink(random.choice(self.targets), path)
        elif os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def storm(self, seed: int, mine: str) -> None:
        random = Random(seed)
        base = os.path.join(self.base, f"{seed}{mine}")
        os.makedirs(base)
        a = Peer(base, "a", BoxSettings(symlinks=mine))
        b = Peer(base, "b", BoxSettings(symlinks=random.choice(("copy", "follow", "ignore"))))
        for number in range(25):
            peer, name = random.choice((a, b)), random.choice(self.names)
            try:
                self.change(random, peer, name, b"%d" % number)
            except OSError:
                # What cannot be done is not done.
                continue
            if random.random() < 0.5:
                peer.scan()
            else:
                peer.look([os.fsencode(name)])
            if random.random() < 0.4:
                exchange(a, b)
            if random.random() < 0.1:
                peer.restart()
        exchange(a, b)
        for row in a.index.rows():
            self.assertEqual(row.history.heads, b.row(row.path).history.heads, (seed, row.path))
        a.kill()
        b.kill()

    def test_boxes_come_to_rest_and_agree(self) -> None:
        for seed in range(40 if os.environ.get("FLOCKNODE_SOAK") else 1):
            for mine in ("follow", "ignore"):
                self.storm(seed, mine)
