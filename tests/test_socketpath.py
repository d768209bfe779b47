# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.socketpath}.
"""

from __future__ import annotations

import os
import socket
import stat

from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ConfigError
from flocknode.socketpath import LONGEST, ShortWays


class Ways(SynchronousTestCase):
    """Sockets that lie too deep."""

    def setUp(self) -> None:
        self.state = os.path.abspath(self.mktemp())
        self.deep = os.path.join(self.state, "d" * 90, "e" * 90)
        os.makedirs(self.deep)
        self.note = os.path.join(self.state, "way")
        self.socket = os.path.join(self.deep, "socket")

    def ways(self, note: str | None = None) -> ShortWays:
        """Ways that are removed when the test ends."""
        ways = ShortWays(note)
        self.addCleanup(ways.close)
        return ways

    def test_a_path_that_fits_stays_as_it_is(self) -> None:
        path = "/" + "x" * (LONGEST - 1)
        self.assertEqual(self.ways().path(path), path)
        self.assertEqual(self.ways().endpoint("ipc://" + path), "ipc://" + path)

    def test_what_is_no_path_stays_as_it_is(self) -> None:
        endpoint = "tcp://" + "x" * 120 + ":5671"
        self.assertEqual(self.ways().endpoint(endpoint), endpoint)

    def test_two_processes_meet_at_a_deep_socket(self) -> None:
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(self.ways().path(self.socket))
            server.listen()
            client.connect(self.ways().endpoint("ipc://" + self.socket).removeprefix("ipc://"))
        self.assertTrue(stat.S_ISSOCK(os.stat(self.socket).st_mode))

    def test_nobody_else_can_go_the_short_way(self) -> None:
        folder = os.path.dirname(os.path.dirname(self.ways().path(self.socket)))
        self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700)

    def test_the_runtime_folder_is_used_if_there_is_one(self) -> None:
        runtime = "/tmp" if os.access("/tmp", os.W_OK) else self.state
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": runtime})
        self.assertEqual(os.path.commonpath([self.ways().path(self.socket), runtime]), runtime)

    def test_sockets_of_one_folder_share_a_link(self) -> None:
        ways = self.ways()
        first, second = (ways.path(os.path.join(self.deep, name)) for name in "ab")
        self.assertEqual(os.path.dirname(first), os.path.dirname(second))

    def test_nothing_is_left_when_it_is_closed(self) -> None:
        ways = self.ways(self.note)
        folder = os.path.dirname(os.path.dirname(ways.path(self.socket)))
        ways.close()
        self.assertFalse(os.path.exists(folder))
        self.assertEqual(os.listdir(self.state), ["d" * 90])
        self.assertTrue(os.path.isdir(self.deep))

    def test_what_a_killed_process_left_is_removed_by_its_successor(self) -> None:
        killed = ShortWays(self.note)
        folder = os.path.dirname(os.path.dirname(killed.path(self.socket)))
        self.ways(self.note).path(self.socket)
        self.assertFalse(os.path.exists(folder))
        self.assertTrue(os.path.isdir(self.deep))

    def test_a_note_that_names_something_else_does_no_harm(self) -> None:
        with open(self.note, "w") as note:
            note.write(self.deep)
        with open(os.path.join(self.deep, "precious"), "w"):
            pass
        self.ways(self.note).path(self.socket)
        self.assertEqual(os.listdir(self.deep), ["precious"])

    def test_a_name_that_is_too_long_by_itself_is_refused(self) -> None:
        path = os.path.join(self.deep, "s" * LONGEST)
        self.assertRaises(ConfigError, self.ways().path, path)
