# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Large files over real connections: whole, in parts, one after the other, slowly,
and cut off when they cannot be whole.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar
from urllib.request import urlopen

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.threads import deferToThread
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import TestCase

from flocknode.box.listing import OpenFile
from flocknode.forban.protocol import names
from flocknode.forban.site.sendfile import TURN
from tests.certificates import write_certificate
from tests.forban.site.sites import Answer, TestSite

SIZE = TURN * 7 // 4 + 12_345
"""Bytes of the large file: it takes several turns, and more than sockets hold."""

DATA = Random(1).randbytes(SIZE)

T = TypeVar("T")


def request(path: bytes, *headers: str) -> bytes:
    """The bytes of a request for a file."""
    lines = [f"GET /s/?g={names.encode(path)}&f=b64e HTTP/1.1", *headers, "", ""]
    return "\r\n".join(lines).encode()


class Client:
    """
    A client that blocks, for a thread of its own.
    """

    def __init__(self, port: int, small: bool = False) -> None:
        """
        @param small: its window is small, so that the server waits for it.
        """
        self.socket = socket.socket()
        self.socket.settimeout(60)
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.socket.connect(("127.0.0.1", port))
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Requests."""
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """
        The next whole answer.

        @raise ConnectionError: it ended before.
        """
        data = bytearray(self._rest)
        while len(data) < _needed(data):
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise ConnectionError("closed")
            data += piece
        found, self._rest = Answer.parse(bytes(data))
        return found

    def is_closed(self) -> bool:
        """Nothing more comes; waits for it."""
        try:
            return not self.socket.recv(1)
        except ConnectionError:
            return True


def _needed(data: bytearray) -> int:
    """The bytes of the answer that begins there, as far as that can be said."""
    end = data.find(b"\r\n\r\n", 0, 1 << 14)
    if end < 0:
        return len(data) + 1
    found = re.search(rb"\r\ncontent-length: ([0-9]+)\r\n", data[: end + 2], re.IGNORECASE)
    return end + 4 + (int(found.group(1)) if found else 0)


def held() -> int:
    """Descriptors of sockets and of the large file that this process has."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        count += target.startswith("socket:") or "/large" in target
    return count


