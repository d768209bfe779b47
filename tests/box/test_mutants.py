# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Promises of whole boxes, each with a mistake planted that it does not survive.
(Those of the rules between boxes are in L{tests.box.test_model}, those of
syncing in L{tests.box.test_powercut}.)
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from msgspec.structs import replace
from twisted.trial.unittest import FailTest

from flocknode.box.disk.capabilities import Capabilities
from flocknode.box.disk.perform import Actor
from flocknode.box.disk.placement import Outcome
from flocknode.box.disk.replace import Careful, Exchange
from flocknode.box.disk.site import Site
from flocknode.box.disk.versions import Kept, VersionStore
from flocknode.box.index.rows import Placed as Held
from flocknode.box.receive.tasks import Action, Step, Task, Tasks
from flocknode.box.survey import changes
from flocknode.box.survey.observe import Observation, observed_value
from flocknode.box.values import Path, Value
from tests.box.peers import PeerCase, exchange


class PromiseCase(PeerCase):
    count = 0

    def assertBroken(self, promise: Callable[[], None]) -> None:
        """The promise fails, and because it is checked."""
        self.assertRaises(FailTest, promise)


class CtimeTests(PromiseCase):
    """A ctime that is another one says that one has to look, and nothing else."""

    def promise(self) -> None:
        self.count += 1
        a, b = self.peers(f"a{self.count}", f"b{self.count}")
        a.put("file", b"content", mtime=5)
        exchange(a, b)
        ids = [peer.head(b"file").id for peer in (a, b)]
        for peer in (a, b):
            # As backups, virus scanners and other synchronisers do.
            os.chmod(peer.path("file"), 0o600)
            os.chmod(peer.path("file"), 0o644)
            peer.scan()
        self.assertEqual([peer.head(b"file").id for peer in (a, b)], ids)

    def test_it_is_kept(self) -> None:
        self.promise()

    def test_ctime_taken_as_evidence_is_caught(self) -> None:
        def wrong(
            placed: Held | None, seen: Observation, capabilities: Capabilities
        ) -> tuple[Value, int]:
            value, size = observed_value(placed, seen, capabilities)
            stat = seen.stat
            if placed is None or placed.disk is None or stat is None:
                return value, size
            if stat.ctime_ns != placed.disk.ctime_ns:
                value = replace(value, mtime_ns=stat.ctime_ns)
            return value, size

        self.patch(changes, "observed_value", wrong)
        self.assertBroken(self.promise)


class HistoryTests(PromiseCase):
    """What is in the version store never changes."""

    def promise(self) -> None:
        self.count += 1
        a, b = self.peers(f"a{self.count}", f"b{self.count}")
        a.put("file", b"old content", mtime=5)
        exchange(a, b)
        # Somebody has given it another name, as backups do.
        os.link(b.path("file"), b.root + b".other")
        b.scan()
        a.put("file", b"new content", mtime=6)
        exchange(a, b)
        with open(b.root + b".other", "r+b") as file:
            file.write(b"OLD CONTENT")
        self.assertEqual(b.stored(), [b"old content"])

    def test_it_is_kept(self) -> None:
        self.promise()

    def test_a_version_that_shares_its_inode_is_caught(self) -> None:
        def wrong(store: VersionStore, name: bytes) -> Kept:
            stat = store.stat(name)
            assert stat is not None
            return Kept(name, stat)

        self.patch(VersionStore, "settle", wrong)
        self.assertBroken(self.promise)


class MarkerTests(PromiseCase):
    """A folder that is emptied together with its marker is not mounted."""

    def promise(self) -> None:
        self.count += 1
        a, b = self.peers(f"a{self.count}", f"b{self.count}")
        a.put("file", b"content")
        exchange(a, b)
        os.unlink(a.path("file"))
        shutil.rmtree(os.fsdecode(a.path(".flocknode")))
        a.scan()
        b.hear(a)
        b.work()
        self.assertEqual(b.contents(), [b"content"])

    def test_it_is_kept(self) -> None:
        self.promise()

    def test_a_marker_that_is_ignored_is_caught(self) -> None:
        self.patch(Site, "in_place", lambda site: True)
        self.assertBroken(self.promise)


class LastInstantTests(PromiseCase):
    """What an editor saves while it is replaced is somebody's version."""

    def promise(self) -> None:
        self.count += 1
        a, b = self.peers(f"a{self.count}", f"b{self.count}")
        a.put("plan", b"base", mtime=1)
        exchange(a, b)
        a.put("plan", b"from a", mtime=10)

        def save(step: str, path: Path) -> None:
            if step == "checked":
                b.hook = lambda step, path: None
                b.put("plan.new", b"from b", mtime=5)
                os.rename(b.path("plan.new"), b.path("plan"))

        b.hook = save
        exchange(a, b)
        self.assertEqual(b.contents(), [b"from a", b"from b"])

    def test_it_is_kept(self) -> None:
        self.promise()

    def test_not_looking_at_what_came_out_is_caught(self) -> None:
        real = Actor._kept

        def wrong(
            actor: Actor, path: Path, stat: object, keep: bytes, expected: bool
        ) -> Outcome:
            return real(actor, path, stat, keep, True)  # type: ignore[arg-type]

        self.patch(Actor, "_kept", wrong)
        self.assertBroken(self.promise)

    def test_renaming_over_what_was_looked_at_is_caught(self) -> None:
        def wrong(self: Exchange, *arguments: object) -> object:
            careful = Careful(self._folder, self._staging, self._versions, self._step)
            return careful.replace(*arguments)  # type: ignore[arg-type]

        self.patch(Exchange, "replace", wrong)
        self.assertBroken(self.promise)


class RenameTests(PromiseCase):
    """What is renamed there is renamed here, and never sent again."""

    def promise(self) -> None:
        self.count += 1
        a, b = self.peers(f"a{self.count}", f"b{self.count}")
        for number in range(3):
            a.put(f"old/{number}", b"content %d" % number)
        exchange(a, b)
        os.rename(a.path("old"), a.path("new"))
        seen: list[int] = []

        def count(step: str, path: Path) -> None:
            if step in ("exchanged", "acted"):
                seen.append(len(b.contents()))

        b.hook = count
        b.asked.clear()
        exchange(a, b)
        self.assertEqual(set(seen), {3})
        self.assertEqual((b.asked, b.stored()), ([], []))

    def test_it_is_kept(self) -> None:
        self.promise()

    def test_deleting_before_renaming_is_caught(self) -> None:
        self.patch(Tasks, "pair", lambda tasks, target, source: None)
        real = Tasks.take

        def wrong(
            tasks: Tasks,
            limit: int,
            keeping: bool,
            has_parent: Callable[[Path], bool],
            size: Callable[[Task], int] | None = None,
        ) -> tuple[list[Task], list[Task]]:
            batch: list[Task] = []

            def accept(task: Task) -> None:
                tasks._leave(task, Step.TAKEN)
                batch.append(task)

            tasks._pop(tasks._heaps[Action.DELETE], limit, batch, accept)
            return (batch, []) if batch else real(tasks, limit, keeping, has_parent, size)

        self.patch(Tasks, "take", wrong)
        self.assertBroken(self.promise)
