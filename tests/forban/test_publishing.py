# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.publishing}: in virtual time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.lane import Stopped
from flocknode.box.listing import Known, ListedFile, Listing, Mark, Offer, OpenFile
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.forban.publishing import (
    LONGEST_WAIT,
    SETTLE,
    Publishing,
    load,
    save,
    settled,
)


def at_once(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """The thread of these tests."""
    return maybeDeferred(work, *arguments)


def file(name: str, version: int = 1) -> ListedFile:
    """A file whose version is its size and its time."""
    return ListedFile(Path(name.encode()), version, version, bytes([version]) * 32)


@attrs.define
class Box:
    """A shelf whose listing is set by hand."""

    name: str
    files: dict[Path, ListedFile] = attrs.field(factory=dict)
    unsettled: set[Path] = attrs.field(factory=set)
    after: set[Path] = attrs.field(factory=set)
    away: bool = False
    told: list[Callable[[], object]] = attrs.field(factory=list)

    def tell(self, changed: Callable[[], object]) -> None:
        self.told.append(changed)

    def put(self, name: str, version: int = 1, *, new: bool = False) -> None:
        """Have a file in it; C{new}: that is a local change."""
        path = Path(name.encode())
        self.files[path] = file(name, version)
        self._changed(path, new)

    def remove(self, name: str) -> None:
        """Delete one, as a local change."""
        path = Path(name.encode())
        del self.files[path]
        self._changed(path, True)

    def _changed(self, path: Path, new: bool) -> None:
        self.after.add(path)
        if new:
            self.unsettled.add(path)
        for told in self.told:
            told()

    def mark(self) -> Deferred[Mark]:
        # What changes from now on is unsettled, too.
        self.after = set()
        return fail(BoxError("It is not there.")) if self.away else succeed(Mark(0, 0))

    def listing(self, mark: Mark | None = None) -> Deferred[Listing]:
        if self.away:
            return fail(BoxError("It is not there."))
        changed = frozenset() if mark is None else frozenset(self.unsettled | self.after)
        return succeed(Listing(dict(self.files), changed))

    def open(self, file: ListedFile) -> Deferred[OpenFile]:
        raise AssertionError("Publishing asks only for lists.")

    def known(self, paths: Sequence[Path]) -> Deferred[list[Known]]:
        raise AssertionError("Publishing asks only for lists.")

    def find(self, content: bytes) -> Deferred[ListedFile | None]:
        raise AssertionError("Publishing asks only for lists.")

    def adopt(self, offers: Sequence[Offer]) -> Deferred[list[Path | BoxError]]:
        raise AssertionError("Publishing asks only for lists.")


class Case(SynchronousTestCase):
    """A node with a public box."""

    shared = True

    def setUp(self) -> None:
        self.clock = Clock()
        self.level = True
        self.state = self.mktemp()
        self.boxes = [Box("one")]
        # What was noted as gone; and what the next note waits for, if it does.
        self.gone: list[tuple[str, bytes]] = []
        self.noting: Deferred[None] | None = None
        self.publishing = self.started()

    def note(self, box: str, files: Sequence[ListedFile]) -> Deferred[None]:
        """These are shown no more."""
        self.gone += [(box, file.path) for file in files]
        return self.noting or succeed(None)

    def started(self, seed: int = 1) -> Publishing:
        publishing = Publishing(
            self.clock,
            at_once,
            {box.name: box for box in self.boxes},
            self.state,
            Random(seed),
            shared=self.shared,
            level=lambda _name: self.level,
            gone=self.note,
        )
        publishing.startService()
        return publishing

    def shown(self) -> dict[str, int]:
        """Path to version."""
        files = self.publishing.catalogue.files
        return {path.decode(): shown.file.size for path, shown in files.items()}

    def pass_time(self, seconds: float) -> None:
        """In small steps."""
        for _ in range(int(seconds * 4)):
            self.clock.advance(0.25)

    def round(self) -> None:
        """All that was new is in a round."""
        self.publishing.round_started()
        self.clock.advance(2)
        for box in self.boxes:
            box.unsettled.clear()
        self.publishing.round_stopped()


class OneNodeTests(Case):
    """A node without peers."""

    shared = False

    def test_a_change_is_shown_soon(self) -> None:
        self.boxes[0].put("a", new=True)
        self.pass_time(2 * SETTLE)
        self.assertEqual(self.shown(), {"a": 1})

    def test_a_folder_that_goes_away_is_shown_as_it_was(self) -> None:
        self.boxes[0].put("a")
        self.pass_time(2)
        self.boxes[0].away = True
        self.boxes[0].put("b")
        self.pass_time(10)
        self.assertEqual(self.shown(), {"a": 1})

    def test_of_several_boxes_each_is_a_directory(self) -> None:
        self.boxes = [Box("one"), Box("a/b")]
        self.publishing = self.started()
        self.boxes[0].put("x")
        self.boxes[1].put("y/z")
        self.pass_time(2)
        self.assertEqual(self.shown(), {"one/x": 1, "a_b/y/z": 1})

    def test_whoever_announces_is_told(self) -> None:
        hashes: list[str] = []
        self.publishing.tell(lambda: hashes.append(self.publishing.catalogue.hmac))
        self.boxes[0].put("a")
        self.pass_time(2)
        first = hashes[-1]
        self.boxes[0].put("a", 2)
        self.pass_time(2)
        self.assertNotEqual(hashes[-1], first)


class GoneTests(Case):
    """What is shown no more."""

    shared = False

    def setUp(self) -> None:
        super().setUp()
        for name in "abc":
            self.boxes[0].put(name)
        self.pass_time(2)
        self.assertEqual((self.shown(), self.gone), ({"a": 1, "b": 1, "c": 1}, []))

    def test_it_is_noted_before_it_is_gone(self) -> None:
        self.noting = Deferred()
        self.boxes[0].remove("a")
        self.boxes[0].put("b", 2)
        self.pass_time(2)
        self.assertEqual(self.gone, [("one", b"a")])
        self.assertEqual(self.shown(), {"a": 1, "b": 1, "c": 1})
        self.noting.callback(None)
        self.assertEqual(self.shown(), {"b": 2, "c": 1})

    def test_what_changes_meanwhile_is_shown_after_it(self) -> None:
        noting = self.noting = Deferred()
        self.boxes[0].remove("a")
        self.pass_time(2)
        self.noting = None
        self.boxes[0].remove("b")
        self.boxes[0].put("d")
        self.pass_time(2)
        noting.callback(None)
        self.pass_time(2)
        self.assertEqual(self.gone, [("one", b"a"), ("one", b"b")])
        self.assertEqual(self.shown(), {"c": 1, "d": 1})

    def test_what_went_while_the_node_was_away_is_noted_too(self) -> None:
        self.publishing.stopService()
        self.boxes[0].remove("a")
        self.publishing = self.started(2)
        self.pass_time(2)
        self.assertEqual(self.gone, [("one", b"a")])

    def test_what_cannot_be_noted_before_the_end_is_noted_the_next_time(self) -> None:
        self.noting = fail(Stopped())
        self.boxes[0].remove("a")
        self.pass_time(2)
        self.publishing.stopService()
        self.gone, self.noting = [], None
        self.publishing = self.started(2)
        self.pass_time(2)
        self.assertEqual(self.gone, [("one", b"a")])
        self.assertEqual(self.shown(), {"b": 1, "c": 1})

    def test_a_disk_that_is_full_does_not_keep_it(self) -> None:
        self.noting = fail(OSError("It is full."))
        self.boxes[0].remove("a")
        self.pass_time(2)
        self.assertEqual(self.shown(), {"b": 1, "c": 1})
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class FlockTests(Case):
    """A node of a flock."""

    def test_nothing_is_shown_before_a_round_was_seen_to_stop(self) -> None:
        self.boxes[0].put("a")
        self.pass_time(600)
        self.assertEqual(self.shown(), {})

    def test_what_is_new_here_is_shown_after_a_round_and_a_while(self) -> None:
        self.round()
        self.boxes[0].put("a", new=True)
        self.pass_time(600)
        self.assertEqual(self.shown(), {})
        self.round()
        self.assertEqual(self.shown(), {})
        self.pass_time(LONGEST_WAIT + 1)
        self.assertEqual(self.shown(), {"a": 1})

    def test_what_is_changed_or_deleted_here_is_shown_as_it_was_until_then(self) -> None:
        for name in ("a", "b"):
            self.boxes[0].put(name)
        self.round()
        self.pass_time(LONGEST_WAIT)
        self.boxes[0].put("a", 2, new=True)
        self.boxes[0].remove("b")
        self.pass_time(600)
        self.assertEqual(self.shown(), {"a": 1, "b": 1})
        self.round()
        self.pass_time(LONGEST_WAIT)
        self.assertEqual(self.shown(), {"a": 2})

    def test_what_comes_in_while_it_waits_comes_with_it(self) -> None:
        self.boxes[0].put("a")
        self.round()
        self.clock.advance(0.01)
        self.boxes[0].put("placed after the round")
        self.boxes[0].put("changed here", new=True)
        self.pass_time(LONGEST_WAIT + 1)
        self.assertEqual(self.shown(), {"a": 1, "placed after the round": 1})

    def test_what_came_in_a_round_that_is_not_over_is_not_shown(self) -> None:
        self.round()
        self.pass_time(LONGEST_WAIT)
        self.publishing.round_started()
        self.boxes[0].put("a")
        self.pass_time(600)
        self.assertEqual(self.shown(), {})

    def test_what_comes_after_the_stop_of_a_round_that_is_followed_at_once_is_not_shown(
        self,
    ) -> None:
        waiting: list[Deferred[Mark]] = []

        def mark() -> Deferred[Mark]:
            waiting.append(Deferred())
            return waiting[-1]

        self.boxes[0].put("a")
        self.patch(Box, "mark", lambda _self: mark())
        self.publishing.round_started()
        self.publishing.round_stopped()
        self.publishing.round_started()
        self.boxes[0].after.clear()
        self.boxes[0].put("b")
        waiting.pop().callback(Mark(0, 0))
        self.pass_time(LONGEST_WAIT + 1)
        self.assertEqual(self.shown(), {"a": 1})

    def test_nothing_is_shown_while_a_member_lacks_something(self) -> None:
        self.boxes[0].put("a")
        self.level = False
        self.round()
        self.pass_time(600)
        self.assertEqual(self.shown(), {})
        self.level = True
        self.round()
        self.pass_time(LONGEST_WAIT + 1)
        self.assertEqual(self.shown(), {"a": 1})

    def test_it_is_shown_when_the_last_file_is_placed_after_a_round(self) -> None:
        self.level = False
        self.round()
        self.level = True
        self.boxes[0].put("placed")
        self.pass_time(LONGEST_WAIT + 3)
        self.assertEqual(self.shown(), {"placed": 1})

    def test_when_it_is_shown_is_random(self) -> None:
        times = set()
        for seed in range(20):
            self.boxes = [Box("one")]
            self.state = self.mktemp()
            self.publishing = self.started(seed)
            self.boxes[0].put("a")
            self.round()
            began = self.clock.seconds()
            while not self.shown():
                self.clock.advance(0.25)
            times.add(self.clock.seconds() - began)
        self.assertTrue(max(times) - min(times) > LONGEST_WAIT / 3, times)
        self.assertTrue(max(times) <= LONGEST_WAIT + 0.25, times)

    def test_what_was_shown_is_shown_after_a_restart_and_no_more(self) -> None:
        self.boxes[0].put("a")
        self.round()
        self.pass_time(LONGEST_WAIT + 1)
        self.publishing.stopService()
        self.boxes[0].put("b", new=True)
        # A box takes all that it finds at its start for settled.
        self.boxes[0].unsettled.clear()
        self.publishing = self.started()
        self.pass_time(600)
        self.assertEqual(self.shown(), {"a": 1})
        self.round()
        self.pass_time(LONGEST_WAIT + 1)
        self.assertEqual(self.shown(), {"a": 1, "b": 1})


names = st.sampled_from([b"a", b"b", b"c", b"d"]).map(Path)


class SettledTests(SynchronousTestCase):
    """What may be shown, as a function."""

    @given(
        st.dictionaries(names, st.integers(1, 9)),
        st.dictionaries(names, st.integers(1, 9)),
        st.frozensets(names),
    )
    @settings(deadline=None)
    def test_it_does_not_depend_on_what_is_new_here(
        self, held: dict[Path, int], before: dict[Path, int], new: frozenset[Path]
    ) -> None:
        now = {path: file(path.decode(), version) for path, version in held.items()}
        shown = {path: file(path.decode(), version) for path, version in before.items()}
        found = settled(Listing(now, new), shown)
        other = {path: each for path, each in now.items() if path not in new}
        self.assertEqual(found, settled(Listing(other, new), shown))
        for path in new:
            self.assertEqual(found.get(path), shown.get(path))


class FilesTests(SynchronousTestCase):
    """What outlives a node."""

    def test_what_was_saved_is_loaded(self) -> None:
        path = os.path.join(self.mktemp(), "shown")
        files = {Path(b"a"): file("a")}
        save(path, files)
        self.assertEqual(load(path), files)

    def test_what_is_damaged_is_nothing(self) -> None:
        path = self.mktemp()
        self.assertEqual(load(path), {})
        with open(path, "wb") as damaged:
            damaged.write(b"\x93\x01")
        self.assertEqual(load(path), {})
