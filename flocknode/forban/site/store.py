# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{/s/}: the indexes and the files, for programs and people alike.

A path that is asked for is looked up in the catalogue, and in nothing else.
What the catalogue has is opened as the box listed it; if it is not so any more,
the answer is 503, whatever the box holds instead.  (Every node whose folder is
ahead of what is published answers alike, so this names nobody.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from flocknode.box.values import Path
from flocknode.errors import BoxError, ProtocolError
from flocknode.forban.catalogue import Catalogue, Shown
from flocknode.forban.protocol import jsonl
from flocknode.forban.protocol.remote import RemoteFile
from flocknode.forban.shelf import Shelf
from flocknode.forban.site.answering import Leaf, begin
from flocknode.forban.site.connections import Request
from flocknode.forban.site.derived import Derived
from flocknode.forban.site.queries import asked_path, disposition, parse_query
from flocknode.forban.site.ranges import Held, modified_of
from flocknode.forban.site.sending import Sending

INDEX = b"forban/index"
"""What the index is asked for by."""

AGAIN = b"30"
"""Seconds after which to ask again for a file that is not there as listed."""

SANDBOX = b"sandbox; default-src 'none'"
"""CSP of files: whatever they are, they can do nothing here."""


class Publishing(Protocol):
    """
    What the node shows (L{flocknode.forban.publishing.Publishing} is one).
    """

    @property
    def catalogue(self) -> Catalogue[Shelf]:
        """At this moment."""


class Store(Leaf):
    """
    The resource.
    """

    def __init__(
        self, sending: Sending, publishing: Publishing, header: jsonl.Header
    ) -> None:
        """
        @param header: of the better index.
        """
        super().__init__(sending)
        self._publishing = publishing
        self._text = Derived[Catalogue[Shelf], bytes](sending.in_thread, _text)
        self._better = Derived[Catalogue[Shelf], bytes](
            sending.in_thread, lambda catalogue: _encode(header, catalogue)
        )

    async def answer(self, request: Request) -> None:
        """Look up what is asked for."""
        try:
            path = asked_path(parse_query(request.uri))
        except ProtocolError as error:
            await self.say(request, 404, str(error))
            return
        catalogue = self._publishing.catalogue
        shown = catalogue.files.get(Path(path))
        if path == INDEX:
            await self._index(request, catalogue)
        elif path == jsonl.NAME:
            await self._better_index(request, catalogue)
        elif shown is not None:
            await self._file(request, shown)
        else:
            await self.say(request, 404, "There is no such file here.")

    async def _index(self, request: Request, catalogue: Catalogue[Shelf]) -> None:
        data = await self._text.of(catalogue)
        etag = b'"%s"' % catalogue.hmac.encode()
        request.setHeader(b"Content-Disposition", b'inline; filename="index"')
        request.setHeader(b"Cache-Control", b"no-cache")
        await self.give(request, data, etag, b"text/plain; charset=utf-8")

    async def _better_index(self, request: Request, catalogue: Catalogue[Shelf]) -> None:
        data = await self._better.of(catalogue)
        etag = b'"%s"' % jsonl.digest_of(data)
        request.setHeader(b"Content-Disposition", b'inline; filename="index.jsonl"')
        request.setHeader(b"Cache-Control", b"no-cache")
        await self.give(request, data, etag, b"application/jsonl; charset=utf-8")

    async def _file(self, request: Request, shown: Shown[Shelf]) -> None:
        try:
            opened = await shown.shelf.open(shown.file)
        except BoxError:
            request.setHeader(b"Retry-After", AGAIN)
            await self.say(request, 503, "This file is changing; it will be here again.")
            return
        try:
            file = opened.file
            request.setHeader(b"Content-Security-Policy", SANDBOX)
            request.setHeader(b"Content-Disposition", disposition(shown.path))
            request.setHeader(b"Content-Type", b"application/octet-stream")
            request.setHeader(b"Cache-Control", b"no-cache")
            modified = modified_of(file.mtime_ns, self.sending.now())
            held = Held(file.size, b'"%s"' % file.content.hex().encode(), modified)
            part = begin(request, held)
            await self.sending.file(request, opened, part.begin, part.length)
        finally:
            opened.close()


def _text(catalogue: Catalogue[Shelf]) -> bytes:
    # Its hash is looked at once, so that nobody waits for it later.
    _ = catalogue.hmac
    return catalogue.index


def _encode(header: jsonl.Header, catalogue: Catalogue[Shelf]) -> bytes:
    return b"".join(jsonl.encode(header, _files(catalogue), catalogue.key))


def _files(catalogue: Catalogue[Shelf]) -> Iterator[RemoteFile]:
    for path, shown in catalogue.files.items():
        file = shown.file
        yield RemoteFile(path, file.size, file.content, file.mtime_ns)
