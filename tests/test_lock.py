# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.lock}.
"""

from __future__ import annotations

import os
import stat

from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ConfigError
from flocknode.lock import StateLock


class Lock(SynchronousTestCase):
    """One node at a time for a state folder."""

    def setUp(self) -> None:
        self.folder = os.path.join(os.path.abspath(self.mktemp()), "deep", "state")

    def taken(self) -> StateLock:
        """A lock that is held until the test ends."""
        lock = StateLock(self.folder)
        lock.acquire()
        self.addCleanup(lock.release)
        return lock

    def test_the_folder_is_made_for_its_owner_alone(self) -> None:
        self.taken()
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o700)

    def test_a_second_node_is_refused_in_one_sentence(self) -> None:
        self.taken()
        error = self.assertRaises(ConfigError, StateLock(self.folder).acquire)
        self.assertIn(self.folder, str(error))
        self.assertIn("another node is using it", str(error))

    def test_it_may_be_taken_again_by_who_has_it(self) -> None:
        self.taken().acquire()

    def test_the_next_node_gets_it_when_it_is_released(self) -> None:
        lock = self.taken()
        lock.release()
        lock.release()
        self.taken()

    def test_a_forked_process_holds_it_on(self) -> None:
        lock = self.taken()
        reading, writing = os.pipe()
        child = os.fork()
        if not child:  # a daemon, until it is told to end
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        os.close(reading)
        lock.release()
        self.assertRaises(ConfigError, StateLock(self.folder).acquire)
        os.close(writing)
        os.waitpid(child, 0)
        self.taken()

    def test_a_folder_that_cannot_be_made(self) -> None:
        os.makedirs(os.path.dirname(self.folder))
        with open(self.folder, "w"):
            pass
        error = self.assertRaises(ConfigError, StateLock(self.folder).acquire)
        self.assertIn(self.folder, str(error))
