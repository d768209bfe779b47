# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.engine}: what somebody does in the folder at the very
moment in which something else happens there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import Any

from flocknode.box.content import block_hash
from flocknode.box.disk.folder import Folder
from flocknode.box.disk.perform import no_step
from flocknode.box.index.database import Index
from flocknode.box.survey import blocks
from flocknode.box.survey.compare import Survey
from flocknode.box.survey.observe import Sighting
from flocknode.box.values import Path
from tests.box.peers import Killed, Peer, PeerCase, exchange

DAY = 86_400


def killed_when_exchanged(step: str, path: Path) -> None:
    """A hook: the process ends when new content has its name."""
    if step == "exchanged":
        raise Killed(step)


class Equal(PeerCase):
    """Two folders that held the same before they met."""

    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.peers("a", "b")
        for peer in (self.a, self.b):
            peer.put("x", b"same", mtime=1e9, mode=0o644)
            peer.scan()
        # The other's entry comes before this one was handed out.
        self.a.hear(self.b)

    def test_a_deletion_is_no_taking_back(self) -> None:
        os.unlink(self.a.path("x"))
        self.a.scan()
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), set())
        self.assertLevel(self.a, self.b)

    def test_an_edit_is_no_conflict(self) -> None:
        self.a.put("x", b"edited")
        self.a.scan()
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b"x"})
        self.assertLevel(self.a, self.b)


class Writers(PeerCase):
    """Somebody holds a file open while it is replaced."""

    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.peers("a", "b")
        self.a.put("log", b"line\n")
        exchange(self.a, self.b)
        self.b.put("log", b"another version\n")
        self.b.scan()
        self.writer = os.open(self.a.path("log"), os.O_WRONLY | os.O_APPEND)
        self.addCleanup(os.close, self.writer)

    def test_who_goes_on_writing_makes_one_conflict(self) -> None:
        exchange(self.a, self.b, scan=False)
        for number in range(6):
            os.write(self.writer, b"more %d\n" % number)
            os.utime(self.writer, ns=(0, 10**18 + number))
            self.a.wait(2.1)
            exchange(self.a, self.b)
        self.assertLessEqual(len(self.a.names()), 2)

    def test_what_was_written_just_before_the_end_is_kept(self) -> None:
        exchange(self.a, self.b)
        os.write(self.writer, b"the last words\n")
        self.a.restart()
        self.a.wait(3)
        exchange(self.a, self.b)
        self.assertIn(b"line\nthe last words\n", self.a.contents())


