# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Who is let in.  ZeroMQ CURVE authenticates both ends of every connection by
their keys; the ZAP handler (ZeroMQ RFC 27) admits the configured peers' keys
and nobody else.

A CURVE server B{without} a ZAP handler admits anyone, so the servers' domain is
enforced: should the handler ever be missing, everybody is refused.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
import zmq
from txzmq import ZmqEndpoint, ZmqEndpointType, ZmqFactory

from flocknode import z85
from flocknode.wire.connection import FairConnection

DOMAIN: Final = b"flock"
HANDLER: Final = "inproc://zeromq.zap.01"
"""Where ZeroMQ RFC 27 expects the handler."""


@attrs.frozen
class Keys:
    """
    This node's CURVE key pair, Z85.
    """

    public: str
    secret: str = attrs.field(repr=False)

    def serve(self, socket: Any) -> None:
        """Let a socket that binds admit allowed clients only."""
        socket.zap_domain = DOMAIN
        socket.zap_enforce_domain = True
        socket.curve_server = True
        self._own(socket)

    def trust(self, socket: Any, server: str) -> None:
        """Let a socket that connects speak to the holder of one key only."""
        self._own(socket)
        socket.curve_serverkey = server.encode("ascii")

    def _own(self, socket: Any) -> None:
        socket.curve_publickey = self.public.encode("ascii")
        socket.curve_secretkey = self.secret.encode("ascii")


class ZapHandler(FairConnection):
    """
    Answers libzmq's question, at each handshake, whether to admit a key.  One
    per factory, made before any socket binds.
    """

    socketType = zmq.REP

    def __init__(self, factory: ZmqFactory, allowed: frozenset[str]) -> None:
        """
        @param allowed: Z85 public keys.
        """
        self._allowed = allowed
        super().__init__(factory, ZmqEndpoint(ZmqEndpointType.bind, HANDLER))

    def messageReceived(self, message: list[bytes]) -> None:
        """Admit, or refuse."""
        request = message[1] if len(message) > 1 else b""
        key = self._admitted(message)
        if key is None:
            self.send([b"1.0", request, b"400", b"unknown key", b"", b""])
        else:
            self.send([b"1.0", request, b"200", b"OK", key.encode("ascii"), b""])

    def _admitted(self, message: list[bytes]) -> str | None:
        # version, request id, domain, address, identity, mechanism, key
        if len(message) != 7 or len(message[6]) != 32:
            return None
        if (message[0], message[2], message[5]) != (b"1.0", DOMAIN, b"CURVE"):
            return None
        key = z85.encode(message[6])
        return key if key in self._allowed else None
