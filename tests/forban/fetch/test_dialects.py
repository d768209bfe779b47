# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.dialects}, with servers as they were captured.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocknode.box.values import Path
from flocknode.errors import NeighbourError
from flocknode.forban.fetch.asker import Asker
from flocknode.forban.fetch.dialects import ask_better_index, ask_file, ask_index
from flocknode.forban.fetch.heads import Head
from flocknode.forban.near.neighbours import Address
from flocknode.forban.protocol.items import index_hmac
from flocknode.forban.protocol.remote import RemoteFile
from tests.forban.fetch.peers import (
    Flocknode,
    Goforban,
    Hostile,
    Original,
    Peer,
    Talk,
    in_thread,
    reactor,
    small_hash,
    text,
)

FILES = {
    b"a.txt": b"one",
    "ä/ö ü.txt".encode(): b"odd",
    b"~~~???>>>": b"plus, slash",
    b"p.html": b"<p>",
}


class Part:
    """A sink; gives (first byte, data, whole)."""

    def __init__(self, _head: Head, first: int) -> None:
        self.first = first
        self.data = b""

    def write(self, data: bytes) -> bool:
        """See L{flocknode.forban.fetch.body.Sink.write}."""
        self.data += data
        return True

    def finish(self, data: bytes, whole: bool) -> tuple[int, bytes]:
        """See L{flocknode.forban.fetch.body.Sink.finish}."""
        return self.first, self.data + data

    def abandon(self) -> None:
        """See L{flocknode.forban.fetch.body.Sink.abandon}."""


class DialectCase(TestCase):
    """Servers, and who asks them."""

    def setUp(self) -> None:
        self.asker = Asker(reactor, in_thread)
        self.addCleanup(self.asker.stop)

    def listen(self, peer: Peer) -> Peer:
        """Let it, until the end."""
        peer.listen()
        self.addCleanup(lambda: Deferred.fromCoroutine(peer.stop()))
        return peer

    async def file(self, peer: Peer, path: bytes, size: int, **more: Any) -> tuple[int, bytes]:
        """Ask for one."""
        file = RemoteFile(Path(path), size)
        return await ask_file(self.asker, peer.neighbour(), file, Part, **more)

    async def fails(self, asking: Any) -> str:
        """@return: the sentence."""
        try:
            await asking
        except NeighbourError as error:
            return str(error)
        raise self.failureException("It was answered.")


class Indexes(DialectCase):
    """What neighbours have."""

    async def test_that_of_the_original(self) -> None:
        peer = self.listen(Original(FILES))
        index = await ask_index(self.asker, peer.neighbour())
        self.assertEqual(set(index.files), set(FILES))
        self.assertEqual(index.hmac, peer.hmac)

    async def test_that_of_goforban(self) -> None:
        peer = self.listen(Goforban(FILES))
        index = await ask_index(self.asker, peer.neighbour())
        self.assertEqual(set(index.files), set(FILES))
        self.assertEqual(peer.asked, [b"forban/index", b"/forban/index"])

    async def test_only_a_flocknode_has_the_better_one(self) -> None:
        for peer in (Original(FILES), Goforban(FILES)):
            self.listen(peer)
            self.assertIsNone(await ask_better_index(self.asker, peer.neighbour()))
        peer = Flocknode(FILES)
        self.listen(peer)
        index = await ask_better_index(self.asker, peer.neighbour())
        assert index is not None
        self.assertEqual(index.files[Path(b"a.txt")].content, small_hash(b"one"))
        self.assertEqual(index.hmac, peer.hmac)

    async def test_something_else_in_place_of_the_better_one_is_none(self) -> None:
        def script(talk: Talk, _request: bytes) -> None:
            talk.head(9)
            talk.say(b"any thing")

        peer = self.listen(Hostile(script))
        self.assertIsNone(await ask_better_index(self.asker, peer.neighbour()))

    async def test_a_page_is_no_index(self) -> None:
        def script(talk: Talk, _request: bytes) -> None:
            talk.say(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\na,1\n"
            )

        peer = self.listen(Hostile(script))
        said = await self.fails(ask_index(self.asker, peer.neighbour()))
        self.assertIn("no index", said)

    async def test_one_that_is_compressed_is_none(self) -> None:
        def script(talk: Talk, _request: bytes) -> None:
            talk.head(4, more=b"Content-Encoding: gzip\r\n")
            talk.say(b"a,1\n")

        peer = self.listen(Hostile(script))
        await self.fails(ask_index(self.asker, peer.neighbour()))

    async def test_with_an_agreed_key_it_must_be_hashed_with_it(self) -> None:
        peer = self.listen(Original(FILES))
        heard = peer.neighbour()
        good = attrs.evolve(heard, hmac=index_hmac(peer.index(), b"secret"))
        for neighbour, tampered in ((heard, True), (good, False)):
            index = await ask_index(self.asker, neighbour, b"secret")
            self.assertEqual(index.tampered, tampered)

    async def test_another_address_is_tried_if_one_cannot_be_reached(self) -> None:
        gone = Original(FILES)
        gone.listen()
        address = gone.address
        await gone.stop()
        peer = self.listen(Original(FILES))
        heard = peer.neighbour()
        both = attrs.evolve(heard, addresses=((address, 5.0), *heard.addresses))
        index = await ask_index(self.asker, both)
        self.assertEqual(set(index.files), set(FILES))
        nowhere = attrs.evolve(heard, addresses=((address, 5.0), (Address("::1", 1), 4.0)))
        self.assertIn("No connection", await self.fails(ask_index(self.asker, nowhere)))


