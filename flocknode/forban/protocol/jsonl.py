# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
r"""
The better index, between two flocknodes: C{GET /s/?g=forban/index.jsonl}.

Lines of JSON in UTF-8, each ended by C{\n}.  The first tells who speaks, one
for each file follows, and the last says that this was all::

    {"flocknode":1,"uuid":"…","tls":{"port":12557,"sha256":"<hex>"}}
    {"path":"a/b.txt","size":4,"content":"<hex>","mtime_ns":1700000000000000000}
    {"files":1,"hmac":"<hex>"}

 - C{tls}: where the same site is served by TLS, at the same address, and the
   SHA-256 of the certificate (DER) that is shown there; or C{null}.
 - C{content}: see L{flocknode.box.content}, 32 bytes.
 - C{hmac}: HMAC-SHA256 of all bytes before that line, with the key that the
   text index is hashed with (L{flocknode.forban.protocol.items.KEY}, or one that was
   agreed upon).

The files are those of the text index, in the same order.  Whoever knows no such
index answers 404 to this, as to any file that he has not.  Members of an object
that are not known are skipped: later versions may add some.

To write one: L{encode}.  To read one: make a L{Parser}, L{Parser.feed} it all
bytes as they come, L{Parser.finish}, and look at L{Parser.header},
L{Parser.authentic} and L{Parser.cut}.  Ten thousand files take about 40 ms:
large indexes are for threads.  Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

import attrs
import msgspec
from msgspec import Meta, Struct

from flocknode.box.content import HASH_SIZE
from flocknode.box.paths import check_path
from flocknode.box.values import Path
from flocknode.errors import PathError, ProtocolError
from flocknode.forban.protocol.items import KEY, LARGEST, is_listable
from flocknode.forban.protocol.remote import RemoteFile, Tls

NAME: Final = b"forban/index.jsonl"
"""What it is asked for by."""

VERSION: Final = 1
"""What the first line shows.  Raised when a change is not compatible."""

LONGEST_LINE: Final = 32_768
"""Bytes: a path of 4095 of which each needs six in JSON, with room."""

MOST_FILES: Final = 1_000_000
"""Files that a L{Parser} takes, unless it is told otherwise."""

_HMAC_SIZE: Final = 32
_FINGERPRINT_SIZE: Final = 32


@attrs.frozen
class Header:
    """
    @ivar uuid: of the node.
    @ivar tls: where it is served by TLS; L{None}: nowhere.
    """

    uuid: str
    tls: Tls | None = None


class _Tls(Struct, frozen=True):
    port: Annotated[int, Meta(ge=1, le=65_535)]
    sha256: str


class _First(Struct, frozen=True):
    flocknode: int
    uuid: Annotated[str, Meta(max_length=64)]
    tls: _Tls | None = None


class _File(Struct, frozen=True):
    path: str
    size: Annotated[int, Meta(ge=0, le=LARGEST)]
    content: str
    mtime_ns: Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class _Last(Struct, frozen=True):
    files: int
    hmac: str


_encoder = msgspec.json.Encoder()
_first = msgspec.json.Decoder(_First)
_file = msgspec.json.Decoder(_File)
_last = msgspec.json.Decoder(_Last)


def encode(header: Header, files: Iterable[RemoteFile], key: bytes = KEY) -> Iterator[bytes]:
    """
    The lines of an index, in pieces of any size.

    @param files: in the order of the text index, each with C{content} and
        C{mtime_ns}, its path in UTF-8.
    @raise ValueError: one lacks them.
    """
    digest = hmac.new(key, digestmod=hashlib.sha256)
    tls = None if header.tls is None else _Tls(header.tls.port, header.tls.fingerprint.hex())
    lines = bytearray(_encoder.encode(_First(VERSION, header.uuid, tls)) + b"\n")
    count = 0
    for file in files:
        if file.content is None or file.mtime_ns is None:
            raise ValueError("A file of which not all is known.")
        line = _File(file.path.decode("utf-8"), file.size, file.content.hex(), file.mtime_ns)
        lines += _encoder.encode(line) + b"\n"
        count += 1
        if len(lines) >= 1 << 16:
            digest.update(lines)
            yield bytes(lines)
            lines.clear()
    digest.update(lines)
    yield bytes(lines) + _encoder.encode(_Last(count, digest.hexdigest())) + b"\n"


def digest_of(index: bytes) -> bytes:
    """What the last line of a whole index says: 64 hexadecimal digits."""
    return index[-67:-3]


class Parser:
    """
    Reads an index, in pieces as they come; memory is bounded by L{LONGEST_LINE}
    and what L{feed} returns.

    @ivar header: from the first line; L{None}: it has not come yet.
    @ivar cut: there were more files than this one takes; those behind are not
        looked at.
    @ivar authentic: after L{finish}: the last line was hashed with the key, so
        all before it are as somebody wrote them who has it.
    """

    def __init__(self, key: bytes = KEY, most: int = MOST_FILES) -> None:
        """
        @param most: files that are taken.
        """
        self.header: Header | None = None
        self.cut = False
        self.authentic = False
        self._digest = hmac.new(key, digestmod=hashlib.sha256)
        self._most = most
        self._seen = 0
        self._ended = False
        self._rest = b""

    def feed(self, data: bytes) -> list[RemoteFile]:
        """
        @param data: anything at all.
        @return: the files whose lines ended in it; those that cannot be listed
            (L{is_listable}) are left out.
        @raise ProtocolError: that is no such index; nothing more can be read.
        """
        if self.cut:
            return []
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            file = self._line(line)
            if self.cut:
                self._rest = b""
                break
            if file is not None:
                found.append(file)
        if len(self._rest) > LONGEST_LINE:
            raise ProtocolError("A line of an index that is too long.")
        return found

    def finish(self) -> None:
        """
        Nothing more comes.

        @raise ProtocolError: something is missing at the end.
        """
        if not self.cut and (self._rest or not self._ended):
            raise ProtocolError("An index that ends too early.")

    def _line(self, line: bytes) -> RemoteFile | None:
        if len(line) > LONGEST_LINE:
            raise ProtocolError("A line of an index that is too long.")
        if self._ended:
            raise ProtocolError("An index that goes on behind its end.")
        try:
            if self.header is None:
                self.header = _read_header(_first.decode(line))
                self._digest.update(line + b"\n")
                return None
            try:
                said = _file.decode(line)
            except msgspec.ValidationError:
                self._end(_last.decode(line))
                return None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ProtocolError("A line of an index that is not understood.") from None
        self._digest.update(line + b"\n")
        self._seen += 1
        if self._seen > self._most:
            self.cut = True
            return None
        return _read_file(said)

    def _end(self, said: _Last) -> None:
        if said.files != self._seen:
            raise ProtocolError("An index of which lines are missing.")
        self._ended = True
        self.authentic = hmac.compare_digest(
            self._digest.digest(), _read_hash(said.hmac, _HMAC_SIZE)
        )


def _read_header(said: _First) -> Header:
    if said.flocknode != VERSION:
        raise ProtocolError("An index of a version that is not known.")
    tls = said.tls
    if tls is None:
        return Header(said.uuid)
    return Header(said.uuid, Tls(tls.port, _read_hash(tls.sha256, _FINGERPRINT_SIZE)))


def _read_file(said: _File) -> RemoteFile | None:
    try:
        path: Path = check_path(said.path.encode("utf-8"))
    except (PathError, UnicodeEncodeError) as error:
        raise ProtocolError(f"A path of an index: {error}") from None
    content = _read_hash(said.content, HASH_SIZE)
    if not is_listable(path):
        return None
    return RemoteFile(path, said.size, content, said.mtime_ns)


def _read_hash(text: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != size or len(text) != 2 * size:
        raise ProtocolError("A hash in an index that is none.")
    return value
