# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What L{benchmarks.fanout} compares with, on the same lines: content that one node
sends to each other one itself, by bare pyzmq with CURVE or by bare TCP, and by
nothing else.

C{send MESSAGES} and C{receive MESSAGES} are run in the namespaces of nodes, each
as a process of its own.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import attrs
import zmq
from nacl.public import PrivateKey

from benchmarks.switch import PORT, Switch
from flocknode import z85

MESSAGE = 65_536
"""Bytes of content in one message."""


@attrs.frozen
class Pair:
    """A key pair, Z85."""

    public: str
    secret: str

    @classmethod
    def new(cls) -> Pair:
        """A fresh one."""
        secret = PrivateKey.generate()
        return cls(z85.encode(bytes(secret.public_key)), z85.encode(bytes(secret)))


def broadcast(switch: Switch, size: int, receivers: int, plain: bool = False) -> float:
    """
    Node 0 sends to the nodes 1 to C{receivers}.

    @param size: bytes of content.
    @param plain: over TCP instead of CURVE.
    @return: seconds until the last of them has all.
    """
    messages = -(-size // MESSAGE)
    pair = Pair.new()
    how = ["plain"] if plain else [pair.public, pair.secret]
    nodes = range(1, receivers + 1)
    listening = []
    for node in nodes:
        receiver = _run(switch, node, "receive", [messages, switch.address(node), *how])
        listening.append(receiver)
        _said(receiver)
    sender = _run(switch, 0, "send", [messages, *map(switch.address, nodes), *how])
    began = _said(sender)
    ended = max(_said(receiver) for receiver in listening)
    for process in (sender, *listening):
        process.wait()
    return ended - began


def _run(
    switch: Switch, node: int, what: str, words: Sequence[object]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["ip", "netns", "exec", switch.namespace(node), sys.executable, "-m", __name__, what,
         *map(str, words)],
        stdout=subprocess.PIPE,
    )  # fmt: skip


def _said(process: subprocess.Popen[bytes]) -> float:
    """The next time that a process says, monotonic seconds of the machine."""
    assert process.stdout is not None
    return float(process.stdout.readline())


def _say() -> None:
    print(time.monotonic(), flush=True)


def _plain_receive(messages: int, address: str) -> None:
    with socket.create_server((address, PORT)) as server:
        _say()
        connection, _peer = server.accept()
        left = messages * MESSAGE
        while left:
            left -= len(connection.recv(min(left, MESSAGE)))
        _say()


def _plain_send(messages: int, addresses: Sequence[str]) -> None:
    connections = [socket.create_connection((address, PORT)) for address in addresses]
    content = bytes(MESSAGE)
    _say()
    for _ in range(messages):
        for connection in connections:
            connection.sendall(content)


def _receive(messages: int, address: str, pair: Pair) -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as server:
        server.curve_server = True
        server.curve_publickey, server.curve_secretkey = pair.public.encode(), pair.secret.encode()
        server.bind(f"tcp://{address}:{PORT}")
        _say()
        for _ in range(messages):
            server.recv()
        _say()


def _send(messages: int, addresses: Sequence[str], pair: Pair) -> None:
    with zmq.Context() as context:
        clients = []
        for address in addresses:
            client = context.socket(zmq.PUSH)
            client.sndhwm = 8
            client.curve_serverkey = client.curve_publickey = pair.public.encode()
            client.curve_secretkey = pair.secret.encode()
            client.connect(f"tcp://{address}:{PORT}")
            clients.append(client)
        content = bytes(MESSAGE)
        _say()
        for _ in range(messages):
            for client in clients:
                client.send(content)
        for client in clients:
            client.close(linger=-1)


def main() -> None:
    """Be one end."""
    what, count, *words = sys.argv[1:]
    messages = int(count)
    if words[-1] == "plain":
        addresses = words[:-1]
        if what == "send":
            _plain_send(messages, addresses)
        else:
            _plain_receive(messages, *addresses)
    else:
        *addresses, public, secret = words
        if what == "send":
            _send(messages, addresses, Pair(public, secret))
        else:
            _receive(messages, addresses[0], Pair(public, secret))


if __name__ == "__main__":
    main()