class TimeSteps(PeerCase):
    """A change that shows the same times as what was there before."""

    def seen(self, peer: Peer, now: Callable[[], int], *paths: str) -> list[Sighting]:
        """What a survey finds, at that time."""
        reading = Index(peer.state, reading=True)
        survey = Survey(peer.site, reading, now=now)
        looked = survey.look([Path(os.fsencode(path)) for path in paths], True)
        found = list(looked if paths else survey.scan())
        survey.close()
        reading.close()
        return found

    def written_again(self, peer: Peer) -> None:
        """A file is hashed, and rewritten in the same step of the clock."""
        peer.put("f", b"one")
        stat = os.stat(peer.path("f"))
        sightings = self.seen(peer, lambda: stat.st_mtime_ns)
        self.assertEqual({path for each in sightings for path in each.doubtful}, {b"f"})
        for sighting in sightings:
            peer.engine.observe(sighting)
        with open(peer.path("f"), "r+b") as file:
            file.write(b"two")
        os.utime(peer.path("f"), ns=(stat.st_mtime_ns, stat.st_mtime_ns))
        # The time of change cannot be set: so what is remembered of it is.
        now = peer.site.folder.lstat(b"f")
        assert now is not None
        peer.index._db.execute(
            "UPDATE entry SET disk_ctime = disk_ctime + ? WHERE name = ?",
            (now.ctime_ns - stat.st_ctime_ns, b"f"),
        )

    def test_the_moment_before_reading_counts(self) -> None:
        a = self.peer("a")
        a.put("big", b"x" * (blocks.WHOLE + 1))
        written = os.stat(a.path("big")).st_mtime_ns
        now = [written + 1_000_000]
        read = blocks._read_block

        def slow(*arguments: Any) -> Any:
            now[0] = written + 51_000_000
            return read(*arguments)

        self.patch(blocks, "_read_block", slow)
        sightings = self.seen(a, lambda: now[0])
        self.assertEqual({path for each in sightings for path in each.doubtful}, {b"big"})

    def test_it_is_found_after_a_restart(self) -> None:
        a = self.peer("a")
        self.written_again(a)
        a.restart()
        self.assertEqual(a.content(b"f"), block_hash(b"two"))

    def test_it_is_not_taken_for_a_fault_of_the_disk(self) -> None:
        a = self.peer("a")
        self.written_again(a)
        for sighting in self.seen(a, lambda: time.time_ns() + 3_600 * 10**9, "f"):
            a.engine.observe(sighting)
        self.assertEqual(a.content(b"f"), block_hash(b"two"))

    def test_a_time_in_the_future_does_not_make_a_file_doubtful_for_ever(self) -> None:
        a = self.peer("a")
        a.put("f", b"x", mtime=time.time() + DAY)
        a.scan()
        later = time.time_ns() + 10**9
        sightings = self.seen(a, lambda: later, "f")
        self.assertEqual([path for each in sightings for path in each.doubtful], [])