class Files(DialectCase):
    """What they give."""

    async def test_both_servers_find_every_name(self) -> None:
        for kind in (Original, Goforban, Flocknode):
            peer = self.listen(kind(FILES))
            for path, data in FILES.items():
                self.assertEqual(await self.file(peer, path, len(data)), (0, data))

    async def test_a_server_that_knows_one_alphabet_only_is_asked_in_it(self) -> None:
        asked: list[bytes] = []

        def script(talk: Talk, request: bytes) -> None:
            asked.append(request)
            if b"%2B" in request:
                talk.head(0, b"404 Not Found")
            else:
                talk.head(3)
                talk.say(b"yes")

        peer = self.listen(Hostile(script))
        self.assertEqual(await self.file(peer, b"~~~>>>", 3), (0, b"yes"))
        self.assertEqual(len(asked), 2)
        self.assertIn(b"g=fn5-Pj4-&f=b64e", asked[1])

    async def test_a_listing_in_place_of_a_file_is_refused(self) -> None:
        peer = Goforban(FILES)
        self.patch(peer, "answer", peer.listing)
        self.listen(peer)
        for size in (3, 5, 1 << 20):
            await self.fails(self.file(peer, b"a.txt", size))

    async def test_a_file_of_another_length_is_refused(self) -> None:
        peer = self.listen(Original(FILES))
        for size in (2, 4, 1 << 40):
            await self.fails(self.file(peer, b"a.txt", size))

    async def test_a_rest_is_taken_if_it_is_of_the_same_state(self) -> None:
        peer = self.listen(Original({b"a": b"0123456789"}))
        date = "Sun, 13 Sep 2020 12:26:40 GMT"
        self.assertEqual(await self.file(peer, b"a", 10, offset=4), (4, b"456789"))
        self.assertEqual(
            await self.file(peer, b"a", 10, offset=4, validator=date), (4, b"456789")
        )
        self.assertEqual(
            await self.file(peer, b"a", 10, offset=4, validator='"other"'), (0, b"0123456789")
        )

    async def test_a_part_that_was_not_asked_for_is_refused(self) -> None:
        for said, length in [
            (b"bytes 0-9/10", 10),
            (b"bytes 4-9/11", 6),
            (b"bytes 4-9/10", 7),
            (b"bytes 5-9/10", 5),
            (b"", 6),
        ]:

            def script(
                talk: Talk, _request: bytes, said: bytes = said, length: int = length
            ) -> None:
                more = b"Content-Range: %s\r\n" % said
                talk.head(length, b"206 Partial Content", more)
                talk.say(b"x" * length)

            peer = self.listen(Hostile(script))
            await self.fails(self.file(peer, b"a", 10, offset=4))

    async def test_a_redirect_is_no_file(self) -> None:
        other = self.listen(Original(FILES))
        place = b"Location: http://%s/s/?g=a.txt\r\n" % str(other.address).encode()
        peer = self.listen(
            Hostile(text(b"a.txt,3\n", lambda talk, _: talk.head(0, b"302 Found", place)))
        )
        await self.fails(self.file(peer, b"a.txt", 3))
        self.assertEqual(other.asked, [])
