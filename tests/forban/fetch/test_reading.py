# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.reading}.
"""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.paths import check_path
from flocknode.box.values import Path
from flocknode.errors import ProtocolError
from flocknode.forban.fetch import reading
from flocknode.forban.fetch.reading import JsonlReader, TextReader
from flocknode.forban.protocol import items, jsonl
from flocknode.forban.protocol.items import Item, index_hmac, is_listable
from flocknode.forban.protocol.remote import RemoteFile, RemoteIndex
from tests.forban.fetch.peers import small_hash, uuid_of

UUID = uuid_of(7)


def read(index: bytes, pieces: int = 1 << 20, whole: bool = True) -> RemoteIndex:
    """Read an index that comes in pieces of this size."""
    reader = TextReader(UUID)
    while len(index) > pieces:
        reader.write(index[:pieces])
        index = index[pieces:]
    return reader.finish(index, whole)


def sizes(index: RemoteIndex) -> dict[bytes, int]:
    """Path to size."""
    return {path: file.size for path, file in index.files.items()}


paths = st.text(
    st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1, max_size=30
)


class TextIndexes(SynchronousTestCase):
    """The index that every Forban node has."""

    def test_files_are_read_with_their_sizes_and_the_hash_of_all_bytes(self) -> None:
        text = b"a.txt,3\nd/with, comma,44\n"
        index = read(text)
        self.assertEqual(sizes(index), {b"a.txt": 3, b"d/with, comma": 44})
        self.assertEqual((index.uuid, index.hmac), (UUID, index_hmac(text)))
        self.assertFalse(index.cut or index.tampered)

    def test_what_the_original_lists_too_much_is_left_out(self) -> None:
        index = read(b"forban/index,112\n.bashrc,5\na/.b,1\nfine,2\n")
        self.assertEqual(sizes(index), {b"fine": 2})

    def test_a_slash_in_front_does_not_matter(self) -> None:
        self.assertEqual(sizes(read(b"/a,1\n//b,2\n")), {b"a": 1, b"b": 2})

    def test_bad_lines_are_left_out_and_counted(self) -> None:
        reader = TextReader(UUID)
        index = reader.finish(b"a,1\n../b,2\nno size\nc,-4\nd,1e3\ne,5\n,7\nx/../y,1\n", True)
        self.assertEqual(sizes(index), {b"a": 1, b"e": 5})
        self.assertEqual(reader.bad, 6)

    def test_too_many_bad_lines_make_it_no_index(self) -> None:
        good = b"".join(b"%d,1\n" % number for number in range(5000))
        self.assertRaises(ProtocolError, read, good + b"bad\n" * (reading.MOST_BAD + 1))
        self.assertEqual(len(read(good + b"bad\n" * reading.MOST_BAD).files), 5000)

    def test_a_page_is_no_index(self) -> None:
        self.assertRaises(ProtocolError, read, b"<html>\n" + b"<p>a page</p>\n" * 20)

    def test_the_first_of_several_lines_of_a_path_counts(self) -> None:
        self.assertEqual(sizes(read(b"a,1\na,2\n/a,3\n")), {b"a": 1})

    def test_half_a_line_at_an_end_that_may_be_none_is_left_out(self) -> None:
        self.assertEqual(sizes(read(b"a,1\nb,12", whole=False)), {b"a": 1})
        self.assertEqual(sizes(read(b"a,1\nb,12", whole=True)), {b"a": 1, b"b": 12})

    def test_a_line_without_an_end_is_not_kept(self) -> None:
        reader = TextReader(UUID)
        for _ in range(1000):
            self.assertTrue(reader.write(b"x" * 10_000))
            self.assertLessEqual(len(reader._rest), items.LONGEST_LINE + 1)
        self.assertEqual(sizes(reader.finish(b",5\nb,1\n", True)), {b"b": 1})
        self.assertEqual(reader.bad, 1)

    def test_no_more_bytes_are_read_than_the_limit(self) -> None:
        with patch.object(reading, "MOST_BYTES", 20):
            reader = TextReader(UUID)
            self.assertTrue(reader.write(b"abc,1\n" * 3))
            self.assertFalse(reader.write(b"def,2\n"))
            self.assertFalse(reader.write(b"e,"))
            index = reader.finish(b"", False)
        self.assertEqual(sizes(index), {b"abc": 1})
        self.assertTrue(index.cut)
        self.assertEqual(index.hmac, "")

    def test_no_more_files_are_read_than_the_limit(self) -> None:
        with patch.object(reading, "MOST_FILES", 2):
            reader = TextReader(UUID)
            self.assertFalse(reader.write(b"a,1\nb,1\nc,1\nd,1\n"))
            index = reader.finish(b"", False)
        self.assertEqual(sizes(index), {b"a": 1, b"b": 1})
        self.assertTrue(index.cut)

    def test_long_paths_cost_more(self) -> None:
        costs = [read(b"%s,1\n" % path).cost for path in (b"a", b"a" * 200)]
        self.assertEqual(costs[1] - costs[0], 199)
        self.assertEqual(read(b"a,1\nb,1\nb,1\n").cost, 2 * costs[0])

    def test_with_an_agreed_key_the_hash_must_be_the_announced_one(self) -> None:
        text = b"a,1\nb,2\n"
        for announced, tampered in [
            (index_hmac(text, b"secret"), False),
            (index_hmac(text), True),
            ("", True),
            ("0" * 40, True),
        ]:
            index = TextReader(UUID, announced, b"secret").finish(text, True)
            self.assertEqual(index.tampered, tampered, announced)

    def test_with_an_agreed_key_all_is_hashed_whatever_is_kept(self) -> None:
        text = b"a,1\nb,2\nc,3\n"
        announced = index_hmac(text, b"secret")
        with patch.object(reading, "MOST_FILES", 1):
            reader = TextReader(UUID, announced, b"secret")
            self.assertTrue(reader.write(text[:9]))
            index = reader.finish(text[9:], True)
        self.assertEqual((sizes(index), index.cut, index.tampered), ({b"a": 1}, True, False))
        with patch.object(reading, "MOST_BYTES", 9):
            self.assertTrue(TextReader(UUID, "", b"secret").finish(text, True).tampered)

    @given(st.binary(max_size=300), st.integers(1, 40))
    def test_any_bytes_give_safe_paths_or_the_one_error(self, data: bytes, pieces: int) -> None:
        try:
            index = read(data, pieces)
        except ProtocolError:
            return
        for path, file in index.files.items():
            self.assertEqual(check_path(path), file.path)
            self.assertTrue(is_listable(path))
            self.assertTrue(0 <= file.size <= items.LARGEST)

    @given(st.dictionaries(paths, st.integers(0, items.LARGEST)), st.integers(1, 50))
    def test_what_is_written_is_read_however_it_is_cut(
        self, files: dict[str, int], pieces: int
    ) -> None:
        written: dict[bytes, int] = {}
        for path, size in files.items():
            try:
                safe = check_path(path.encode())
            except ProtocolError:
                continue
            if is_listable(safe):
                written[safe] = size
        text = items.encode(Item(Path(path), size) for path, size in written.items())
        self.assertEqual(sizes(read(text, pieces)), written)


class BetterIndexes(SynchronousTestCase):
    """Those of another flocknode."""

    def write(self, *paths: bytes, key: bytes = items.KEY, uuid: str = UUID) -> bytes:
        """One with these files, which are empty."""
        files = [RemoteFile(Path(path), 0, small_hash(b""), 5) for path in paths]
        return b"".join(jsonl.encode(jsonl.Header(uuid), files, key))

    def test_files_are_read_with_hash_and_time(self) -> None:
        index = JsonlReader(UUID).finish(self.write(b"a", b"d/b"), True)
        self.assertEqual(set(index.files), {b"a", b"d/b"})
        self.assertEqual(index.files[Path(b"a")].content, small_hash(b""))
        self.assertEqual(index.files[Path(b"a")].mtime_ns, 5)

    def test_its_hash_is_that_of_the_text_with_the_same_files(self) -> None:
        index = JsonlReader(UUID).finish(self.write(b"a", b"d/b"), True)
        self.assertEqual(index.hmac, index_hmac(b"a,0\nd/b,0\n"))

    def test_with_an_agreed_key_it_must_be_hashed_with_it(self) -> None:
        for key, tampered in [(b"secret", False), (items.KEY, True)]:
            index = JsonlReader(UUID, b"secret").finish(self.write(b"a", key=key), True)
            self.assertEqual(index.tampered, tampered)

    def test_that_of_another_node_is_none(self) -> None:
        data = self.write(b"a", uuid=uuid_of(8))
        self.assertRaises(ProtocolError, JsonlReader(UUID).finish, data, True)

    def test_one_that_broke_off_is_none(self) -> None:
        data = self.write(b"a", b"b")
        for end in (0, 10, len(data) // 2, len(data) - 1):
            self.assertRaises(ProtocolError, JsonlReader(UUID).finish, data[:end], True)

    def test_beyond_the_limits_it_is_cut(self) -> None:
        data = self.write(b"a", b"b", b"c")
        with patch.object(reading, "MOST_FILES", 2):
            reader = JsonlReader(UUID)
            self.assertFalse(reader.write(data))
            index = reader.finish(b"", False)
            self.assertEqual((set(index.files), index.cut), ({b"a", b"b"}, True))
        with patch.object(reading, "MOST_JSONL_BYTES", len(data) - 1):
            index = JsonlReader(UUID, b"secret").finish(data, True)
            self.assertEqual((index.cut, index.tampered), (True, True))

    @given(st.binary(max_size=300), st.integers(1, 40))
    def test_any_bytes_give_an_index_or_the_one_error(self, data: bytes, pieces: int) -> None:
        reader = JsonlReader(UUID)
        try:
            for at in range(0, len(data), pieces):
                reader.write(data[at : at + pieces])
            reader.finish(b"", True)
        except ProtocolError:
            pass