class Directories(PeerCase):
    """Directories that go or change while something is done in them."""

    def test_one_that_is_removed_while_it_is_filled_stays_away(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/old", b"old")
        exchange(a, b)
        a.put("d/new", b"new")
        a.scan()
        b.hear(a)
        b.work()
        b.fetch([a])
        seen: list[Sighting] = []

        def remove(step: str, path: Path) -> None:
            if step == "acted" and not seen:
                shutil.rmtree(b.path("d"))
                seen.extend(b.see())

        b.hook = remove
        for _ in range(5):
            b.engine.step()
            b.time += 0.2
        self.assertTrue(seen)
        for sighting in seen:
            b.engine.observe(sighting)
        b.work()
        exchange(a, b)
        self.assertEqual(b.names(), set())
        self.assertLevel(a, b)

    def test_one_that_is_removed_in_the_instant_in_which_it_is_made_stays_away(self) -> None:
        a, b = self.peers("a", "b")
        os.mkdir(a.path("d"))

        def remove(step: str, path: Path) -> None:
            if (step, path) == ("exchanged", b"d") and not removed:
                removed.append(path)
                os.rmdir(b.path("d"))

        removed: list[Path] = []
        b.hook = remove
        exchange(a, b)
        self.assertTrue(removed)
        self.assertEqual(a.names(), set())
        self.assertLevel(a, b)

    def test_one_that_is_deleted_does_not_stay_for_an_empty_one_that_is_held_longer(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/e/file", b"x")
        exchange(a, b)
        shutil.rmtree(a.path("d"))
        a.scan()

        def leave_no_file(step: str, path: Path) -> None:
            if (step, path) == ("checked", b"d/e") and not left:
                left.append(path)
                b.put("d/e/left", b"for an instant")
            elif (step, path) == ("checked", b"d") and os.path.exists(b.path("d/e/left")):
                os.unlink(b.path("d/e/left"))

        left: list[Path] = []
        b.hook = leave_no_file
        b.hear(a)
        b.work()
        b.hook = no_step
        self.assertTrue(left)
        b.wait(2)
        self.assertEqual(b.names(), set())
        exchange(a, b)
        self.assertLevel(a, b)

    def test_one_that_nobody_may_enter_is_not_opened_to_all(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/secret", b"s")
        os.chmod(a.path("d"), 0o700)
        exchange(a, b)
        os.chmod(a.path("d"), 0)
        exchange(a, b)
        self.assertEqual(os.stat(b.path("d")).st_mode & 0o077, 0)

    def test_one_that_is_deleted_stays_deleted_though_others_hear_of_it_in_parts(self) -> None:
        a, b, c = self.peers("a", "b", "c")
        a.put("d/f", b"x")
        exchange(a, b, c)
        b.put("d/f", b"y")
        b.scan()
        b.engine.entries_after(0, 1 << 20)
        for peer in (a, b):
            shutil.rmtree(peer.path("d"))
            peer.scan()
        a.engine.entries_after(0, 1 << 20)
        a.hear(b)
        a.work()
        c.hear(a, limit=1)
        c.work()
        exchange(a, b, c)
        self.assertEqual(c.names(), set())

    def test_a_crash_while_one_is_writable_does_not_leave_it_so(self) -> None:
        a, b = self.peers("a", "b")
        a.put("d/f", b"one")
        os.chmod(a.path("d"), 0o555)
        exchange(a, b)
        self.patch(os, "access", lambda *_, **__: False)
        a.put("d/f", b"two")
        a.scan()

        b.hook = killed_when_exchanged
        self.assertRaises(Killed, exchange, a, b)
        b.hook = no_step
        # An exception lets the batch end properly: as if it had not.
        os.chmod(b.path("d"), 0o755)
        b.restart()
        exchange(a, b)
        self.assertEqual(os.stat(a.path("d")).st_mode & 0o777, 0o555)


class Crashes(PeerCase):
    """What is done in the folder while no node runs."""

    def test_an_edit_of_what_had_just_been_created_is_no_conflict(self) -> None:
        a, b = self.peers("a", "b")
        a.put("doc", b"from a")
        a.scan()

        b.hook = killed_when_exchanged
        self.assertRaises(Killed, exchange, a, b)
        b.hook = no_step
        b.kill()
        with open(b.path("doc"), "ab") as file:
            file.write(b", edited at b")
        b.start()
        exchange(a, b)
        self.assertEqual(a.contents(), [b"from a, edited at b"])

    def test_an_index_from_a_backup_that_has_overtaken_is_announced_anew(self) -> None:
        a, b = self.peers("a", "b")
        a.put("f", b"0")
        exchange(a, b)
        a.kill()
        shutil.copy(a.state, a.state + ".backup")
        a.start()
        for number in range(5):
            a.put(f"new{number}", b"%d" % number)
        exchange(a, b)
        a.kill()
        for end in ("-wal", "-shm"):
            if os.path.exists(a.state + end):
                os.unlink(a.state + end)
        shutil.copy(a.state + ".backup", a.state)
        for number in range(5, 15):
            a.put(f"new{number}", b"%d" % number)
        a.start()
        # As in a hello: what the other has stored comes before anything else.
        a.engine.acknowledged(b.holder, *b.engine.snapshot().stored[a.holder])
        exchange(a, b)
        self.assertLevel(a, b)


class Sums(PeerCase):
    def test_a_holder_with_a_new_index_does_not_stop_changes_from_being_counted(self) -> None:
        a, b = self.peers("a", "b")
        a.put("x", b"x" * 1000)
        exchange(a, b)
        b.engine.acknowledged(a.holder, b.engine.ledger.index_id, 10_000)
        a.engine.join(b.holder, b.engine.ledger.index_id, 0, 0, [])
        a.engine.counted(a.engine.snapshot().new_total)
        a.check_sums()


class Unreadable(PeerCase):
    def test_a_file_that_its_owner_may_not_read_is_served_all_the_same(self) -> None:
        a, b = self.peers("a", "b")
        a.put("f", b"x" * 100, mode=0o200)
        exchange(a, b)
        plain = Folder.open

        def opened(folder: Folder, path: bytes) -> int:
            stat = folder.lstat(path)
            if stat is not None and not stat.mode & 0o400:
                raise PermissionError(13, "no")
            return plain(folder, path)

        self.patch(Folder, "open", opened)
        self.assertIsNotNone(b.serve(b.content(b"f")))
