# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What this machine can do at all: a full mesh of processes that exchange frames
over pyzmq with CURVE, as fast as they can, and do nothing else.
"""

from __future__ import annotations

import os
import socket
import sys
import time

import attrs
import zmq
from nacl.public import PrivateKey

from flocknode import z85

WARM_UP = 1.0
"""Seconds until everybody is connected."""

_contexts: list[zmq.Context[zmq.Socket[bytes]]] = []
# Never terminated: libzmq may wait for ever there, and the process ends anyway.


@attrs.frozen
class Identity:
    """A key pair and an address."""

    public: str
    secret: str
    endpoint: str

    @classmethod
    def new(cls) -> Identity:
        """A fresh one, at a free port of this machine."""
        secret = PrivateKey.generate()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        return cls(z85.encode(bytes(secret.public_key)), z85.encode(bytes(secret)), endpoint)


def bare_mesh(nodes: int, size: int, seconds: float) -> float:
    """
    @param size: bytes of a message.
    @return: MB/s that a link delivered, the mean of all.
    """
    mesh = [Identity.new() for _ in range(nodes)]
    answers = []
    for me in range(nodes):
        answer, answers_to = os.pipe()
        if os.fork() == 0:
            os.write(answers_to, str(_run(mesh, me, size, seconds)).encode())
            os._exit(0)
        os.close(answers_to)
        answers.append(answer)
    total = 0.0
    for answer in answers:
        with open(answer, "rb") as pipe:
            total += float(pipe.read())
        os.wait()
    return total / nodes / (nodes - 1)


def _run(mesh: list[Identity], me: int, size: int, seconds: float) -> float:
    context = zmq.Context()
    _contexts.append(context)
    own = mesh[me]
    publisher = context.socket(zmq.XPUB)
    publisher.sndhwm = 100
    publisher.setsockopt(zmq.XPUB_NODROP, 1)
    publisher.curve_server = True
    _identify(publisher, own)
    publisher.bind(own.endpoint)
    poller = zmq.Poller()
    poller.register(publisher, zmq.POLLIN)
    frames = []
    for number, peer in enumerate(mesh):
        if peer is own:
            continue
        subscriber = context.socket(zmq.SUB)
        subscriber.curve_serverkey = peer.public.encode()
        _identify(subscriber, own)
        subscriber.setsockopt(zmq.SUBSCRIBE, bytes([me]))
        subscriber.connect(peer.endpoint)
        poller.register(subscriber, zmq.POLLIN)
        frames.append(bytes([number]) + bytes(size - 1))
    received = before = 0
    began = 0.0
    start = time.monotonic() + WARM_UP
    while not began or time.monotonic() < began + seconds:
        if not began and time.monotonic() > start:
            began, before = time.monotonic(), received
        for frame in frames:
            _send(publisher, frame)
        for ready, _event in poller.poll(1):
            received += _receive(ready)
    return (received - before) / (time.monotonic() - began) / 1e6


def _identify(socket: zmq.Socket[bytes], own: Identity) -> None:
    socket.curve_publickey = own.public.encode()
    socket.curve_secretkey = own.secret.encode()


def _send(publisher: zmq.Socket[bytes], frame: bytes) -> None:
    try:
        for _ in range(8):
            publisher.send(frame, zmq.NOBLOCK)
    except zmq.Again:
        return


def _receive(subscriber: zmq.Socket[bytes]) -> int:
    received = 0
    try:
        for _ in range(64):
            received += len(subscriber.recv(zmq.NOBLOCK))
    except zmq.Again:
        pass
    return received


def main() -> None:
    """Print a line for each size of frame."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"{nodes} nodes\nbytes  MB/s a link")
    for size in (4_117, 16_405, 65_557):
        print(f"{size:5} {bare_mesh(nodes, size, 3.0):12.1f}")


if __name__ == "__main__":
    main()
