# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The site: what a node shows by HTTP, on the port that it is announced on.

======================  ==================================================
 C{/s/?g=…}             indexes and files, for programs and people
                        (L{flocknode.forban.site.store})
 C{/}                   who is here
 C{/l/UUID?p=folder}    what that node has
 C{/v/UUID}             what that node has and this one lacks
 C{/q/?v=words&r=60}    a search over all of it, looked at again every minute
 C{/bundles/}           where goforban's pages link to: leads to C{/l/}
 C{/css/}, C{/img/}     looks
======================  ==================================================

It is public, so nothing is asked for but to be read, and whatever others say
is written down as text (L{flocknode.forban.site.showing}).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from twisted.python.threadpool import ThreadPool
from twisted.web.resource import Resource

from flocknode.forban.near.neighbours import Neighbours
from flocknode.forban.protocol import jsonl
from flocknode.forban.site.connections import CONNECTIONS_PER_HOST, IDLE, BoundedSite
from flocknode.forban.site.looking import Browse, Code, Home, Lacking, Search
from flocknode.forban.site.pages import (
    Elsewhere,
    Folder,
    Here,
    Indexes,
    Nothing,
    Own,
    Static,
    static,
)
from flocknode.forban.site.sending import Sending
from flocknode.forban.site.showing import folder_link
from flocknode.forban.site.store import Publishing, Store

KINDS = {".css": b"text/css; charset=utf-8", ".svg": b"image/svg+xml", ".ico": b"image/x-icon"}


class Site(BoundedSite):
    """
    The factory to listen with, on an endpoint of any kind.  Who stops listening
    calls L{drop} too.

    @ivar here: what pages are made of.
    """

    def __init__(
        self,
        reactor: Any,
        own: Own,
        publishing: Publishing,
        neighbours: Neighbours,
        indexes: Indexes,
        *,
        threads: ThreadPool,
        connections: int | None = None,
        per_host: int = CONNECTIONS_PER_HOST,
        idle: float = IDLE,
    ) -> None:
        """
        @param threads: in which files are read and lists made; running.
        @param connections: at a time; L{None}: as many as can be afforded.
        @param per_host: of these, from one address.
        @param idle: seconds, see L{IDLE}.
        """
        sending = Sending(reactor, threads, idle)
        self.here = here = Here(sending, own, publishing, neighbours, indexes)
        super().__init__(_tree(here), reactor, connections, per_host, idle)


def _tree(here: Here) -> Resource:
    nothing = Nothing(here)
    root = Folder(nothing)
    root.putChild(b"", Home(here))
    header = jsonl.Header(here.own.uuid, here.own.tls)
    root.putChild(b"s", Store(here.sending, here.publishing, header))
    root.putChild(b"l", Browse(here))
    root.putChild(b"v", Lacking(here))
    root.putChild(b"q", Search(here))
    bundles = Folder(nothing)
    bundles.putChild(b"", Elsewhere(here.sending, folder_link(here.own.uuid)))
    root.putChild(b"bundles", bundles)
    looks = Folder(nothing)
    looks.putChild(b"site.css", _static(here, "site.css"))
    root.putChild(b"css", looks)
    pictures = Folder(nothing)
    pictures.putChild(b"mark.svg", _static(here, "mark.svg"))
    pictures.putChild(b"address.svg", Code(here))
    root.putChild(b"img", pictures)
    root.putChild(b"favicon.ico", _static(here, "favicon.ico"))
    return root


def _static(here: Here, name: str) -> Static:
    data = static(name)
    etag = b'"%s"' % blake2b(data, digest_size=16).hexdigest().encode()
    return Static(here.sending, data, KINDS[name[name.rindex(".") :]], etag)
