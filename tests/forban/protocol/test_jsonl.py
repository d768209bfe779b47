# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The better index: what one writes the other reads, and nothing else.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.values import Path
from flocknode.errors import ProtocolError
from flocknode.forban.protocol import jsonl
from flocknode.forban.protocol.items import LARGEST, is_listable
from flocknode.forban.protocol.jsonl import Header, Parser
from flocknode.forban.protocol.remote import RemoteFile, Tls
from tests import strategies

UUID = "11111111-2222-4333-8444-555555555555"
HEADER = Header(UUID, Tls(12557, bytes(range(32))))
TLS = {"port": 12557, "sha256": bytes(range(32)).hex()}
FILE = RemoteFile(Path("ä, ü/b.txt".encode()), 4, bytes(32), 5)


def paths() -> st.SearchStrategy[Path]:
    """Paths that can be listed."""
    joined = st.lists(strategies.names(), min_size=1, max_size=3).map(b"/".join)
    return joined.filter(is_listable).map(Path)


def files() -> st.SearchStrategy[RemoteFile]:
    """Files that can be listed."""
    return st.builds(
        RemoteFile, paths(), st.integers(0, LARGEST), strategies.contents, strategies.mtimes
    )


def text(*files: RemoteFile, header: Header = HEADER, key: bytes = b"k") -> bytes:
    """A whole index."""
    return b"".join(jsonl.encode(header, files, key))


def read(data: bytes, key: bytes = b"k", most: int = 100) -> tuple[Parser, list[RemoteFile]]:
    """All of it at once, to its end."""
    parser = Parser(key, most)
    found = parser.feed(data)
    parser.finish()
    return parser, found


class WhatIsWritten(SynchronousTestCase):
    """It is read again."""

    @given(st.lists(files(), max_size=5), st.lists(st.integers(0, 2000), max_size=5))
    def test_it_is_read_as_it_was_in_whatever_pieces(
        self, written: Sequence[RemoteFile], cuts: list[int]
    ) -> None:
        data = text(*written)
        parser = Parser(b"k")
        places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        found = []
        for begin, end in itertools.pairwise(places):
            found += parser.feed(data[begin:end])
        parser.finish()
        self.assertEqual(found, list(written))
        self.assertEqual(parser.header, HEADER)
        self.assertTrue(parser.authentic)
        self.assertFalse(parser.cut)

    def test_its_lines_are_json_that_anybody_can_read(self) -> None:
        first, file, last = (json.loads(line) for line in text(FILE).splitlines())
        self.assertEqual(first, {"flocknode": 1, "uuid": UUID, "tls": TLS})
        self.assertEqual(
            file, {"path": "ä, ü/b.txt", "size": 4, "content": "00" * 32, "mtime_ns": 5}
        )
        self.assertEqual(last["files"], 1)

    def test_a_long_one_is_written_in_pieces(self) -> None:
        many = [RemoteFile(Path(b"%d" % n), n, bytes(32), n) for n in range(2000)]
        pieces = list(jsonl.encode(HEADER, many, b"k"))
        self.assertGreater(len(pieces), 2)
        self.assertEqual(read(b"".join(pieces), most=2000)[1], many)

    def test_what_has_no_hash_cannot_be_written(self) -> None:
        with self.assertRaises(ValueError):
            text(RemoteFile(Path(b"a"), 1))


class WhatIsRead(SynchronousTestCase):
    """It may be anything."""

    @given(st.binary(max_size=300))
    def test_any_bytes_are_an_index_or_one_error(self, data: bytes) -> None:
        with contextlib.suppress(ProtocolError):
            read(data)

    @given(st.lists(st.sampled_from(text(FILE, FILE).splitlines(True)) | st.binary(max_size=9)))
    def test_lines_in_any_order_are_an_index_or_one_error(self, lines: list[bytes]) -> None:
        with contextlib.suppress(ProtocolError):
            read(b"".join(lines))

    def test_a_line_that_is_nested_without_end_is_an_error(self) -> None:
        with self.assertRaises(ProtocolError):
            read(b'{"new":' + b"[" * 30_000 + b"\n")

    def test_one_that_was_hashed_with_another_key_is_not_authentic(self) -> None:
        parser, found = read(text(FILE, key=b"other"))
        self.assertEqual(found, [FILE])
        self.assertFalse(parser.authentic)

    def test_one_that_was_changed_is_not_authentic(self) -> None:
        parser, _ = read(text(FILE).replace(b'"size":4', b'"size":5'))
        self.assertFalse(parser.authentic)

    def test_members_of_later_versions_are_skipped(self) -> None:
        parser, found = read(text(FILE).replace(b'{"', b'{"new":[1],"'))
        self.assertEqual(found, [FILE])
        self.assertFalse(parser.authentic)

    def test_one_that_is_cut_short_is_an_error(self) -> None:
        whole = text(FILE)
        for end in range(len(whole)):
            with self.assertRaises(ProtocolError):
                read(whole[:end])

    def test_one_that_lacks_a_line_is_an_error(self) -> None:
        lines = text(FILE, FILE).splitlines(True)
        for index in range(len(lines)):
            with self.assertRaises(ProtocolError):
                read(b"".join(lines[:index] + lines[index + 1 :]))

    def test_nothing_may_follow_its_end(self) -> None:
        with self.assertRaises(ProtocolError):
            read(text(FILE) + b"{}\n")

    def test_files_that_cannot_be_listed_are_left_out(self) -> None:
        hidden = RemoteFile(Path(b".hidden"), 1, bytes(32), 1)
        own = RemoteFile(Path(b"forban/index"), 1, bytes(32), 1)
        self.assertEqual(read(text(hidden, FILE, own))[1], [FILE])

    def test_a_path_that_leads_elsewhere_is_an_error(self) -> None:
        for path in (b"../a", b"/a", b"a//b", b"", b"a\\u0000", b".flocknode/a", b"\\ud800"):
            data = text(FILE).replace("ä, ü/b.txt".encode(), path)
            with self.assertRaises(ProtocolError):
                read(data)

    def test_sizes_and_times_out_of_all_bounds_are_errors(self) -> None:
        for old, new in (
            (b'"size":4', b'"size":-1'),
            (b'"size":4', b'"size":%d' % (LARGEST + 1)),
            (b'"size":4', b'"size":4.5'),
            (b'"size":4', b'"size":"4"'),
            (b'"mtime_ns":5', b'"mtime_ns":%d' % (1 << 63)),
            (b'"mtime_ns":5', b'"mtime_ns":null'),
            (b"00" * 32, b"00" * 31),
            (b"00" * 32, b"0 " * 32),
            (b'"flocknode":1', b'"flocknode":2'),
        ):
            with self.assertRaises(ProtocolError):
                read(text(FILE).replace(old, new))

    def test_a_line_without_end_is_an_error_before_it_fills_the_memory(self) -> None:
        parser = Parser()
        with self.assertRaises(ProtocolError):
            for _ in range(10):
                parser.feed(bytes(jsonl.LONGEST_LINE // 4))

    def test_more_files_than_wanted_are_not_looked_at(self) -> None:
        parser, found = read(text(FILE, FILE, FILE), most=2)
        self.assertEqual(found, [FILE, FILE])
        self.assertTrue(parser.cut)
        self.assertEqual(parser.feed(b"\n" * 99), [])
