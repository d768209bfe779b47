# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Files by folders, by words, and those that are lacking.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.listing import ListedFile
from flocknode.box.values import Path
from flocknode.forban.catalogue import Shown
from flocknode.forban.protocol.items import LARGEST
from flocknode.forban.protocol.remote import RemoteFile
from flocknode.forban.site.searching import MOST, MOST_OF_ONE, search
from flocknode.forban.site.views import Entry, View, lacking, words_of

FILES = [
    (b"a/b/1.txt", 1),
    (b"a/b/2.txt", 2),
    (b"a/c", 4),
    (b"a.txt", 8),
    (b"a0", 16),
    (b"B", 32),
]

paths = st.lists(
    st.lists(st.sampled_from([b"a", b"b", b"a.x", b"a0", b"\xc3\xa4"]), min_size=1, max_size=4).map(
        b"/".join
    ),
    max_size=12,
    unique=True,
)
"""Few names, so that folders have something in common.  (A file may be called
as a folder is: an index can say that.)"""


def view(*files: tuple[bytes, int]) -> View:
    """Of these files."""
    return View((Path(path), size) for path, size in files)


def found(seen: View, term: str, most: int = 100) -> list[bytes]:
    """The paths that a search finds."""
    return [entry.path for entry in seen.search(words_of(term), most).files]


class Folders(SynchronousTestCase):
    """What lies in a folder."""

    def test_folders_come_first_with_all_that_is_in_them(self) -> None:
        seen = view(*FILES)
        self.assertEqual(
            seen.folder(b""),
            [Entry(b"a", 7, 3), Entry(b"a.txt", 8), Entry(b"a0", 16), Entry(b"B", 32)],
        )
        self.assertEqual(seen.folder(b"a"), [Entry(b"a/b", 3, 2), Entry(b"a/c", 4)])
        self.assertEqual(seen.folder(b"a/b"), [Entry(b"a/b/1.txt", 1), Entry(b"a/b/2.txt", 2)])
        self.assertEqual((seen.count, seen.size), (6, 63))

    def test_what_is_no_folder_has_nothing_in_it(self) -> None:
        for folder in (b"a0", b"x", b"a/", b"..", b"/", b"a/b/1.txt"):
            self.assertEqual(view(*FILES).folder(folder), [], folder)

    @given(paths, st.sampled_from([b"", b"a", b"a/b", b"a.x", b"\xc3\xa4/a"]))
    def test_it_is_what_one_would_count_by_hand(
        self, listed: Sequence[bytes], folder: bytes
    ) -> None:
        sizes = {path: 3**number for number, path in enumerate(listed)}
        prefix = folder + b"/" if folder else b""
        inside = [path for path in listed if path.startswith(prefix)]
        expected = set()
        for path in inside:
            name, slash, _ = path[len(prefix) :].partition(b"/")
            whole = prefix + name
            if slash:
                within = [p for p in inside if p.startswith(whole + b"/")]
                expected.add(Entry(whole, sum(sizes[p] for p in within), len(within)))
            else:
                expected.add(Entry(whole, sizes[path]))
        entries = view(*sizes.items()).folder(folder)
        self.assertEqual(set(entries), expected)
        self.assertEqual(len(entries), len(expected))

    def test_sizes_that_no_disk_holds_are_added_all_the_same(self) -> None:
        seen = view(*((b"f/%d" % number, LARGEST) for number in range(20_000)))
        self.assertEqual(seen.folder(b""), [Entry(b"f", 20_000 * LARGEST, 20_000)])

    def test_a_part_of_the_list_is_in_the_order_of_paths(self) -> None:
        seen = view(*FILES)
        everything = [Entry(path, size) for path, size in sorted(FILES)]
        self.assertEqual(seen.some(0, 100), everything)
        self.assertEqual(seen.some(2, 3), everything[2:5])
        self.assertEqual(seen.some(6, 3), [])


