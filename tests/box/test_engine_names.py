# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Boxes on disks that cannot hold, or not tell apart, the names that others have.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable
from random import Random

from flocknode.box.disk.naming import PLAIN
from flocknode.testing.filesystems import Twin
from tests.box.peers import Peer, PeerCase, exchange

SCALE = 20 if os.environ.get("FLOCKNODE_SOAK") else 1
ACCENT = "é".encode()
DECOMPOSED = unicodedata.normalize("NFD", "é").encode()


class NamesCase(PeerCase):
    """A box on Linux and one on a twin of something else."""

    twin: Callable[[bytes], Twin]

    def setUp(self) -> None:
        super().setUp()
        type(self).twin(os.fsencode(os.path.join(self.base, "t"))).install(self.patch)
        self.linux, self.other = self.peers("l", "t")

    def reasons(self) -> dict[bytes, str]:
        """What the status of the other says."""
        problems = self.other.engine.snapshot().problems
        return {bytes(path): reason for path, reason in problems}

    def assertKept(self, *paths: bytes) -> None:
        """On Linux these are as they were."""
        exchange(self.linux, self.other)
        for path in paths:
            self.assertEqual(self.linux.get(path), path)
            self.assertFalse(self.other.head(path).value.deleted)

    def put(self, *paths: bytes) -> None:
        """On Linux, files whose content is their path."""
        for path in paths:
            self.linux.put(path, path)

    def pass_on(self) -> Peer:
        """One that hears of everything from the other only."""
        third = self.peer("third")
        third.hear(self.other)
        return third


