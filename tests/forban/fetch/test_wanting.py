# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.wanting}.
"""

from __future__ import annotations

from typing import cast

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.listing import Known, ListedFile
from flocknode.box.patterns import parse
from flocknode.box.values import Path
from flocknode.forban.fetch.wanting import (
    BESIDE,
    Rules,
    Verdict,
    Version,
    Wanted,
    candidates,
    is_same,
    judge,
    where,
)
from flocknode.forban.protocol.remote import RemoteFile

HASHES = [bytes([number]) * 32 for number in range(3)]


def remote(path: bytes = b"a", size: int = 1, content: bytes | None = None) -> RemoteFile:
    """A file of a neighbour."""
    return RemoteFile(Path(path), size, content)


def listed(path: bytes = b"a", size: int = 1, content: bytes = HASHES[0]) -> ListedFile:
    """A file that is here."""
    return ListedFile(Path(path), size, 0, content)


def wanted(file: RemoteFile, shown: ListedFile | None = None) -> Wanted:
    """As it is asked about."""
    return Wanted(file, "papers", file.path, shown)


class Verdicts(SynchronousTestCase):
    """What is fetched without being asked for."""

    def test_what_nobody_knows_here_is_fetched(self) -> None:
        self.assertIs(judge(wanted(remote()), Known.UNKNOWN, ()), Verdict.FETCH)

    def test_what_was_deleted_is_not(self) -> None:
        self.assertIs(judge(wanted(remote()), Known.DELETED, ()), Verdict.LEAVE)

    def test_what_cannot_be_here_is_not(self) -> None:
        self.assertIs(judge(wanted(remote()), Known.REFUSED, ()), Verdict.LEAVE)

    def test_what_is_on_its_way_waits(self) -> None:
        self.assertIs(judge(wanted(remote()), Known.COMING, ()), Verdict.LATER)

    def test_what_was_brought_in_once_and_is_gone_is_not(self) -> None:
        for version in (Version(1), Version(2), Version(1, HASHES[1])):
            self.assertIs(judge(wanted(remote()), Known.UNKNOWN, [version]), Verdict.LEAVE)

    def test_what_is_shown_with_the_same_size_is_here(self) -> None:
        self.assertIs(judge(wanted(remote(), listed()), Known.HELD, ()), Verdict.LEAVE)

    def test_another_hash_is_another_file(self) -> None:
        file = remote(content=HASHES[1])
        self.assertIs(judge(wanted(file, listed()), Known.HELD, ()), Verdict.FETCH)

    def test_something_else_of_the_same_name_is_fetched_once(self) -> None:
        other = wanted(remote(size=2), listed())
        self.assertIs(judge(other, Known.HELD, ()), Verdict.FETCH)
        self.assertIs(judge(other, Known.HELD, [Version(2)]), Verdict.LEAVE)
        self.assertIs(judge(other, Known.HELD, [Version(2, HASHES[2])]), Verdict.LEAVE)

    def test_only_so_many_versions_come_of_a_path(self) -> None:
        versions = [Version(10 + number) for number in range(BESIDE)]
        other = wanted(remote(size=2), listed())
        self.assertIs(judge(other, Known.HELD, versions[1:]), Verdict.FETCH)
        self.assertIs(judge(other, Known.HELD, versions), Verdict.LEAVE)

    def test_what_a_box_holds_and_does_not_show_yet_is_compared_later(self) -> None:
        self.assertIs(judge(wanted(remote()), Known.HELD, ()), Verdict.LATER)

    def test_a_change_that_was_in_no_round_does_not_show(self) -> None:
        # Else the one node that does not fetch would have made it.
        for known in (Known.HELD, Known.DELETED):
            self.assertIs(judge(wanted(remote()), known, (), True), Verdict.FETCH)
        self.assertIs(judge(wanted(remote(), listed()), Known.DELETED, (), True), Verdict.LEAVE)

    @given(
        st.sampled_from(Known),
        st.booleans(),
        st.builds(remote, st.just(b"a"), st.integers(0, 2), st.sampled_from([None, *HASHES])),
        st.one_of(st.none(), st.builds(listed, st.just(b"a"), st.integers(0, 2))),
        st.lists(
            st.builds(Version, st.integers(0, 2), st.sampled_from([b"", *HASHES])), max_size=5
        ),
    )
    def test_nothing_comes_twice_and_nothing_comes_back(
        self,
        known: Known,
        unsettled: bool,
        file: RemoteFile,
        shown: ListedFile | None,
        versions: list[Version],
    ) -> None:
        verdict = judge(wanted(file, shown), known, versions, unsettled)
        if verdict is Verdict.FETCH:
            self.assertNotIn(Version(file.size, file.content or b""), versions)
            if shown is None:
                self.assertEqual(versions, [])
                self.assertTrue(known is Known.UNKNOWN or unsettled)
            else:
                self.assertFalse(is_same(file, shown))


class Candidates(SynchronousTestCase):
    """What of an index may be wanted."""

    def find(
        self, *files: RemoteFile, rules: Rules | None = None, **shown: int
    ) -> list[bytes]:
        """The paths of those that may be, in order; C{shown}: sizes by name."""
        here = {
            Path(b"papers/" + name.encode()): listed(name.encode(), size)
            for name, size in shown.items()
        }
        index = {file.path: file for file in files}
        return [each.path for each in candidates(index, {}, "papers", here, rules or Rules())]

    def test_small_files_come_first(self) -> None:
        files = [remote(b"c", 3), remote(b"b", 1), remote(b"a", 2)]
        self.assertEqual(self.find(*files), [b"b", b"a", b"c"])

    def test_what_is_shown_already_is_none(self) -> None:
        self.assertEqual(self.find(remote(b"a", 1), remote(b"b", 1), a=1, b=2), [b"b"])

    def test_the_largest_file_is_kept_to(self) -> None:
        rules = Rules(largest=2)
        self.assertEqual(self.find(remote(b"a", 2), remote(b"b", 3), rules=rules), [b"a"])

    def test_only_what_is_included_and_not_excluded(self) -> None:
        rules = Rules(parse(b"*.txt\nbooks/\n")[0], parse(b"secret*\n/books/old/\n")[0])
        names = [b"a.txt", b"a.png", b"d/secret.txt", b"books/x.png", b"books/old/y", b"d/books"]
        files = [remote(name) for name in names]
        self.assertEqual(sorted(self.find(*files, rules=rules)), [b"a.txt", b"books/x.png"])

    def test_with_several_boxes_the_first_component_may_name_one(self) -> None:
        place = {"papers": "papers", "a_b": "a/b"}
        for path, expected in [
            (b"papers/x/y", ("papers", b"x/y")),
            (b"a_b/x", ("a/b", b"x")),
            (b"other/x", ("papers", b"other/x")),
            (b"papers", ("papers", b"papers")),
            (b"a_b", ("papers", b"a_b")),
        ]:
            self.assertEqual(where(Path(path), place, "papers"), expected)


@attrs.define
class Box:
    """A model of a box and of what was noted of it."""

    files: dict[bytes, tuple[int, bytes]] = attrs.Factory(dict)
    gone: set[bytes] = attrs.Factory(set)
    notes: dict[bytes, list[Version]] = attrs.Factory(dict)

    def known(self, path: bytes) -> Known:
        """What it knows of a path."""
        if path in self.files:
            return Known.HELD
        return Known.DELETED if path in self.gone else Known.UNKNOWN

    def look(self, index: list[RemoteFile]) -> int:
        """Fetch what is wanted of an index; @return: how much that was."""
        shown = {
            Path(b"papers/" + path): ListedFile(Path(path), size, 0, content)
            for path, (size, content) in self.files.items()
        }
        by_path = {file.path: file for file in index}
        count = 0
        for each in candidates(by_path, {}, "papers", shown, Rules()):
            versions = self.notes.setdefault(each.path, [])
            if judge(each, self.known(each.path), versions) is Verdict.FETCH:
                self.fetch(each)
                count += 1
        return count

    def fetch(self, each: Wanted) -> None:
        """It comes."""
        self.notes[each.path].append(each.version)
        place = bytes(each.path)
        while place in self.files:
            place += b"'"
        self.files[place] = (each.file.size, each.file.content or HASHES[2])


names = st.sampled_from([b"a", b"b"])
steps = st.one_of(
    st.tuples(
        st.just("look"),
        st.lists(
            st.builds(
                RemoteFile,
                names.map(Path),
                st.integers(0, 2),
                st.one_of(st.none(), st.sampled_from(HASHES)),
            ),
            max_size=3,
        ),
    ),
    st.tuples(st.just("write"), st.tuples(names, st.integers(0, 2), st.sampled_from(HASHES))),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("forget"), st.none()),
)


class AModel(SynchronousTestCase):
    """Any course of indexes and changes of the owner."""

    @given(st.lists(steps, max_size=30))
    def test_the_owners_files_stay_and_what_was_deleted_stays_away(
        self, course: list[tuple[str, object]]
    ) -> None:
        box = Box()
        own: dict[bytes, tuple[int, bytes]] = {}
        deleted: set[bytes] = set()
        for step, what in course:
            if step == "write":
                written, size, content = cast(tuple[bytes, int, bytes], what)
                box.files[written] = own[written] = (size, content)
                box.gone.discard(written)
                deleted.discard(written)
            elif step == "delete" and what in box.files:
                assert isinstance(what, bytes)
                # What was brought in at least once, or is known to be deleted.
                if box.notes.get(what):
                    deleted.add(what)
                del box.files[what]
                own.pop(what, None)
                box.gone.add(what)
            elif step == "forget":
                # Boxes do, after a month or two; what was brought in is noted still.
                box.gone.clear()
            elif step == "look":
                index = cast(list[RemoteFile], what)
                box.look(index)
                self.assertEqual(box.look(index), 0)
            for path, value in own.items():
                self.assertEqual(box.files[path], value)
            self.assertEqual(deleted & set(box.files), set())
            self.assertLessEqual(len(box.files), 2 + 2 * BESIDE)
