# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Pages for people: how they are put together.  The templates escape all that they
are given, and fail if they are not given something.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from time import monotonic
from typing import Any, Protocol

import attrs
import jinja2
from twisted.internet.defer import DeferredSemaphore
from twisted.web.resource import Resource

from flocknode.forban.catalogue import Catalogue
from flocknode.forban.near.neighbours import NEIGHBOURS, Neighbour, Neighbours
from flocknode.forban.protocol.remote import RemoteIndex, Tls
from flocknode.forban.shelf import Shelf
from flocknode.forban.site import showing
from flocknode.forban.site.answering import Leaf
from flocknode.forban.site.connections import Request
from flocknode.forban.site.derived import Derived
from flocknode.forban.site.queries import number, parse_query
from flocknode.forban.site.sending import Sending
from flocknode.forban.site.store import Publishing
from flocknode.forban.site.views import View

A_PAGE = 200
"""Entries of a list on one page."""

AT_A_TIME = 2
"""Pages that are made of many files in threads at a time."""

LOOKING = 2.0
"""Seconds for which indexes are made ready for a search; those that are not by
then are left for the next."""

IN_LINE = 64
"""Pages that wait for that; more are told to come again."""


class Indexes(Protocol):
    """
    What is known of the neighbours' files.
    """

    def of(self, uuid: str) -> RemoteIndex | None:
        """The index of a neighbour; L{None}: it was not read yet."""


@attrs.frozen
class Own:
    """
    The node whose site this is.

    @ivar uuid: of it.
    @ivar name: what it calls itself.
    @ivar tls: where the site is served by TLS; L{None}: nowhere.
    @ivar hosts: tells the addresses under which others reach it, the best first:
        who asks it from its own machine is shown these, for phones.
    """

    uuid: str
    name: str
    tls: Tls | None = None
    hosts: Callable[[], Sequence[str]] = tuple