class Real(TestCase):
    """A site on loopback, with a large file and a small one."""

    timeout = 120
    patience = 60.0

    def setUp(self) -> Any:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.threads = ThreadPool(0, 4)
        self.threads.start()
        self.addCleanup(self.threads.stop)
        self.site = TestSite(self.reactor, self.mktemp(), self.threads, idle=self.patience)
        # How soon a request must come is another matter.
        self.site.site.timeOut = 60.0
        self.site.put(b"large", DATA)
        self.site.put(b"small", b"text")
        return self.listen()

    def listen(self) -> Any:
        """Set C{port}."""
        listening = self.reactor.listenTCP(0, self.site.site, interface="127.0.0.1")
        self.port = listening.getHost().port
        self.addCleanup(listening.stopListening)

    def client(self, small: bool = False) -> Client:
        """A client; in its thread."""
        client = Client(self.port, small)
        self.addCleanup(client.socket.close)
        return client

    def in_thread(self, function: Callable[..., T], *arguments: object) -> Deferred[T]:
        """Call what blocks."""
        return deferToThread(function, *arguments)

    def when(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Wait until it holds."""
        done: Deferred[None] = Deferred()

        def look() -> None:
            if condition():
                done.callback(None)
            else:
                self.reactor.callLater(0.01, look)

        look()
        return done

    async def gone(self) -> None:
        """All connections are over, and all files closed."""
        await self.when(lambda: not self.site.site.channels)
        await self.when(lambda: all(o._descriptor < 0 for o in self.site.shelf.opened))


class LargeFiles(Real):
    """By C{sendfile}."""

    async def test_they_come_whole_one_after_the_other(self) -> None:
        def work(client: Client) -> list[Answer]:
            answers = []
            for path in (b"large", b"small", b"large", b"small"):
                client.send(request(path))
                answers.append(client.answer())
            return answers

        answers = await self.in_thread(work, self.client())
        self.assertEqual([a.body for a in answers], [DATA, b"text"] * 2)

    async def test_they_are_answered_in_order_if_asked_for_at_once(self) -> None:
        def work(client: Client) -> list[Answer]:
            client.send(b"".join(map(request, (b"large", b"small", b"large", b"small"))))
            return [client.answer() for _ in range(4)]

        answers = await self.in_thread(work, self.client())
        self.assertEqual([a.body for a in answers], [DATA, b"text"] * 2)

    async def test_behind_them_no_more_is_buffered_than_before(self) -> None:
        client = self.client()
        await self.in_thread(client.send, request(b"small"))
        await self.in_thread(client.answer)
        (channel,) = self.site.site.channels
        before = channel.transport.producer
        self.assertIs(before, channel)
        await self.in_thread(client.send, request(b"large") + request(b"small"))
        for _ in range(2):
            await self.in_thread(client.answer)
        self.assertIs(channel.transport.producer, before)

    async def test_parts_of_them_are_these_parts(self) -> None:
        def work(client: Client) -> None:
            random = Random(2)
            for _ in range(20):
                begin = random.randrange(SIZE)
                end = random.randrange(begin, SIZE)
                client.send(request(b"large", f"Range: bytes={begin}-{end}"))
                answer = client.answer()
                self.assertEqual(answer.code, 206)
                self.assertTrue(answer.body == DATA[begin : end + 1])

        await self.in_thread(work, self.client())

    async def test_the_connection_is_closed_behind_them_if_asked_for(self) -> None:
        def work(client: Client) -> tuple[Answer, bool]:
            client.send(request(b"large", "Connection: close"))
            return client.answer(), client.is_closed()

        answer, is_closed = await self.in_thread(work, self.client())
        self.assertTrue(answer.body == DATA)
        self.assertTrue(is_closed)
        await self.gone()

    async def test_an_old_client_gets_them_too(self) -> None:
        def work(client: Client) -> tuple[Answer, bool]:
            client.send(request(b"large").replace(b"HTTP/1.1", b"HTTP/1.0"))
            return client.answer(), client.is_closed()

        answer, is_closed = await self.in_thread(work, self.client())
        self.assertTrue(answer.body == DATA)
        self.assertTrue(is_closed)

    async def test_they_come_to_what_python_has_for_urls(self) -> None:
        def work() -> tuple[bytes, str | None]:
            url = f"http://127.0.0.1:{self.port}/s/?g={names.encode(b'large')}&f=b64e"
            with urlopen(url, timeout=60) as answer:
                return answer.read(), answer.headers["Content-Disposition"]

        data, disposition = await self.in_thread(work)
        self.assertTrue(data == DATA)
        self.assertIn('filename="large"', disposition or "")

    async def test_all_are_cut_when_the_site_closes(self) -> None:
        client = self.client(small=True)
        client.send(request(b"large"))
        await self.when(lambda: bool(self.site.shelf.opened))
        self.site.site.drop()
        await self.gone()
        await self.assertFailure(self.in_thread(client.answer), ConnectionError)

    async def test_many_get_them_at_a_time(self) -> None:
        def work(client: Client) -> bool:
            client.send(request(b"large"))
            return client.answer().body == DATA

        many = [self.in_thread(work, self.client(small=n % 2 == 0)) for n in range(12)]
        for one in many:
            self.assertTrue(await one)

    async def test_others_are_served_while_somebody_takes_nothing(self) -> None:
        slow = [self.client(small=True) for _ in range(8)]
        for one in slow:
            one.send(request(b"large"))
        await self.when(lambda: len(self.site.shelf.opened) == 8)

        def work(client: Client) -> Answer:
            client.send(request(b"large"))
            return client.answer()

        self.assertTrue((await self.in_thread(work, self.client())).body == DATA)
        for one in slow:
            self.assertTrue((await self.in_thread(one.answer)).body == DATA)

    async def test_whoever_leaves_in_the_middle_leaves_nothing_behind(self) -> None:
        before = held()
        for number in range(20):
            client = self.client(small=True)
            client.send(request(b"large"))
            if number % 2:
                await self.in_thread(client.socket.recv, 1000)
            if number % 4 > 1:
                linger = b"\1\0\0\0\0\0\0\0"  # so that it is reset, not closed
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.socket.close()
        await self.gone()
        await self.when(lambda: held() == before)

    async def test_no_thread_sends_to_what_has_become_another_connection(self) -> None:
        inside, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        real = OpenFile.send

        def send(this: OpenFile, to: int, offset: int, size: int) -> int:
            inside.set()
            go_on.wait(60)
            return real(this, to, offset, size)

        self.patch(OpenFile, "send", send)
        client = self.client()
        client.send(request(b"large"))
        await self.in_thread(inside.wait, 60)
        client.socket.close()
        await self.when(lambda: not self.site.site.channels)
        # One of these gets the number that the connection had.
        others = [one for _ in range(16) for one in socket.socketpair()]
        for other in others:
            self.addCleanup(other.close)
            other.setblocking(False)
        go_on.set()
        await self.gone()
        for other in others:
            with self.assertRaises(BlockingIOError):
                other.recv(1)

    async def test_a_file_that_is_deleted_goes_on(self) -> None:
        client = self.client(small=True)
        client.send(request(b"large"))
        await self.when(lambda: bool(self.site.shelf.opened))
        self.site.shelf.where(b"large").unlink()
        self.assertTrue((await self.in_thread(client.answer)).body == DATA)

    async def test_a_file_that_becomes_shorter_is_cut_off(self) -> None:
        client = self.client(small=True)
        client.send(request(b"large"))
        await self.when(lambda: bool(self.site.shelf.opened))
        os.truncate(self.site.shelf.where(b"large"), SIZE - 1)
        await self.assertFailure(self.in_thread(client.answer), ConnectionError)
        await self.gone()

    async def test_a_folder_that_goes_away_cuts_it_off(self) -> None:
        client = self.client(small=True)
        client.send(request(b"large"))
        await self.when(lambda: bool(self.site.shelf.opened))
        await self.in_thread(self.site.shelf.opened[0].close)
        await self.assertFailure(self.in_thread(client.answer), ConnectionError)
        await self.gone()

    async def test_the_reactor_waits_for_no_disk(self) -> None:
        opened = await self.site.shelf.open(self.site.shelf.files[b"large"])  # type: ignore[index]
        used: set[int] = set()
        kind = type(opened)
        opened.close()

        def spied(real: Any) -> Any:
            def spy(this: Any, *arguments: Any) -> Any:
                used.add(threading.get_ident())
                return real(this, *arguments)

            return spy

        for name in ("send", "read"):
            self.patch(kind, name, spied(getattr(kind, name)))
        client = self.client()
        client.send(request(b"large") + request(b"small"))
        for _ in range(2):
            await self.in_thread(client.answer)
        self.assertTrue(used)
        self.assertNotIn(threading.get_ident(), used)


class Impatience(Real):
    """Who takes nothing is cut off."""

    patience = 0.2

    async def test_a_reader_that_stops_is_cut_off(self) -> None:
        client = self.client(small=True)
        client.send(request(b"large"))
        await self.when(lambda: bool(self.site.shelf.opened))
        await self.gone()
        await self.assertFailure(self.in_thread(client.answer), ConnectionError)


class RealEncrypted(Real):
    """By TLS, from an endpoint string."""

    def listen(self) -> Any:
        """With a certificate of its own."""
        pem = self.mktemp()
        write_certificate(pem)
        endpoint = serverFromString(
            self.reactor, f"ssl:0:interface=127.0.0.1:privateKey={pem}"
        )

        def listening(port: Any) -> None:
            self.port = port.getHost().port
            self.addCleanup(port.stopListening)

        return endpoint.listen(self.site.site).addCallback(listening)

    def client(self, small: bool = False) -> Client:
        """It trusts whoever answers."""
        client = super().client(small)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client.socket = context.wrap_socket(client.socket, do_handshake_on_connect=False)
        self.addCleanup(client.socket.close)
        return client


class Encrypted(RealEncrypted):
    """The same by TLS."""

    async def test_files_come_whole_one_after_the_other(self) -> None:
        def work(client: Client) -> list[Answer]:
            client.send(b"".join(map(request, (b"large", b"small", b"large"))))
            return [client.answer() for _ in range(3)]

        answers = await self.in_thread(work, self.client(small=True))
        self.assertEqual([a.body for a in answers], [DATA, b"text", DATA])

    async def test_a_file_that_becomes_shorter_is_cut_off(self) -> None:
        def work(client: Client) -> Answer:
            client.send(request(b"large"))
            client.socket.recv(1)
            os.truncate(self.site.shelf.where(b"large"), SIZE - 1)
            return client.answer()

        await self.assertFailure(self.in_thread(work, self.client(True)), ConnectionError, OSError)
        await self.gone()

    async def test_the_address_says_that_it_is_encrypted(self) -> None:
        def work(client: Client) -> Answer:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            return client.answer()

        answer = await self.in_thread(work, self.client())
        self.assertIn(f"https://192.168.1.5:{self.port}/".encode(), answer.body)


class ImpatienceEncrypted(RealEncrypted):
    """Who takes nothing is cut off there too."""

    patience = 0.2

    async def test_a_reader_that_stops_is_cut_off(self) -> None:
        client = self.client(small=True)
        await self.in_thread(client.send, request(b"large"))
        await self.when(lambda: bool(self.site.shelf.opened))
        await self.gone()