class CaseTests(NamesCase):
    """On a disk that does not tell case apart."""

    twin = Twin.case_insensitive

    def test_of_two_names_the_lower_is_held_and_the_other_reported(self) -> None:
        self.put(b"case", b"Case", b"CASE")
        exchange(self.linux, self.other)
        self.assertEqual(self.other.names(), {b"CASE"})
        self.assertEqual(self.other.get("CASE"), b"CASE")
        self.assertEqual(set(self.reasons()), {b"Case", b"case"})
        self.assertIn("rename one of the two", self.reasons()[b"case"])
        self.assertEqual(self.other.engine.snapshot().needed, 2)
        self.assertKept(b"case", b"Case", b"CASE")
        self.assertEqual(self.pass_on().head(b"case"), self.linux.head(b"case"))

    def test_what_is_held_stays_whatever_comes_later(self) -> None:
        self.put(b"case")
        exchange(self.linux, self.other)
        self.put(b"Case")
        exchange(self.linux, self.other)
        self.assertEqual(self.other.names(), {b"case"})
        self.assertEqual(self.other.get("case"), b"case")
        self.assertEqual(set(self.reasons()), {b"Case"})
        self.other.restart()
        self.assertKept(b"case", b"Case")
        self.assertEqual(self.other.names(), {b"case"})

    def test_when_one_goes_the_other_comes(self) -> None:
        self.put(b"d/case", b"d/Case")
        exchange(self.linux, self.other)
        os.unlink(self.linux.path(b"d/Case"))
        exchange(self.linux, self.other)
        self.assertEqual(self.other.get("d/case"), b"d/case")
        self.assertEqual(self.other.names(), {b"d", b"d/case"})
        self.assertEqual(self.reasons(), {})
        self.assertEqual(self.other.engine.snapshot().needed, 0)

    def test_a_renaming_elsewhere_that_changes_case_is_followed(self) -> None:
        self.put(b"case")
        exchange(self.linux, self.other)
        os.rename(self.linux.path("case"), self.linux.path("Case"))
        exchange(self.linux, self.other)
        self.assertEqual(self.other.names(), {b"Case"})
        self.assertEqual(self.other.get("Case"), b"case")
        self.assertLevel(self.linux, self.other)

    def test_directories_of_one_name_are_not_mixed(self) -> None:
        self.put(b"Dir/one", b"dir/two", b"dir/deep/three")
        exchange(self.linux, self.other)
        self.assertEqual(self.other.names(), {b"Dir", b"Dir/one"})
        self.assertEqual(set(self.reasons()), {b"dir", b"dir/two", b"dir/deep", b"dir/deep/three"})
        self.assertKept(b"Dir/one", b"dir/two", b"dir/deep/three")
        shutil.rmtree(self.linux.path("Dir"))
        exchange(self.linux, self.other)
        self.assertEqual(
            self.other.names(), {b"dir", b"dir/two", b"dir/deep", b"dir/deep/three"}
        )
        self.assertLevel(self.linux, self.other)

    def test_a_name_in_other_case_on_disk_is_no_renaming(self) -> None:
        self.put(b"d/case")
        exchange(self.linux, self.other)
        before = self.linux.engine.ledger.highest
        os.rename(self.other.path("d/case"), self.other.path("d/CASE"))
        os.rename(self.other.path("d"), self.other.path("D"))
        self.other.look([b"D/CASE", b"D", b"d/case"])
        self.assertKept(b"d/case")
        self.assertEqual(self.linux.names(), {b"d", b"d/case"})
        self.assertEqual(self.linux.engine.ledger.highest, before)
        self.other.put("D/CASE", b"changed here")
        self.other.look([b"D/CASE"])
        exchange(self.linux, self.other, scan=False)
        self.assertEqual(self.linux.get("d/case"), b"changed here")
        self.assertEqual(self.linux.names(), {b"d", b"d/case"})

    def test_a_new_file_here_is_that_which_others_have_in_other_case(self) -> None:
        self.put(b"case")
        self.linux.scan()
        self.other.hear(self.linux)
        self.other.put("Case", b"made here")
        exchange(self.linux, self.other)
        self.assertEqual(self.linux.contents(), [b"case", b"made here"])
        self.assertNotIn(b"Case", self.linux.names())
        self.assertEqual(self.linux.get("case"), b"made here")
        self.assertEqual(self.other.get("Case"), b"made here")

    def test_a_new_name_keeps_its_case(self) -> None:
        self.other.put("New/File", b"x")
        exchange(self.linux, self.other)
        self.assertEqual(self.linux.names(), {b"New", b"New/File"})
        os.unlink(self.other.path("New/File"))
        exchange(self.linux, self.other)
        self.assertEqual(self.linux.names(), {b"New"})

    def test_a_change_elsewhere_reaches_a_name_that_the_disk_shows_otherwise(self) -> None:
        self.put(b"case")
        exchange(self.linux, self.other)
        os.rename(self.other.path("case"), self.other.path("CASE"))
        self.linux.put("case", b"changed there")
        exchange(self.linux, self.other)
        self.assertEqual(self.other.contents(), [b"changed there"])
        os.unlink(self.linux.path("case"))
        exchange(self.linux, self.other)
        self.assertEqual(self.other.names(), set())
        self.assertLevel(self.linux, self.other)

    def test_what_was_held_under_two_names_is_not_deleted_when_the_box_moves_here(self) -> None:
        # As when a folder is copied to another disk with its marker.
        self.other.site.folder._capabilities = None
        capabilities = self.other.site.capabilities
        self.assertFalse(capabilities.names.case_sensitive)
        self.linux.kill()
        self.put(b"case", b"Case")
        self.linux.start()
        exchange(self.linux, self.other)
        held = self.linux.names()
        moved = Twin.case_insensitive(self.linux.root)
        self.linux.kill()
        os.unlink(self.linux.path("case"))
        moved.install(self.patch)
        self.linux.start()
        self.linux.scan()
        self.linux.look([b"case", b"Case"])
        self.assertEqual(held, {b"case", b"Case"})
        self.assertFalse(self.linux.head(b"case").value.deleted)
        self.assertEqual(self.linux.head(b"case").value.content, self.other.content(b"case"))
        problems = dict(self.linux.engine.snapshot().problems)
        self.assertIn(b"case", problems)


