# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The pages that people look at: who is here, what they have, what of it is not
here, and where something is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from time import monotonic
from typing import Any

import segno

from flocknode.forban.near.neighbours import Neighbour
from flocknode.forban.protocol.remote import RemoteIndex
from flocknode.forban.site import showing
from flocknode.forban.site.answering import Leaf
from flocknode.forban.site.connections import Request
from flocknode.forban.site.pages import A_PAGE, Here, Own, Page, Slice
from flocknode.forban.site.queries import number, parse_query
from flocknode.forban.site.searching import search
from flocknode.forban.site.views import Found, lacking, words_of

AT_THE_TOP = 12
"""Entries of the node's own that the first page shows."""

SHORTEST_REFRESH = 5
LONGEST_REFRESH = 3600
"""Seconds between two looks at the same search."""

Answer = tuple[str, Mapping[str, Any]]


class Home(Page):
    """Who is here."""

    async def page(self, request: Request) -> Answer:
        """Those heard last first."""
        here = self.here
        known = here.neighbours.all()
        part = Slice.of(request, len(known))
        rows = []
        for neighbour in known[part.first : part.first + A_PAGE]:
            index = here.indexes.of(neighbour.uuid)
            size = None if index is None else await here.size_of(index)
            rows.append((neighbour, index, size))
        own = await here.own_view()
        top = await self.sending.in_thread(own.folder, b"")
        return "home.html", {
            "name_of": here.name_of,
            "base_of": showing.base_of,
            "silent": here.neighbours.silent,
            "rows": rows,
            "part": part,
            "total": len(known),
            "view": own,
            "top": top[:AT_THE_TOP],
            "more": max(0, len(top) - AT_THE_TOP),
            "address": address_of(request, here.own),
        }


class _OfOne(Page):
    """A page about one node, whose uuid follows in the URL."""

    def who(self, request: Request) -> tuple[str, Neighbour | None, RemoteIndex | None]:
        """Its uuid, and what is known of it."""
        uuid = b"/".join(request.postpath or [])[:64].decode("ascii", "replace").lower()
        neighbour = self.here.neighbours.get(uuid)
        return uuid, neighbour, None if neighbour is None else self.here.indexes.of(uuid)


class Browse(_OfOne):
    """What a node has, by folders."""

    async def page(self, request: Request) -> Answer:
        """One folder."""
        here = self.here
        uuid, neighbour, index = self.who(request)
        is_own = uuid == here.own.uuid
        if not is_own and neighbour is None:
            return self.nothing(request, "This node is not here, or not any more.")
        values: dict[str, Any] = {
            "uuid": uuid,
            "is_own": is_own,
            "name": here.name_of(uuid, neighbour),
            "neighbour": neighbour,
            "index": index,
            "linked": is_own or (neighbour is not None and bool(showing.base_of(neighbour))),
            "link": _link(is_own, neighbour),
        }
        if not is_own and index is None:
            return "browse.html", {**values, "view": None, "entries": [], "crumbs": []}
        view = await (here.view(index) if index is not None else here.own_view())
        folder = parse_query(request.uri).get(b"p", b"").strip(b"/")
        entries = await self.sending.in_thread(view.folder, folder)
        if folder and not entries:
            return self.nothing(request, "There is no such folder, or not any more.")
        part = Slice.of(request, len(entries))
        return "browse.html", {
            **values,
            "view": view,
            "entries": entries[part.first : part.first + A_PAGE],
            "part": part,
            "total": len(entries),
            "folder": folder,
            "crumbs": _crumbs(folder),
            "here": showing.folder_link(uuid, folder),
        }


class Lacking(_OfOne):
    """What a node has that this one lacks."""

    async def page(self, request: Request) -> Answer:
        """A part of the list."""
        here = self.here
        uuid, neighbour, index = self.who(request)
        if neighbour is None:
            return self.nothing(request, "This node is not here, or not any more.")
        values: dict[str, Any] = {
            "uuid": uuid,
            "name": here.name_of(uuid, neighbour),
            "neighbour": neighbour,
            "index": index,
            "linked": bool(showing.base_of(neighbour)),
            "link": _link(False, neighbour),
        }
        if index is None:
            return "lacking.html", {**values, "view": None, "entries": []}
        ours = here.publishing.catalogue.files
        view = await self.sending.in_thread(lacking, index.files, ours)
        part = Slice.of(request, view.count)
        return "lacking.html", {
            **values,
            "view": view,
            "entries": view.some(part.first, A_PAGE),
            "part": part,
            "total": view.count,
            "here": f"/v/{uuid}",
        }


