# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.near.identity}.
"""

from __future__ import annotations

import os
import stat
import uuid
from unittest.mock import patch

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ConfigError
from flocknode.forban.near.identity import own_uuid

FIRST, SECOND = (uuid.UUID(int=number, version=4) for number in (1, 2))


class Identity(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = os.path.join(os.path.abspath(self.mktemp()), "state", "forban")
        self.path = os.path.join(self.folder, "uuid")

    def hold(self, text: bytes) -> None:
        os.makedirs(self.folder, exist_ok=True)
        with open(self.path, "wb") as file:
            file.write(text)

    def test_it_is_made_at_the_first_start_and_kept(self) -> None:
        with capturedLogs() as logged:
            first = own_uuid(self.folder)
            self.assertEqual(own_uuid(self.folder), first)
        self.assertEqual(uuid.UUID(first).version, 4)
        self.assertEqual(os.listdir(self.folder), ["uuid"])
        self.assertEqual(list(logged), [])

    def test_only_its_owner_can_read_it(self) -> None:
        own_uuid(self.folder)
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o700)

    def test_it_may_be_written_in_capitals_and_without_a_line_end(self) -> None:
        for text in (str(FIRST).upper(), f" {FIRST} \r\n"):
            self.hold(text.encode())
            self.assertEqual(own_uuid(self.folder), str(FIRST))

    def test_what_is_no_uuid_of_a_node_is_replaced_and_that_is_said(self) -> None:
        for text in (
            b"",
            b"hello",
            b"\xff" * 36,
            str(FIRST).encode()[:-1],
            str(FIRST).encode() + b"\n" + str(SECOND).encode(),
            b"{%s}" % str(FIRST).encode(),
            FIRST.hex.encode(),
            str(uuid.UUID(int=1, version=1)).encode(),
            bytes(1 << 20),
        ):
            self.hold(text)
            with capturedLogs() as logged:
                self.assertEqual(own_uuid(self.folder, lambda: SECOND), str(SECOND), text[:50])
                self.assertEqual(own_uuid(self.folder, lambda: FIRST), str(SECOND))
            self.assertEqual([event["uuid"] for event in logged], [str(SECOND)])

    def test_a_fifo_in_its_place_is_replaced(self) -> None:
        os.makedirs(self.folder)
        os.mkfifo(self.path)
        self.assertEqual(own_uuid(self.folder, lambda: FIRST), str(FIRST))
        self.assertTrue(stat.S_ISREG(os.stat(self.path).st_mode))

    def test_what_cannot_be_replaced_is_said_in_one_sentence(self) -> None:
        os.makedirs(os.path.join(self.path, "something"))
        error = self.assertRaises(ConfigError, own_uuid, self.folder)
        self.assertIn(self.path, str(error))
        self.assertEqual(os.listdir(self.folder), ["uuid"])

    def test_a_folder_that_cannot_be_made_is_said_in_one_sentence(self) -> None:
        with open(self.mktemp(), "wb") as file:
            pass
        self.assertRaises(ConfigError, own_uuid, os.path.join(file.name, "forban"))

    def test_a_full_disk_leaves_what_was_there(self) -> None:
        self.hold(b"hello")
        with patch("os.fsync", side_effect=OSError(28, "No space left on device")):
            self.assertRaises(ConfigError, own_uuid, self.folder)
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), b"hello")
        self.assertEqual(os.listdir(self.folder), ["uuid"])