class WindowsTests(NamesCase):
    """On a disk as Windows has it."""

    twin = Twin.windows
    names = (
        *(b"a:b", b"what?", b"aux", b"Con.txt", b"dot.", b"space "),
        *(b"\xff", b"line\nend", b"x|/in"),
    )

    def test_names_that_it_cannot_hold_are_reported_and_kept_elsewhere(self) -> None:
        self.put(*self.names, b"good")
        exchange(self.linux, self.other)
        self.assertEqual(self.other.names(), {b"good"})
        self.assertEqual(set(self.reasons()), {*self.names, b"x|"})
        for reason in self.reasons().values():
            self.assertIn("rename it on another node", reason)
        self.assertEqual(self.other.engine.snapshot().needed, len(self.names))
        self.other.restart()
        self.assertKept(*self.names)
        self.assertEqual(self.other.names(), {b"good"})
        third = self.pass_on()
        for name in self.names:
            self.assertEqual(third.head(name), self.linux.head(name))

    def test_a_better_name_is_held(self) -> None:
        self.put(b"a:b")
        exchange(self.linux, self.other)
        os.rename(self.linux.path("a:b"), self.linux.path("a-b"))
        exchange(self.linux, self.other)
        self.assertEqual(self.other.get("a-b"), b"a:b")
        self.assertEqual(self.reasons(), {})
        self.assertEqual(self.other.engine.snapshot().needed, 0)

    def test_files_are_replaced_and_deleted_without_losing_anything(self) -> None:
        self.put(b"File", b"gone")
        exchange(self.linux, self.other)
        self.linux.put("File", b"second")
        os.unlink(self.linux.path("gone"))
        exchange(self.linux, self.other)
        self.assertEqual(self.other.tree(), self.linux.tree())
        self.assertEqual(sorted(self.other.kept()), [b"File", b"gone"])

    def test_what_it_cannot_show_is_not_read_as_deleted(self) -> None:
        self.put(b"d/a:b", b"e:f/x")
        exchange(self.linux, self.other)
        twin = Twin.windows(self.linux.root)
        self.linux.kill()
        os.unlink(self.linux.path("d/a:b"))
        shutil.rmtree(self.linux.path("e:f"))
        twin.install(self.patch)
        self.linux.start()
        self.linux.scan()
        self.linux.look([b"d/a:b", b"e:f"])
        for path in (b"d/a:b", b"e:f/x"):
            self.assertFalse(self.linux.head(path).value.deleted)


class MacTests(NamesCase):
    """On a disk that decomposes accents."""

    twin = Twin.macos

    def test_a_name_that_is_shown_decomposed_is_no_renaming(self) -> None:
        self.put(ACCENT + b"/" + ACCENT)
        exchange(self.linux, self.other)
        self.assertEqual(
            self.other.names(), {DECOMPOSED, DECOMPOSED + b"/" + DECOMPOSED}
        )
        before = self.linux.engine.ledger.highest
        self.other.restart()
        self.other.look([DECOMPOSED, DECOMPOSED + b"/" + DECOMPOSED])
        self.assertKept(ACCENT + b"/" + ACCENT)
        self.assertEqual(self.linux.names(), {ACCENT, ACCENT + b"/" + ACCENT})
        self.assertEqual(self.linux.engine.ledger.highest, before)

    def test_changes_and_deletions_travel_both_ways(self) -> None:
        self.put(ACCENT, b"x" + ACCENT)
        exchange(self.linux, self.other)
        self.other.put(DECOMPOSED, b"changed here")
        os.unlink(self.other.path(b"x" + DECOMPOSED))
        exchange(self.linux, self.other)
        self.assertEqual(self.linux.names(), {ACCENT})
        self.assertEqual(self.linux.get(ACCENT), b"changed here")
        self.linux.put(ACCENT, b"changed there")
        exchange(self.linux, self.other)
        self.assertEqual(self.other.get(DECOMPOSED), b"changed there")
        os.unlink(self.linux.path(ACCENT))
        exchange(self.linux, self.other)
        self.assertEqual(self.other.names(), set())

    def test_of_two_spellings_one_is_held(self) -> None:
        self.put(ACCENT, DECOMPOSED)
        exchange(self.linux, self.other)
        self.assertEqual(self.other.contents(), [min(ACCENT, DECOMPOSED)])
        self.assertEqual(set(self.reasons()), {max(ACCENT, DECOMPOSED)})
        self.assertKept(ACCENT, DECOMPOSED)

    def test_other_names_are_as_ever(self) -> None:
        self.put(b"plain", b"a:b?", b"dot.")
        exchange(self.linux, self.other)
        self.assertLevel(self.linux, self.other)


