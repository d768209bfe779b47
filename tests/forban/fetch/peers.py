# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Forban neighbours of other kinds, as they were captured, on loopback: the
original's server, goforban's, another flocknode's, and hostile ones.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FolderPath
from typing import Any

from blake3 import blake3
from cryptography.hazmat.primitives.hashes import SHA256
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, PrivateCertificate
from twisted.internet.threads import deferToThreadPool
from twisted.protocols.basic import LineReceiver
from twisted.web.http import datetimeToString
from twisted.web.resource import Resource
from twisted.web.server import Site

from flocknode.box.values import Path
from flocknode.forban.near.neighbours import Address, Neighbour, Neighbours
from flocknode.forban.protocol import jsonl
from flocknode.forban.protocol.announcement import Announcement
from flocknode.forban.protocol.items import KEY, index_hmac
from flocknode.forban.protocol.remote import RemoteFile, Tls

reactor: Any = _reactor

NOT_FOUND = b"<html><body>404 Not Found</body></html>"

MODIFIED = 1_600_000_000
"""When files of these servers were changed."""


def uuid_of(number: int) -> str:
    """A uuid for tests."""
    return f"{number:08x}-0000-4000-8000-000000000000"


def small_hash(data: bytes) -> bytes:
    """The hash of content of one block."""
    return blake3(data).digest()


def in_thread(work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """A thread of the reactor's pool."""
    return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)


async def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    while not condition():
        waiting: Deferred[None] = Deferred()
        reactor.callLater(0.01, waiting.callback, None)
        await waiting


