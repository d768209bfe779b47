# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Strangers at the door of a real node: who is not let in gets not one message.
"""

from __future__ import annotations

import json
import os
from typing import Any

import zmq
from twisted.trial.unittest import SynchronousTestCase
from zmq.utils.monitor import recv_monitor_message

from tests.integration.cluster import Cluster, wait_until

_REFUSED = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


class Strangers(SynchronousTestCase):
    """Subscribers to everything, while two members exchange files."""

    def setUp(self) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.addCleanup(self.context.destroy, 0)
        self.cluster = Cluster("Strangers.flock", count=2)
        self.addCleanup(self.cluster.close)

    def stranger(self) -> Any:
        """A socket that is about to connect to node 1."""
        socket = self.context.socket(zmq.SUB)
        socket.reconnect_ivl = 20
        socket.subscribe(b"")
        return socket

    def test_who_is_not_let_in_gets_not_one_message(self) -> None:
        cluster, endpoint = self.cluster, self.cluster.endpoints[0]
        keystore = json.loads((cluster.folder(0) / "keystore").read_text())
        key = keystore[endpoint].encode()
        plain, unknown, mistaken = (self.stranger() for _ in range(3))
        unknown.curve_publickey, unknown.curve_secretkey = zmq.curve_keypair()
        unknown.curve_serverkey = key
        member = json.loads((cluster.folder(1) / "privatekeys").read_text())
        pair = member[cluster.endpoints[1]]
        mistaken.curve_publickey = pair["public_key"].encode()
        mistaken.curve_secretkey = pair["private_key"].encode()
        mistaken.curve_serverkey = zmq.curve_keypair()[0]
        refused = {}
        for socket in (plain, unknown, mistaken):
            monitor = socket.get_monitor_socket()
            refused[monitor] = 0
            socket.connect(endpoint)
        cluster.start()
        cluster.together()
        (cluster.box(0) / "secret").write_bytes(os.urandom(300_000))
        cluster.wait_same(0)

        def often() -> bool:
            for monitor in refused:
                while monitor.poll(0):
                    refused[monitor] += bool(recv_monitor_message(monitor)["event"] & _REFUSED)
            # One that is refused for its key does not try again by itself.
            return min(refused.values()) >= 1

        wait_until(often, "all strangers are refused")
        self.assertEqual([socket.poll(0) for socket in (plain, unknown, mistaken)], [0, 0, 0])
        status = cluster.status(0)
        assert status is not None
        self.assertEqual(status["crowd"], 2)