class Here:
    """
    All that pages are made of.
    """

    def __init__(
        self,
        sending: Sending,
        own: Own,
        publishing: Publishing,
        neighbours: Neighbours,
        indexes: Indexes,
    ) -> None:
        self.sending = sending
        self.own = own
        self.publishing = publishing
        self.neighbours = neighbours
        self.indexes = indexes
        self.turns = DeferredSemaphore(AT_A_TIME)
        self._own_view: Derived[Catalogue[Shelf], View] = Derived(
            sending.in_thread, lambda catalogue: View.of_shown(catalogue.files)
        )
        self._views: Derived[RemoteIndex, View] = Derived(
            sending.in_thread, lambda index: View.of(index.files), most=NEIGHBOURS
        )
        self._sizes: Derived[RemoteIndex, int] = Derived(
            sending.in_thread,
            lambda index: sum(file.size for file in index.files.values()),
            most=NEIGHBOURS,
        )
        self.environment = jinja2.Environment(
            loader=jinja2.PackageLoader("flocknode.forban.site"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.environment.globals.update(
            own=own,
            text=showing.text_of,
            name_in=showing.name_in,
            folder_of=showing.folder_of,
            size=showing.size_of,
            count=showing.count_of,
            own_link=showing.own_link,
            folder_link=showing.folder_link,
            ago=showing.ago,
        )
        # All of them now: later the reactor would have to wait for the disk.
        for name in self.environment.list_templates():
            self.environment.get_template(name)

    async def own_view(self) -> View:
        """Of what this node shows."""
        return await self._own_view.of(self.publishing.catalogue)

    async def view(self, index: RemoteIndex) -> View:
        """Of what a neighbour has."""
        return await self._views.of(index, index.uuid)

    async def views(self) -> tuple[list[tuple[str, View]], bool]:
        """All views, with whose they are; and whether that was all."""
        until = monotonic() + LOOKING
        views = [(self.own.uuid, await self.own_view())]
        for neighbour in self.neighbours.all():
            if monotonic() > until:
                return views, False
            index = self.indexes.of(neighbour.uuid)
            if index is not None:
                views.append((neighbour.uuid, await self.view(index)))
        return views, True

    async def size_of(self, index: RemoteIndex) -> int:
        """Bytes of all that a neighbour has."""
        return await self._sizes.of(index, index.uuid)

    def name_of(self, uuid: str, neighbour: Neighbour | None) -> str:
        """What a node is called on a page."""
        name = self.own.name if uuid == self.own.uuid else neighbour.name if neighbour else ""
        return showing.text_of(name) or uuid[:8]


class Page(Leaf):
    """
    A page.
    """

    def __init__(self, here: Here) -> None:
        super().__init__(here.sending)
        self.here = here

    async def answer(self, request: Request) -> None:
        """In its turn, since there may be many files to look at."""
        if len(self.here.turns.waiting) >= IN_LINE:
            request.setHeader(b"Retry-After", b"5")
            await self.say(request, 503, "Too many are asking for pages.")
            return
        await self.here.turns.acquire()
        try:
            template, values = await self.page(request)
        finally:
            self.here.turns.release()
        await self.show(request, template, values)

    @abstractmethod
    async def page(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        """
        Look things up.

        @return: the name of a template, and what it is given.
        """

    async def show(self, request: Request, template: str, values: Mapping[str, Any]) -> None:
        """Answer with a template."""
        text = self.here.environment.get_template(template).render({"term": "", **values})
        data = text.encode("utf-8", "replace")
        request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
        request.setHeader(b"Content-Length", b"%d" % len(data))
        request.setHeader(b"Cache-Control", b"no-store")
        await self.sending.data(request, data)

    def nothing(self, request: Request, why: str) -> tuple[str, Mapping[str, Any]]:
        """There is no such page."""
        request.setResponseCode(404)
        return "nothing.html", {"why": why}


class Nothing(Page):
    """There is no such page."""

    async def page(self, request: Request) -> tuple[str, Mapping[str, Any]]:
        """Say so."""
        return self.nothing(request, "There is no such page here.")


@attrs.frozen
class Slice:
    """
    The part of a list that is on one page.

    @ivar number: of the page, from 1.
    @ivar last: number of the last page.
    """

    number: int
    last: int

    @classmethod
    def of(cls, request: Request, entries: int) -> Slice:
        """The page that C{n} asks for, of so many entries."""
        last = max(1, -(-entries // A_PAGE))
        return cls(number(parse_query(request.uri).get(b"n", b"1"), 1, last) or 1, last)

    @property
    def first(self) -> int:
        """Number of its first entry, from 0."""
        return (self.number - 1) * A_PAGE


def static(name: str) -> bytes:
    """What is served as it is; read where waiting for a disk does not matter."""
    return (resources.files("flocknode.forban.site") / "static" / name).read_bytes()


class Static(Leaf):
    """Something that is served as it is."""

    def __init__(self, sending: Sending, data: bytes, kind: bytes, etag: bytes) -> None:
        """
        @param kind: its Content-Type.
        """
        super().__init__(sending)
        self._data = data
        self._kind = kind
        self._etag = etag

    async def answer(self, request: Request) -> None:
        """Here it is."""
        request.setHeader(b"Cache-Control", b"max-age=600")
        await self.give(request, self._data, self._etag, self._kind)


class Elsewhere(Leaf):
    """What somebody else takes to be here, and has another place."""

    def __init__(self, sending: Sending, url: str) -> None:
        super().__init__(sending)
        self._url = url.encode("ascii")

    async def answer(self, request: Request) -> None:
        """There."""
        request.setHeader(b"Location", self._url)
        await self.say(request, 302, "It is elsewhere.")


class Folder(Resource):
    """Part of a URL below which there is more; it is nothing by itself."""

    def __init__(self, nothing: Resource) -> None:
        super().__init__()
        self._nothing = nothing

    def getChild(self, path: bytes, request: Any) -> Resource:
        """What was not put there is not there."""
        return self._nothing

    def render(self, request: Any) -> Any:
        """As if it was not there."""
        return self._nothing.render(request)