class Peer:
    """
    Somebody who listens on loopback.

    @ivar files: what it has.
    @ivar asked: the C{g} of each request, as it came.
    @ivar asked_by_tls: of each that came by TLS.
    @ivar tls: where it listens by TLS, if it does.
    """

    def __init__(self, files: Mapping[bytes, bytes] | None = None, number: int = 1) -> None:
        self.files = dict(files or {})
        self.uuid = uuid_of(number)
        self.asked: list[bytes] = []
        self.asked_by_tls: list[bytes] = []
        self.tls: Tls | None = None
        self.port: IListeningPort | None = None
        self._tls_port: IListeningPort | None = None
        self.connections = 0

    def factory(self) -> Any:
        """What answers."""
        factory: Any = Site(_Answers(self))
        factory.noisy = False
        factory.displayTracebacks = False
        # It would write a line for each request.
        factory.log = lambda _request: None
        return factory

    def listen(self) -> None:
        """Begin."""
        self.port = reactor.listenTCP(0, self.factory(), interface="127.0.0.1")

    def listen_by_tls(self, pem: str, chain: str = "") -> None:
        """
        By TLS, too.

        @param pem: of a file with a key and a certificate.
        @param chain: of one whose certificate is shown behind it.
        """
        own = PrivateCertificate.loadPEM(FolderPath(pem).read_bytes())
        behind = [Certificate.loadPEM(FolderPath(chain).read_bytes()).original] if chain else []
        options = CertificateOptions(own.privateKey.original, own.original, extraCertChain=behind)
        port = reactor.listenSSL(0, self.factory(), options, interface="127.0.0.1")
        self._tls_port = port
        digest = own.original.to_cryptography().fingerprint(SHA256())
        self.tls = Tls(port.getHost().port, digest)

    async def stop(self) -> None:
        """End."""
        ports, self.port, self._tls_port = (self.port, self._tls_port), None, None
        for port in ports:
            if port is not None:
                stopping: Any = port.stopListening()
                await stopping

    @property
    def address(self) -> Address:
        """Where it listens."""
        assert self.port is not None
        host: Any = self.port.getHost()
        return Address("127.0.0.1", host.port)

    @property
    def secret_address(self) -> Address:
        """Where it listens by TLS, with its certificate."""
        assert self.tls is not None
        return Address("127.0.0.1", self.tls.port, self.tls.fingerprint)

    def index(self) -> bytes:
        """Its index."""
        return b"".join(b"%s,%d\n" % (path, len(data)) for path, data in self.files.items())

    @property
    def hmac(self) -> str:
        """What it announces."""
        return index_hmac(self.index(), KEY)

    def announce(self, neighbours: Neighbours) -> None:
        """Let it be heard."""
        neighbours.heard(Announcement(self.uuid, "peer", self.hmac), self.address)

    def neighbour(self) -> Neighbour:
        """It, as it is known after its announcement."""
        return Neighbour(self.uuid, "peer", self.hmac, ((self.address, 0.0),), 0.0, 0.0)

    def answer(self, request: Any) -> Any:
        """The body of an answer, after what belongs into its head; not of who speaks no HTTP."""
        raise AssertionError(f"{type(self).__name__} was asked by HTTP.")

    # Parts of answers

    def not_found(self, request: Any) -> bytes:
        """404, in HTML."""
        request.setResponseCode(404)
        request.setHeader("Content-Type", "text/html;charset=utf-8")
        return NOT_FOUND

    def whole_or_part(self, request: Any, data: bytes) -> bytes:
        """A file, or the end of one, with the date as what it is known by."""
        modified = datetimeToString(MODIFIED)
        request.setHeader(b"Last-Modified", modified)
        asked = re.fullmatch(rb"bytes=(\d+)-", request.getHeader(b"Range") or b"")
        state = request.getHeader(b"If-Range")
        if asked and state in (None, modified):
            first = int(asked[1])
            request.setResponseCode(206)
            request.setHeader("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
            return data[first:]
        return data


class _Answers(Resource):
    """All of a site."""

    isLeaf = True

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer

    def render_GET(self, request: Any) -> Any:
        """Whatever is asked for."""
        asked = request.args.get(b"g", [b""])[0]
        self._peer.asked.append(asked)
        if request.isSecure():
            self._peer.asked_by_tls.append(asked)
        return self._peer.answer(request)


class Original(Peer):
    """
    The original, in Python: lists dotfiles and its own, and gives every file a
    C{Content-Disposition}.
    """

    def index(self) -> bytes:
        """See L{Peer.index}."""
        own = b"forban/index,112\nforban/neighbours,7\n.bashrc,20\na/.hidden,5\n"
        return own + super().index()

    def answer(self, request: Any) -> Any:
        """See L{Peer.answer}."""
        name = request.args.get(b"g", [b""])[0]
        if b"f" in request.args:
            # Python's decoder skips what is not of its alphabet.
            try:
                name = base64.urlsafe_b64decode(name.replace(b"!", b"="))
            except binascii.Error:
                return self.not_found(request)
        elif name == b"forban/index":
            request.setHeader("Content-Type", "text/plain;charset=utf-8")
            return self.index()
        # So it keeps to its folder.
        data = self.files.get(name.replace(b"..", b""))
        if data is None:
            return self.not_found(request)
        request.setHeader("Content-Type", "application/x-download")
        request.setHeader(b"Content-Disposition", b'attachment; filename="file"')
        return self.whole_or_part(request, data)


class Goforban(Peer):
    """
    goforban: its index has a slash in front, its decoder knows the standard
    alphabet only, and what it cannot decode is the top of its folder.
    """

    def answer(self, request: Any) -> Any:
        """See L{Peer.answer}."""
        name = request.args.get(b"g", [b""])[0]
        if b"f" in request.args:
            try:
                name = base64.b64decode(name.replace(b"!", b"="), validate=True)
            except binascii.Error:
                return self.listing(request)
        elif name == b"/forban/index":
            request.setHeader("Content-Type", "text/plain; charset=utf-8")
            return self.index()
        data = self.files.get(name)
        if data is None:
            return self.not_found(request)
        request.setHeader(
            "Content-Type", "text/html" if name.endswith(b".html") else "text/plain"
        )
        return self.whole_or_part(request, data)

    def listing(self, request: Any) -> Any:
        """200, in HTML, without a length."""
        request.setHeader("Content-Type", "text/html; charset=utf-8")
        body = b"<pre>\n" + b"".join(b"<a>%s</a>\n" % path for path in self.files) + b"</pre>\n"
        request.write(body)
        request.finish()
        return NOT_DONE


NOT_DONE: Any = 1
"""twisted.web's sign that the rest comes later."""


class Flocknode(Original):
    """One of ours: it has the better index, too."""

    def answer(self, request: Any) -> Any:
        """See L{Peer.answer}."""
        if request.args.get(b"g") == [b"forban/index.jsonl"]:
            request.setHeader("Content-Type", "application/x-ndjson")
            return self.better_index()
        return super().answer(request)

    def index(self) -> bytes:
        """See L{Peer.index}."""
        return Peer.index(self)

    def better_index(self, key: bytes = KEY) -> bytes:
        """The one with hashes."""
        files = [
            RemoteFile(Path(path), len(data), small_hash(data), MODIFIED * 10**9)
            for path, data in self.files.items()
        ]
        return b"".join(jsonl.encode(jsonl.Header(self.uuid, self.tls), files, key))


Script = Callable[["Talk", bytes], None]
"""What a hostile server does about a request line."""


class Talk(LineReceiver):
    """A connection to a L{Hostile} peer."""

    def __init__(self, peer: Hostile) -> None:
        self._peer = peer
        self._line = b""

    def connectionMade(self) -> None:
        """Count it."""
        self._peer.connections += 1

    def lineReceived(self, line: bytes) -> None:
        """A line of a request; after the empty one it is answered."""
        if not self._line:
            self._line = line
        elif not line:
            request, self._line = self._line, b""
            self._peer.asked.append(request)
            self._peer.script(self, request)

    def connectionLost(self, reason: Any = None) -> None:
        """No more of it."""
        self._peer.connections -= 1
        if not self._peer.connections:
            for waiting in self._peer.alone:
                waiting.callback(None)
            self._peer.alone.clear()

    # What scripts do

    def head(self, length: int | None, code: bytes = b"200 OK", more: bytes = b"") -> None:
        """A head with these headers."""
        said = b"" if length is None else b"Content-Length: %d\r\n" % length
        self.say(b"HTTP/1.1 " + code + b"\r\nContent-Type: text/plain\r\n" + said + more + b"\r\n")

    def say(self, data: bytes) -> None:
        """Write this."""
        transport: Any = self.transport
        transport.write(data)

    def close(self) -> None:
        """No more of it."""
        transport: Any = self.transport
        transport.loseConnection()

    def flood(self, data: bytes, times: int = 1 << 40) -> None:
        """Say this again and again, as fast as it is read."""
        transport: Any = self.transport
        transport.registerProducer(_Flood(transport, data, times), False)


class _Flood:
    """A pull producer."""

    def __init__(self, transport: Any, data: bytes, times: int) -> None:
        self._transport = transport
        self._data = data
        self._times = times

    def resumeProducing(self) -> None:
        """Some more."""
        self._times -= 1
        if self._times < 0:
            self._transport.unregisterProducer()
            self._transport.loseConnection()
        else:
            self._transport.write(self._data)

    def stopProducing(self) -> None:
        """The reader is gone."""


class Hostile(Peer):
    """Answers as its script says."""

    def __init__(self, script: Script, number: int = 66, hmac: str = "f" * 40) -> None:
        super().__init__({}, number)
        self.script = script
        self.alone: list[Deferred[None]] = []
        self._hmac = hmac

    @property
    def hmac(self) -> str:
        """See L{Peer.hmac}."""
        return self._hmac

    def factory(self) -> Any:
        """See L{Peer.factory}."""
        peer = self

        class _Factory(Factory):
            noisy = False

            def buildProtocol(self, _address: object) -> Protocol:
                return Talk(peer)

        return _Factory()

    def when_alone(self) -> Deferred[None]:
        """Called when nobody is connected."""
        waiting: Deferred[None] = Deferred()
        if self.connections:
            self.alone.append(waiting)
        else:
            waiting.callback(None)
        return waiting


def text(index: bytes, then: Script | None = None) -> Script:
    """A script that gives this index, and files as C{then} says."""

    def script(talk: Talk, request: bytes) -> None:
        if b"g=forban/index.jsonl" in request:
            talk.head(0, b"404 Not Found")
        elif b"forban/index" in request:
            talk.head(len(index))
            talk.say(index)
        elif then is not None:
            then(talk, request)
        else:
            talk.head(0, b"404 Not Found")

    return script
