# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Reads the index of a neighbour, piece by piece as it comes: bounded, whatever
it is.  Pure; takes long for large ones, so it is done in threads.

One bad line is left out; what is mostly bad lines (a page of HTML, say) is no
index.  The first of several lines with the same path counts.
"""

from __future__ import annotations

import hashlib
import hmac

from flocknode.box.values import Path
from flocknode.errors import ProtocolError
from flocknode.forban.protocol import items, jsonl
from flocknode.forban.protocol.items import KEY
from flocknode.forban.protocol.remote import RemoteFile, RemoteIndex

MOST_BYTES = 64 << 20
"""Of an index that are read."""

MOST_JSONL_BYTES = 3 * MOST_BYTES
"""Of the better index: its lines are longer."""

MOST_FILES = 500_000
"""Files of an index that count."""

MOST_BAD = 1000
"""Bad lines of an index that are left out; with more it is none."""

COST = 240
"""Bytes of memory that a file takes, beside its path (measured; 80 more with a
hash)."""

_DOUBTED = 10
# So many bad lines more than good ones: that is no index either.


class TextReader:
    """
    Takes the bytes of the index that every Forban node has.  It is a
    L{flocknode.forban.fetch.body.Sink}.

    @ivar bad: lines that were left out.
    """

    def __init__(self, uuid: str, announced: str = "", key: bytes | None = None) -> None:
        """
        @param uuid: whose index it is.
        @param announced: the hash that it was said to have, or an empty string.
        @param key: that was agreed upon; L{None}: none was, and the hash only
            tells one index from another.
        """
        self.bad = 0
        self._uuid = uuid
        self._announced = announced
        self._keyed = key is not None
        self._hmac = hmac.new(KEY if key is None else key, digestmod=hashlib.sha1)
        self._size = 0
        self._rest = b""
        self._cut = False
        self._ended = False
        self._cost = 0
        self._files: dict[Path, RemoteFile] = {}

    def write(self, data: bytes) -> bool:
        """
        The next bytes.

        @return: false: that is enough.
        @raise ProtocolError: that is no index.
        """
        if self._ended or self._size + len(data) > MOST_BYTES:
            self._cut = self._ended = True
            return False
        self._size += len(data)
        self._hmac.update(data)
        if not self._cut:
            *lines, rest = (self._rest + data).split(b"\n")
            # Of a line that is too long no more is kept than tells that it is.
            self._rest = rest[: items.LONGEST_LINE + 1]
            for line in lines:
                self._line(line)
        # With an agreed key all of it has to be hashed.
        self._ended = self._cut and not self._keyed
        return not self._ended

    def _line(self, line: bytes) -> None:
        if self._cut:
            return
        try:
            item = items.parse_line(line)
        except ProtocolError:
            self.bad += 1
            if self.bad > MOST_BAD:
                raise ProtocolError("An index with too many bad lines.") from None
            return
        if item is None or item.path in self._files:
            return
        if len(self._files) >= MOST_FILES:
            self._cut = True
            return
        self._cost += COST + len(item.path)
        self._files[item.path] = RemoteFile(item.path, item.size)

    def finish(self, data: bytes, whole: bool) -> RemoteIndex:
        """
        That was all.

        @param data: the last bytes.
        @param whole: they are known to be the last ones: the length was said.
            Else a line without an end is left out, which may be half of one.
        @raise ProtocolError: that is no index.
        """
        if self.write(data) and whole:
            self._line(self._rest)
        self._rest = b""
        if self.bad > len(self._files) + _DOUBTED:
            raise ProtocolError("An index with more bad lines than good ones.")
        # What was not read to its end has no hash.
        found = "" if self._ended else self._hmac.hexdigest()
        tampered = self._keyed and (
            not found or not hmac.compare_digest(found, self._announced)
        )
        return RemoteIndex(self._uuid, self._files, found, tampered, self._cut, self._cost)

    def abandon(self) -> None:
        """Nothing more comes, and nothing is wanted of what came."""
        self._files = {}
        self._rest = b""


class JsonlReader:
    """
    The same for the better index (L{flocknode.forban.protocol.jsonl}).  It is as its
    writer made it, or none: a bad line ends it.
    """

    def __init__(self, uuid: str, key: bytes | None = None) -> None:
        """See L{TextReader}; the hash stands in the index itself."""
        self._uuid = uuid
        self._keyed = key is not None
        key = KEY if key is None else key
        self._parser = jsonl.Parser(key, MOST_FILES)
        # Of the text index that has the same files, to compare with what is
        # announced.
        self._hmac = hmac.new(key, digestmod=hashlib.sha1)
        self._size = 0
        self._ended = False
        self._cost = 0
        self._files: dict[Path, RemoteFile] = {}

    def write(self, data: bytes) -> bool:
        """As that of L{TextReader}."""
        if self._size + len(data) > MOST_JSONL_BYTES:
            self._ended = True
        if self._ended:
            return False
        self._size += len(data)
        for file in self._parser.feed(data):
            self._hmac.update(b"%s,%d\n" % (file.path, file.size))
            if self._files.setdefault(file.path, file) is file:
                self._cost += COST + 80 + len(file.path)
        header = self._parser.header
        if header is not None and header.uuid.lower() != self._uuid:
            raise ProtocolError("The index of another node.")
        self._ended = self._parser.cut
        return not self._ended

    def finish(self, data: bytes, whole: bool) -> RemoteIndex:
        """As that of L{TextReader}; it tells by itself whether it is whole."""
        self.write(data)
        if not self._ended:
            self._parser.finish()
        found = "" if self._ended else self._hmac.hexdigest()
        tampered = self._keyed and not self._parser.authentic
        header = self._parser.header
        tls = None if header is None else header.tls
        return RemoteIndex(
            self._uuid, self._files, found, tampered, self._ended, self._cost, tls
        )

    def abandon(self) -> None:
        """As that of L{TextReader}."""
        self._files = {}
