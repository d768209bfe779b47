# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The files of a node as people look at them: by folders, and by words in their
names.  Pure; making a view of many files takes long, and so may looking at it.
"""

from __future__ import annotations

import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import attrs

from flocknode.box.paths import split
from flocknode.box.values import Path
from flocknode.forban.catalogue import Shown
from flocknode.forban.protocol.remote import RemoteFile

WORDS = 8
"""Words of a search that count."""

LONGEST_TERM = 256
"""Characters of a search that count."""


@attrs.frozen
class Entry:
    """
    What lies in a folder.

    @ivar path: of it.
    @ivar size: bytes of the file, or of all files in the folder.
    @ivar files: how many are in the folder; 0: it is a file.
    """

    path: bytes
    size: int
    files: int = 0


@attrs.frozen
class Found:
    """
    @ivar files: what was found, in the order of paths.
    @ivar more: there is more than that, or time was over.
    """

    files: list[Entry]
    more: bool = False


class View:
    """
    Some files.

    @ivar count: how many.
    @ivar size: bytes of all.
    """

    def __init__(self, files: Iterable[tuple[Path, int]]) -> None:
        """
        @param files: paths and their sizes, in any order.
        """
        listed = sorted(files)
        self._paths = [path for path, _ in listed]
        # Of all files before each, so that a folder's size is a difference.
        sums = list(accumulate((size for _, size in listed), initial=0))
        self._sums: Sequence[int] = array("Q", sums) if sums[-1] < 1 << 64 else sums
        self._starts = array("Q")
        text = bytearray()
        for path in self._paths:
            self._starts.append(len(text))
            text += fold(path.decode("utf-8", "replace").replace("\n", " ")).encode() + b"\n"
        self._text = bytes(text)
        self.count = len(self._paths)
        self.size = self._sums[-1]

    @classmethod
    def of(cls, files: Mapping[Path, RemoteFile]) -> View:
        """Of an index."""
        return cls((path, file.size) for path, file in files.items())

    @classmethod
    def of_shown(cls, files: Mapping[Path, Shown[Any]]) -> View:
        """Of a catalogue."""
        return cls((path, shown.file.size) for path, shown in files.items())

    def some(self, first: int, most: int) -> list[Entry]:
        """Files of all folders, from the one with this number on."""
        numbers = range(first, min(first + most, self.count))
        return [self._file(number) for number in numbers]

    def folder(self, folder: bytes) -> list[Entry]:
        """
        What lies directly in a folder, by name, folders first; nothing, if there is no
        such folder.

        @param folder: its path, without a C{/} at the end; empty: the top.
        """
        prefix = folder + b"/" if folder else b""
        at = bisect_left(self._paths, Path(prefix))
        folders: list[Entry] = []
        files: list[Entry] = []
        while at < self.count and self._paths[at].startswith(prefix):
            path = self._paths[at]
            slash = path.find(b"/", len(prefix))
            if slash < 0:
                files.append(self._file(at))
                at += 1
                continue
            inner = path[:slash]
            # What is in it ends before the character that follows a slash.
            end = bisect_left(self._paths, Path(inner + b"0"), at)
            folders.append(Entry(inner, self._sums[end] - self._sums[at], end - at))
            at = end
        return sorted(folders, key=_by_name) + sorted(files, key=_by_name)

    def search(
        self, words: Sequence[bytes], most: int, is_over: Callable[[], bool] = lambda: False
    ) -> Found:
        """
        Files with all of these words somewhere in their path.

        @param words: from L{words_of}; at least one.
        @param is_over: there is no more time.
        """
        rarest = min(words, key=self._text.count)
        others = [word for word in words if word is not rarest]
        found: list[Entry] = []
        at = looked = 0
        while (at := self._text.find(rarest, at)) >= 0:
            number = bisect_right(self._starts, at) - 1
            begin = self._starts[number]
            at = self._starts[number + 1] if number + 1 < self.count else len(self._text)
            if all(self._text.find(word, begin, at) >= 0 for word in others):
                if len(found) == most:
                    return Found(found, more=True)
                found.append(self._file(number))
            looked += 1
            if not looked % 256 and is_over():
                return Found(found, more=True)
        return Found(found)

    def _file(self, number: int) -> Entry:
        return Entry(self._paths[number], self._sums[number + 1] - self._sums[number])


def _by_name(entry: Entry) -> tuple[str, bytes]:
    return fold(split(entry.path)[1].decode("utf-8", "replace")), entry.path


def fold(text: str) -> str:
    """Text as it is compared in a search: without case, composed."""
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def words_of(term: str) -> list[bytes]:
    """What is searched for, from what somebody typed."""
    return [word.encode("utf-8", "replace") for word in fold(term[:LONGEST_TERM]).split()[:WORDS]]


def lacking(theirs: Mapping[Path, RemoteFile], ours: Mapping[Path, Shown[Any]]) -> View:
    """
    What they have and we lack: paths that we do not have, or in another size or
    with other content, unless we have that content somewhere.
    """
    contents = {shown.file.content for shown in ours.values()}
    return View(
        (path, file.size)
        for path, file in theirs.items()
        if not (
            file.content in contents
            if file.content is not None
            else path in ours and ours[path].file.size == file.size
        )
    )