class Words(SynchronousTestCase):
    """A search."""

    def test_all_words_must_be_somewhere_in_the_path(self) -> None:
        seen = view((b"Music/Bach/fugue.ogg", 1), (b"Music/Elgar.ogg", 2), (b"bach.txt", 3))
        self.assertEqual(found(seen, "bach"), [b"Music/Bach/fugue.ogg", b"bach.txt"])
        self.assertEqual(found(seen, "ogg MUSIC"), [b"Music/Bach/fugue.ogg", b"Music/Elgar.ogg"])
        self.assertEqual(found(seen, "bach elgar"), [])

    def test_case_and_composition_do_not_matter(self) -> None:
        seen = view(("Straße/A\u0308pfel.txt".encode(), 1))
        for term in ("STRASSE", "straße", "äpfel", "A\u0308PFEL"):
            self.assertEqual(len(found(seen, term)), 1, term)

    def test_nothing_in_a_word_is_special(self) -> None:
        seen = view((b"a.*b", 1), (b"axxb", 2))
        self.assertEqual(found(seen, ".*"), [b"a.*b"])
        self.assertEqual(found(seen, "(a+)+$"), [])

    def test_a_word_does_not_reach_from_one_path_into_the_next(self) -> None:
        self.assertEqual(found(view((b"ab", 1), (b"cd", 2)), "bc"), [])
        self.assertEqual(found(view((b"a\nb", 1)), "b"), [b"a\nb"])

    def test_only_so_many_are_found(self) -> None:
        seen = view(*((b"%d" % number, 1) for number in range(20)))
        some = seen.search(words_of("1"), 3)
        self.assertEqual((len(some.files), some.more), (3, True))
        every = seen.search(words_of("1"), 11)
        self.assertEqual((len(every.files), every.more), (11, False))

    def test_time_ends_it(self) -> None:
        seen = view(*((b"ab%d" % number, 1) for number in range(1000)))
        cut = seen.search(words_of("ab"), 1000, lambda: True)
        self.assertLess(len(cut.files), 1000)
        self.assertTrue(cut.more)

    @given(paths, st.text(max_size=5))
    def test_it_finds_what_python_finds(self, listed: Sequence[bytes], term: str) -> None:
        words = words_of(term)
        if words:
            expected = [p for p in sorted(listed) if all(w in p.lower() for w in words)]
            self.assertEqual(found(view(*((p, 1) for p in listed)), term), expected)

    def test_there_are_only_so_many_words(self) -> None:
        self.assertLessEqual(len(words_of("x " * 10_000)), 8)
        self.assertEqual(words_of(" \n\t"), [])


class Everywhere(SynchronousTestCase):
    """A search over several nodes."""

    def setUp(self) -> None:
        self.many = view(*((b"file %d" % number, 1) for number in range(MOST)))
        self.now = 0.0

    def clock(self) -> float:
        """A second for each look at it."""
        self.now += 0.4
        return self.now

    def test_each_node_has_its_results(self) -> None:
        views = [("1", view((b"a", 1))), ("2", view((b"b", 2))), ("3", view((b"ab", 3)))]
        results, is_all = search(views, words_of("a"), lambda: 0.0)
        self.assertEqual({uuid: len(f.files) for uuid, f in results.items()}, {"1": 1, "3": 1})
        self.assertTrue(is_all)

    def test_no_node_fills_the_page_alone(self) -> None:
        results, is_all = search([("1", self.many), ("2", self.many)], [b"file"], lambda: 0.0)
        self.assertEqual([len(f.files) for f in results.values()], [MOST_OF_ONE] * 2)
        self.assertTrue(is_all)

    def test_there_is_an_end_to_the_results(self) -> None:
        results, is_all = search([(str(n), self.many) for n in range(9)], [b"file"], lambda: 0.0)
        self.assertEqual(sum(len(f.files) for f in results.values()), MOST)
        self.assertFalse(is_all)

    def test_there_is_an_end_to_the_time(self) -> None:
        results, is_all = search([(str(n), self.many) for n in range(9)], [b"file"], self.clock)
        self.assertLess(len(results), 4)
        self.assertFalse(is_all)

    def test_without_words_nothing_is_looked_for(self) -> None:
        self.assertEqual(search([("1", self.many)], [], lambda: 0.0), ({}, True))


class Lacking(SynchronousTestCase):
    """What others have and we do not."""

    def lacked(self, path: bytes, size: int, content: bytes | None = None) -> bool:
        """Is that lacking here, where C{a} is, of five bytes?"""
        ours = {Path(b"a"): Shown(Path(b"a"), None, ListedFile(Path(b"a"), 5, 0, b"A" * 32))}
        theirs = {Path(path): RemoteFile(Path(path), size, content)}
        return lacking(theirs, ours).count == 1

    def test_a_path_that_is_not_here_is_lacking(self) -> None:
        self.assertTrue(self.lacked(b"b", 5))

    def test_another_size_is_another_file(self) -> None:
        self.assertFalse(self.lacked(b"a", 5))
        self.assertTrue(self.lacked(b"a", 6))

    def test_content_that_is_known_counts_more_than_its_name(self) -> None:
        self.assertFalse(self.lacked(b"b", 5, b"A" * 32))
        self.assertTrue(self.lacked(b"a", 5, b"B" * 32))
