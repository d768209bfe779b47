# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A member with an allowed key who says what no node would: heartbeats, frames and
records out of chance, some of them with a correct beginning.
"""

from __future__ import annotations

import json
import random
from typing import Any

import zmq

from flocknode.exchange.records import LENGTH, LONGEST
from flocknode.flock.heartbeat import (
    HEAD,
    HEARTBEAT_SIZE,
    MAGIC,
    TRAILER_OFFSET,
    VERSION,
    parse_heartbeat,
)
from flocknode.flock.interfaces import MemberId
from flocknode.flock.messages import FRAME_CODE, FRAME_HEADER, FRAME_SIZES, frame_topic
from flocknode.keys import member_id
from tests.integration.cluster import Cluster


class Hostile:
    """
    In the place of one node of a cluster.
    """

    def __init__(self, context: zmq.Context[Any], cluster: Cluster, node: int, seed: int) -> None:
        keystore = json.loads((cluster.folder(node) / "keystore").read_text())
        endpoint = cluster.endpoints[node]
        pair = json.loads((cluster.folder(node) / "privatekeys").read_text())[endpoint]
        self._random = random.Random(seed)
        self._victims = [
            MemberId(member_id(key)) for address, key in keystore.items() if address != endpoint
        ]
        self._socket = context.socket(zmq.XPUB)
        self._socket.curve_server = True
        self._ear = context.socket(zmq.SUB)
        for socket in (self._socket, self._ear):
            socket.curve_publickey = pair["public_key"].encode()
            socket.curve_secretkey = pair["private_key"].encode()
        self._socket.bind(endpoint)
        self._heartbeat = b""
        self._epoch, self._sequence = self._random.getrandbits(32), 0
        self.listeners = 0
        # It hears the others, to imitate them.
        self._ear.subscribe(b"1")
        first = cluster.endpoints[0 if node else 1]
        self._ear.curve_serverkey = keystore[first].encode()
        self._ear.connect(first)

    def speak(self) -> None:
        """Some of everything."""
        while self._socket.poll(0):
            self.listeners += self._socket.recv()[:1] == b"\x01"
        while self._ear.poll(0):
            heard = self._ear.recv()
            if parse_heartbeat(heard).trailer is not None:
                self._heartbeat = heard
        chance = self._random
        messages = [
            chance.choice((b"1", b"4")) + chance.randbytes(chance.randrange(400)),
            (b"100 " + chance.randbytes(HEARTBEAT_SIZE))[:HEARTBEAT_SIZE],
            self._almost_a_heartbeat(),
        ]
        if self._heartbeat:
            # As the others, so that it is taken for alive.
            messages.append(self._heartbeat)
        for victim in self._victims:
            topic = frame_topic(victim)
            messages.append(topic + chance.randbytes(chance.randrange(5_000)))
            messages += [self._frame(topic, records) for records in self._records()]
        for message in messages:
            self._socket.send(message)

    def _almost_a_heartbeat(self) -> bytes:
        chance = self._random
        codes = (b"100", b"114", b"134", b"145", b"155", b"410")
        head = HEAD.pack(chance.choice(codes), b" ", chance.getrandbits(64), chance.randrange(256))
        body = head + chance.randbytes(TRAILER_OFFSET - len(head)) + MAGIC + bytes([VERSION])
        return (body + chance.randbytes(HEARTBEAT_SIZE))[:HEARTBEAT_SIZE]

    def _records(self) -> list[bytes]:
        chance = self._random
        known = bytes([0x91 + chance.randrange(8), chance.randrange(1, 9)])
        body = known + chance.randbytes(chance.randrange(200))
        return [
            LENGTH.pack(len(body)) + body,
            LENGTH.pack(LONGEST),
            LENGTH.pack(LONGEST + 1) + chance.randbytes(50),
            chance.randbytes(3_000),
        ]

    def _frame(self, topic: bytes, payload: bytes) -> bytes:
        chance = self._random
        if chance.random() < 0.2:
            self._epoch = chance.getrandbits(32)
        self._sequence += chance.choice((1, 1, 1, 2))
        slot = parse_heartbeat(self._heartbeat).trailer if self._heartbeat else None
        header = FRAME_HEADER.pack(
            topic,
            FRAME_CODE,
            self._epoch,
            self._sequence,
            slot.slot if slot is not None else 0,
            len(payload),
            chance.choice((0, 0, 0xFFFFFFFF)),
        )
        return (header + payload).ljust(FRAME_SIZES[0], b"\0")
