# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.addresses}.
"""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode import addresses

PIECES = st.sampled_from(
    [
        *("tcp://", "ipc://", "udp://", "127.0.0.1", "[::1]", "[", "]", ":", "5671", "0", "*"),
        *("example.org", "~", "~nobody-of-that-name/", "/", "..", "a", "\x00", "é", "\udc80"),
    ]
)


class Normal(SynchronousTestCase):
    """What people write, in one form."""

    def test_forms(self) -> None:
        for text, form in [
            ("tcp://192.0.2.10:5671", "tcp://192.0.2.10:5671"),
            ("192.0.2.10:5671", "tcp://192.0.2.10:5671"),
            ("tcp://Node.Example.ORG:05671", "tcp://node.example.org:5671"),
            ("tcp://[2001:DB8:0:0::1]:1", "tcp://[2001:db8::1]:1"),
            ("tcp://*:5671", "tcp://0.0.0.0:5671"),
            ("tcp://eth0:5671", "tcp://eth0:5671"),
            ("ipc:///tmp/node1.ipc", "ipc:///tmp/node1.ipc"),
            ("ipc://run/node1.ipc", "ipc:///etc/flock/run/node1.ipc"),
            ("ipc://../run//x", "ipc:///etc/run/x"),
            ("ipc://~/x", "ipc://" + os.path.expanduser("~/x")),
        ]:
            self.assertEqual(addresses.normal(text, "/etc/flock"), form)

    def test_refused(self) -> None:
        for text in [
            "",
            "tcp://",
            "tcp://192.0.2.10",
            "tcp://192.0.2.10:",
            "tcp://192.0.2.10:0",
            "tcp://192.0.2.10:65536",
            "tcp://192.0.2.10:\u0665",
            "tcp://192.0.2.300:5671",
            "tcp://::1:5671",
            "tcp://[::g]:5671",
            "tcp://a b:5671",
            "tcp://-a:5671",
            "tcp://:5671",
            "udp://192.0.2.10:5671",
            "inproc://x",
            "ipc://",
            "ipc://a\nb",
            "ipc://~nobody-of-that-name/x",
        ]:
            self.assertRaises(ValueError, addresses.normal, text, "/")

    @given(st.lists(PIECES, max_size=6).map("".join))
    def test_the_normal_form_of_a_normal_form_is_itself(self, text: str) -> None:
        try:
            form = addresses.normal(text, "/etc")
        except ValueError as error:
            self.assertIn("expected", str(error))
        else:
            self.assertEqual(addresses.normal(form, "/elsewhere"), form)


class Local(SynchronousTestCase):
    """Which endpoints only this machine can reach."""

    def test_ipc_and_loopback_addresses_are_local(self) -> None:
        for endpoint in ["ipc:///x", "tcp://127.0.0.1:1", "tcp://127.9.9.9:1", "tcp://[::1]:1"]:
            self.assertTrue(addresses.is_local(endpoint), endpoint)

    def test_nothing_else_is_local(self) -> None:
        for endpoint in [
            "tcp://192.0.2.1:1",
            "tcp://0.0.0.0:1",
            "tcp://[::]:1",
            "tcp://localhost:1",
            "tcp://127.0.0.1.example.org:1",
            "tcp://eth0:1",
        ]:
            self.assertFalse(addresses.is_local(endpoint), endpoint)


class Listen(SynchronousTestCase):
    """What ZeroMQ can listen on."""

    def test_addresses_and_interfaces_are_accepted(self) -> None:
        for endpoint in ["ipc:///x", "tcp://192.0.2.1:1", "tcp://[::1]:1", "tcp://eth0:1"]:
            addresses.check_listen(endpoint)

    def test_host_names_are_refused(self) -> None:
        for endpoint in ["tcp://localhost:1", "tcp://node.example.org:1"]:
            self.assertRaises(ValueError, addresses.check_listen, endpoint)
