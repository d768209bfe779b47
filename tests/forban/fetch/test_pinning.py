# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.fetch.pinning}: questions by TLS, on loopback.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.tcp import Client

from flocknode.forban.fetch.asker import Asker, Unreachable
from flocknode.forban.near.neighbours import Address
from tests.certificates import write_certificate
from tests.forban.fetch.peers import Flocknode, Hostile, Peer, Script, Talk, until
from tests.forban.fetch.test_asker import AskerCase, take

QUERY = "g=YQ!!&f=b64e"


class Case(AskerCase):
    """A neighbour with one file, and a certificate of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.pem = self.mktemp()
        write_certificate(self.pem)
        self.peer: Peer = Flocknode({b"a": b"content"})

    def serve(self, peer: Peer, pem: str = "", chain: str = "") -> Peer:
        """Let it listen."""
        peer.listen_by_tls(pem or self.pem, chain)
        self.addCleanup(lambda: Deferred.fromCoroutine(peer.stop()))
        return peer

    def ask_at(self, address: Address, asker: Asker | None = None) -> Deferred[Any]:
        """A question; gives (head, body)."""
        return Deferred.fromCoroutine((asker or self.asker).ask(address, QUERY, take, 100))


class TheRight(Case):
    """It is taken."""

    async def test_what_is_asked_for_comes_by_tls(self) -> None:
        self.serve(self.peer)
        _, body = await self.ask_at(self.peer.secret_address)
        self.assertEqual((body, self.peer.asked_by_tls), (b"content", [b"YQ!!"]))

    async def test_who_signed_it_for_whom_and_until_when_does_not_matter(self) -> None:
        pem = self.mktemp()
        write_certificate(pem, name="old.example", issuer="nobody", days=-1)
        self.serve(self.peer, pem)
        self.assertEqual((await self.ask_at(self.peer.secret_address))[1], b"content")

    async def test_connections_are_kept(self) -> None:
        seen: list[Talk] = []

        def script(talk: Talk, _request: bytes) -> None:
            seen.append(talk)
            talk.head(2)
            talk.say(b"ok")

        hostile = self.serve(Hostile(script))
        for _ in range(3):
            await self.ask_at(hostile.secret_address)
        self.assertEqual((len(seen), len(set(seen))), (3, 1))

    async def test_a_kept_connection_is_not_used_for_who_has_another_certificate(self) -> None:
        self.serve(self.peer)
        await self.ask_at(self.peer.secret_address)
        other = attrs.evolve(self.peer.secret_address, pinned=bytes(32))
        self.assertIn("another certificate", await self.fails(self.ask_at(other)))


class AnyOther(Case):
    """It is refused, and is asked nothing."""

    async def refused(self, address: Address) -> None:
        """It is."""
        self.assertIn("shows another certificate", await self.fails(self.ask_at(address)))
        self.assertEqual(self.peer.asked, [])

    async def test_another_certificate_of_the_same_name_is_refused(self) -> None:
        self.serve(self.peer)
        other = write_certificate(self.mktemp())
        await self.refused(attrs.evolve(self.peer.secret_address, pinned=other))

    async def test_the_right_one_behind_another_is_refused(self) -> None:
        pem = self.mktemp()
        right = self.mktemp()
        pinned = write_certificate(right, name="ada")
        write_certificate(pem, name="mallory", issuer="ada")
        self.serve(self.peer, pem, chain=right)
        await self.refused(attrs.evolve(self.peer.secret_address, pinned=pinned))

    async def test_who_does_not_speak_tls_is_asked_nothing(self) -> None:
        heard: list[bytes] = []

        class Listener(Talk):
            def dataReceived(self, data: bytes) -> None:
                heard.append(data)
                self.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        hostile = Hostile(lambda talk, _request: None)
        factory = hostile.factory()
        factory.buildProtocol = lambda _address: Listener(hostile)
        self.patch(hostile, "factory", lambda: factory)
        self.listen(hostile)
        address = attrs.evolve(hostile.address, pinned=bytes(32))
        self.assertIn("by TLS", await self.fails(self.ask_at(address)))
        self.assertNotIn(b"GET", b"".join(heard))

    async def test_that_nobody_is_there_is_said_so(self) -> None:
        self.serve(self.peer)
        address = self.peer.secret_address
        await self.peer.stop()
        await self.fails(self.ask_at(address), Unreachable)


class WhoDoesNotEnd(Case):
    """A connection ends when this node ends it, whatever the other side does."""

    def deaf(self, script: Script) -> Hostile:
        """One that reads nothing any more after a question."""

        def deafening(talk: Talk, request: bytes) -> None:
            script(talk, request)
            tls: Any = talk.transport
            tls.transport.pauseProducing()
            self.addCleanup(tls.transport.abortConnection)

        peer = Hostile(deafening)
        self.serve(peer)
        return peer

    async def test_the_stop_waits_for_nobody(self) -> None:
        peer = self.deaf(lambda talk, _request: talk.head(0))
        await self.ask_at(peer.secret_address)
        await self.asker.stop()

    async def test_a_body_that_is_given_up_leaves_no_connection(self) -> None:
        def script(talk: Talk, _request: bytes) -> None:
            talk.head(None)
            talk.say(b"x" * 200)

        peer = self.deaf(script)
        self.assertIn("more than it said", await self.fails(self.ask_at(peer.secret_address)))
        readers = self.asker._reactor.getReaders
        await until(lambda: not any(isinstance(reader, Client) for reader in readers()))
