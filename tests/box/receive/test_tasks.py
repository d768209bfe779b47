# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.tasks}.
"""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.disk.folder import FileType
from flocknode.box.index.rows import Placed, Row
from flocknode.box.receive.tasks import (
    FIRST_DELAY,
    LARGER,
    LONGEST_DELAY,
    SMALL,
    Action,
    Step,
    Task,
    Tasks,
    action_for,
)
from flocknode.box.values import TOMBSTONE, History, Kind, Path, Value, VersionId
from tests.box.rows import content, deleted, directory, file, head, holding, stat, wanting

OLD = VersionId(b"o" * 16)


def row(value: Value, size: int, placed: Placed | None) -> Row:
    return Row(Path(b"a"), 1, History((head(value, size, OLD),)), False, placed)


class ActionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = holding(b"a", b"old").placed
        self.directory = directory(b"a").placed

    def test_a_new_file_needs_its_content(self) -> None:
        self.assertEqual(
            action_for(wanting(b"a", b"new")), (Action.FILE, content(b"new"))
        )

    def test_a_file_after_a_tombstone_needs_its_content(self) -> None:
        asked = action_for(row(file(b"new"), 3, deleted(b"a").placed))
        self.assertEqual(asked, (Action.FILE, content(b"new")))

    def test_other_attributes_of_the_same_content_need_nothing(self) -> None:
        asked = action_for(row(file(b"old", mtime_ns=5), 3, self.file))
        self.assertEqual(asked, (Action.FILE, b""))

    def test_a_link_to_what_was_a_file_needs_its_target(self) -> None:
        link = Value(kind=Kind.SYMLINK, content=content(b"old"))
        self.assertEqual(action_for(row(link, 3, self.file)), (Action.FILE, content(b"old")))

    def test_an_empty_file_needs_nothing(self) -> None:
        self.assertEqual(action_for(wanting(b"a", b"")), (Action.FILE, b""))

    def test_what_takes_the_place_of_a_directory_waits_for_deletions(self) -> None:
        asked = action_for(row(file(b"new"), 3, self.directory))
        self.assertEqual(asked, (Action.INSTEAD, content(b"new")))

    def test_directories_and_deletions_need_nothing(self) -> None:
        made = Value(kind=Kind.DIRECTORY, mode=0o700)
        self.assertEqual(action_for(row(made, 0, self.file)), (Action.DIRECTORY, b""))
        self.assertEqual(action_for(row(TOMBSTONE, 0, self.file)), (Action.DELETE, b""))

    def test_same_content_of_what_is_not_on_disk_is_needed(self) -> None:
        assert self.file is not None
        placed = replace(self.file, disk=None)
        self.assertEqual(
            action_for(row(file(b"old", 5), 3, placed)), (Action.FILE, content(b"old"))
        )


class TasksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tasks = Tasks()

    def add(self, path: bytes, action: Action, needed: bytes = b"") -> Task:
        return self.tasks.add(Path(path), action, needed)

    def take(
        self, limit: int = 100, seeking: bool = False, parents: bool = True
    ) -> tuple[list[bytes], list[bytes]]:
        batch, orphans = self.tasks.take(
            limit, seeking, lambda path: parents or not path.count(b"/")
        )
        return [task.path for task in batch], [task.path for task in orphans]

    def test_directories_come_first_and_deletions_last(self) -> None:
        self.add(b"x", Action.DELETE)
        self.add(b"x/y/z", Action.DELETE)
        self.add(b"i", Action.INSTEAD)
        self.add(b"f", Action.FILE)
        self.add(b"d/e", Action.DIRECTORY)
        self.add(b"d", Action.DIRECTORY)
        self.add(b"x/y", Action.DELETE)
        taken, _ = self.take()
        self.assertEqual(taken, [b"d", b"d/e", b"f", b"x/y/z", b"x/y", b"x", b"i"])
        self.assertEqual(self.tasks.ready, 0)

    def test_nothing_is_deleted_while_content_is_looked_for(self) -> None:
        self.add(b"x", Action.DELETE)
        self.add(b"f", Action.FILE)
        self.assertEqual(self.take(seeking=True)[0], [b"f"])
        self.assertEqual(self.take()[0], [b"x"])

    def test_nothing_is_deleted_before_all_ready_files_are_placed(self) -> None:
        self.add(b"x", Action.DELETE)
        self.add(b"f", Action.FILE)
        self.add(b"g", Action.FILE)
        self.assertEqual(self.take(limit=1)[0], [b"f"])
        self.assertEqual(self.take(limit=1)[0], [b"g"])
        self.assertEqual(self.take(limit=1)[0], [b"x"])

    def test_a_batch_of_small_files_is_larger_but_not_for_ever(self) -> None:
        for number in range(30):
            self.add(b"%02d" % number, Action.FILE)

        def taken(size: int) -> int:
            return len(self.tasks.take(2, False, lambda path: True, lambda task: size)[0])

        self.assertEqual(taken(0), 2 * LARGER)
        self.assertEqual(taken(SMALL), 2)
        self.assertEqual(taken(SMALL // 3), 4)
        self.assertEqual(len(self.take(2)[0]), 2)
        self.assertEqual(self.tasks.ready, 30 - 2 * LARGER - 8)

    def test_what_waits_for_content_is_not_taken(self) -> None:
        task = self.add(b"f", Action.FILE, b"c" * 32)
        self.add(b"x", Action.DELETE)
        self.assertEqual(self.take()[0], [b"x"])
        self.tasks.set_ready(task)
        self.assertEqual(self.take()[0], [b"f"])

    def test_what_has_no_directory_is_an_orphan_unless_it_is_made_in_the_batch(self) -> None:
        self.add(b"d", Action.DIRECTORY)
        self.add(b"d/f", Action.FILE)
        self.add(b"e/f", Action.FILE)
        self.add(b"e/x", Action.DELETE)
        self.assertEqual(self.take(parents=False), ([b"d", b"d/f", b"e/x"], [b"e/f"]))

    def test_a_new_task_takes_the_place_of_the_old(self) -> None:
        self.add(b"f", Action.FILE)
        self.add(b"f", Action.DELETE)
        self.assertEqual((self.tasks.ready, len(self.tasks)), (1, 1))
        self.assertEqual(self.take()[0], [b"f"])
        self.assertEqual(self.take()[0], [])

    def test_what_is_renamed_leaves_with_its_target(self) -> None:
        source = self.add(b"old", Action.DELETE)
        target = self.add(b"new", Action.FILE, b"c" * 32)
        self.tasks.pair(target, source)
        self.assertEqual(self.take()[0], [b"new"])
        self.assertEqual((target.source, self.take()[0]), (b"old", []))

    def test_a_source_that_is_not_renamed_after_all_is_deleted(self) -> None:
        source = self.add(b"old", Action.DELETE)
        target = self.add(b"new", Action.FILE, b"c" * 32)
        self.tasks.pair(target, source)
        self.take()
        self.tasks.hold(target, 0.0)
        self.assertEqual(self.take()[0], [b"old"])

    def test_a_target_whose_source_is_kept_has_to_find_its_content(self) -> None:
        source = self.add(b"old", Action.DELETE)
        target = self.add(b"new", Action.FILE, b"c" * 32)
        self.tasks.pair(target, source)
        self.tasks.drop(Path(b"old"))
        self.assertEqual((target.step, target.source), (Step.CONTENT, None))
        self.assertEqual(self.tasks.unpaired, [target])
        self.assertEqual(self.tasks.ready, 0)

    def test_what_was_held_is_due_later_each_time(self) -> None:
        task = self.add(b"f", Action.FILE)
        now, delays = 0.0, []
        for _ in range(12):
            self.take()
            self.tasks.hold(task, now)
            due = self.tasks.next_due()
            assert due is not None
            delays.append(due - now)
            self.assertEqual(self.tasks.due(due - 0.01), [])
            self.assertEqual(self.tasks.due(due), [task])
            now = due
            self.tasks.set_ready(task)
        self.assertEqual(delays[:3], [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY])
        self.assertEqual(delays[-1], LONGEST_DELAY)

    def test_what_was_dropped_is_not_due(self) -> None:
        self.tasks.hold(self.add(b"f", Action.FILE), 0.0)
        self.tasks.drop(Path(b"f"))
        self.assertEqual((self.tasks.next_due(), self.tasks.due(1e9)), (None, []))

    def test_the_type_of_what_was_there_decides(self) -> None:
        other = stat(type=FileType.SYMLINK)
        placed = Placed(OLD, Value(kind=Kind.SYMLINK, content=content(b"t")), 1, other)
        self.assertEqual(action_for(row(file(b"n"), 1, placed))[0], Action.FILE)