class StormTests(PeerCase):
    """Whatever happens on both sides."""

    names = (b"case", b"Case", b"d/x", b"D/x", b"D/X", ACCENT, DECOMPOSED, b"a:b", b"case/x")

    def storm(self, make: Callable[[bytes], Twin], seed: int) -> None:
        random = Random(seed)
        base = os.path.join(self.base, str(seed))
        os.makedirs(base)
        twin = make(os.fsencode(os.path.join(base, "t")))
        undo: list[Callable[[], None]] = []
        twin.install(lambda *what: undo.append(self.patch(*what).restore))
        linux, other = Peer(base, "l"), Peer(base, "t")
        for number in range(25):
            peer = random.choice((linux, other))
            path = peer.path(random.choice(self.names))
            if peer is other:
                path = self.shown(twin, path)
            deleting = random.random() < 0.4
            try:
                if deleting and os.path.isdir(path):
                    shutil.rmtree(path)
                elif deleting:
                    os.unlink(path)
                elif not twin.names.why_not(path) or peer is linux:
                    peer.put(path, b"%d" % number)
            except (FileNotFoundError, NotADirectoryError, FileExistsError, IsADirectoryError):
                pass
            peer.scan()
            if random.random() < 0.4:
                exchange(linux, other)
            if random.random() < 0.1:
                other.restart()
        exchange(linux, other)
        for row in linux.index.rows():
            alive = row.head is not None and not row.head.value.deleted
            self.assertEqual(alive, os.path.lexists(linux.path(row.path)), (seed, row.path))
            self.assertEqual(row.history.heads, other.row(row.path).history.heads)
        linux_tree = linux.tree()
        for path, value in other.tree().items():
            self.assertTrue(
                any(
                    twin.names.key(each) == twin.names.key(path) and each_value[-1] == value[-1]
                    for each, each_value in linux_tree.items()
                ),
                (seed, path),
            )
        rows = list(other.index.pending())
        needed = {row.path for row in rows if row.head and not row.head.value.deleted}
        self.assertEqual(needed, set(other.planner.left.problems), seed)
        other.kill()
        linux.kill()
        for each in reversed(undo):
            each()

    def shown(self, twin: Twin, path: bytes) -> bytes:
        """The path that is there in another way, if there is one."""
        found = twin.root
        for name in map(twin.shown, os.path.relpath(path, twin.root).split(b"/")):
            key = twin.names.key(name)
            there = os.listdir(found) if os.path.isdir(found) else []
            same = [each for each in there if twin.names.key(each) == key]
            found = os.path.join(found, same[0] if same else name)
        return found

    def test_storms_come_to_rest_and_linux_has_all_that_is_alive(self) -> None:
        for number, make in enumerate((Twin.case_insensitive, Twin.macos, Twin.windows)):
            for seed in range(2 * SCALE):
                self.storm(make, 1000 * number + seed)


class LinuxTests(PeerCase):
    def test_this_disk_holds_every_name(self) -> None:
        peer = self.peer("l")
        if peer.site.capabilities.names != PLAIN:
            self.skipTest("the tests' own disk does not hold every name")
        a, b = self.peers("a", "b")
        for name in (*WindowsTests.names, b"case", b"Case", ACCENT, DECOMPOSED):
            a.put(name, name)
        exchange(a, b)
        self.assertLevel(a, b)