class Search(Page):
    """Where something is, of all that is known to be anywhere."""

    async def page(self, request: Request) -> Answer:
        """The first files with these words in their names."""
        here = self.here
        query = parse_query(request.uri)
        term = query.get(b"v", b"").decode("utf-8", "replace")
        refresh = number(query.get(b"r", b""), SHORTEST_REFRESH, LONGEST_REFRESH)
        if refresh is not None:
            request.setHeader(b"Refresh", b"%d" % refresh)
        words = words_of(term)
        neighbours = {here.own.uuid: None, **{n.uuid: n for n in here.neighbours.all()}}
        views, is_ready = await here.views() if words else ([], True)
        results, is_all = await self.sending.in_thread(search, views, words, monotonic)
        return "search.html", {
            "term": term,
            "asked": bool(words),
            "refresh": refresh,
            "results": [
                (uuid, here.name_of(uuid, neighbours[uuid]), found, self._to(uuid, neighbours))
                for uuid, found in results.items()
                if uuid in neighbours
            ],
            "number": _count(results),
            "is_all": is_ready and is_all and not any(f.more for f in results.values()),
        }

    def _to(
        self, uuid: str, neighbours: Mapping[str, Neighbour | None]
    ) -> Callable[[bytes], str | None]:
        return _link(uuid == self.here.own.uuid, neighbours[uuid])


class Code(Leaf):
    """The QR code of this site's address, for phones."""

    def __init__(self, here: Here) -> None:
        super().__init__(here.sending)
        self._own = here.own

    async def answer(self, request: Request) -> None:
        """As a picture."""
        address = address_of(request, self._own)
        if address is None:
            await self.say(request, 404, "Nobody knows the address of this node.")
            return
        request.setHeader(b"Cache-Control", b"no-cache")
        etag = b'"%s"' % address.encode("ascii", "replace")
        await self.give(request, picture_of(address), etag, b"image/svg+xml")


@lru_cache(maxsize=16)
def picture_of(address: str) -> bytes:
    """A QR code, as SVG."""
    picture = BytesIO()
    segno.make(address, error="m", micro=False).save(
        picture, kind="svg", dark="#000", light="#fff", border=3, omitsize=True, xmldecl=False
    )
    return picture.getvalue()


def address_of(request: Request, own: Own) -> str | None:
    """
    Where this site is, as seen from other machines: where it was asked, unless
    that is of no use elsewhere.

    @return: a URL; L{None}: nobody knows.
    """
    scheme = "https" if request.isSecure() else "http"
    asked = request.getHost()
    hosts = [*_useful([getattr(asked, "host", "")]), *_useful(own.hosts())]
    if not hosts:
        return None
    host = f"[{hosts[0]}]" if ":" in hosts[0] else hosts[0]
    return f"{scheme}://{host}:{getattr(asked, 'port', 80)}/"


def _useful(hosts: Sequence[str]) -> list[str]:
    """Those of the addresses that a browser on another machine can go to."""
    found = []
    for host in hosts:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            continue
        mapped = getattr(address, "ipv4_mapped", None)
        address = address if mapped is None else mapped
        if not (address.is_loopback or (address.version == 6 and address.is_link_local)):
            found.append(str(address))
    return found


def _link(is_own: bool, neighbour: Neighbour | None) -> Callable[[bytes], str | None]:
    """How files are linked to: where they are, so that nothing goes through here."""
    if is_own:
        return showing.own_link
    base = None if neighbour is None else showing.base_of(neighbour)
    return lambda path: None if base is None else base + showing.own_link(path)


def _crumbs(folder: bytes) -> list[bytes]:
    """The folders above and itself, outermost first."""
    parts = folder.split(b"/") if folder else []
    return [b"/".join(parts[: end + 1]) for end in range(len(parts))]


def _count(results: Mapping[str, Found]) -> int:
    return sum(len(found.files) for found in results.values())
