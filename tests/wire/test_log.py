# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.wire.log}.
"""

from __future__ import annotations

import os
from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocknode.wire.log import LINE_LIMIT, LineForwarder, LineObserver


class LogTests(SynchronousTestCase):
    """From one process's log to the other's."""

    def setUp(self) -> None:
        self.reading, writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        self.addCleanup(os.close, writing)
        self.log = Logger("flock.wire", observer=LineObserver(writing))
        self.events: list[LogEvent] = []
        collector = cast(ILogObserver, self.events.append)
        self.forwarder = LineForwarder(Logger("node", observer=collector))

    def _pass_on(self) -> list[tuple[Any, Any]]:
        self.forwarder.feed(os.read(self.reading, 65_536))
        return [(event["log_level"], event["line"]) for event in self.events]

    def test_a_line_keeps_its_level_and_its_namespace(self) -> None:
        self.log.warn("a peer is {what}", what="slow")
        self.assertEqual(self._pass_on(), [(LogLevel.warn, "flock.wire a peer is slow")])

    def test_debug_lines_stay_where_they_are(self) -> None:
        self.log.debug("detail")
        self.log.info("news")
        self.assertEqual(self._pass_on(), [(LogLevel.info, "flock.wire news")])

    def test_twisteds_own_lines_stay_where_they_are(self) -> None:
        log = Logger("twisted.internet.base", observer=self.log.observer)
        log.info("Main loop terminated.")
        log.warn("but this is news")
        self.assertEqual(
            self._pass_on(), [(LogLevel.warn, "twisted.internet.base but this is news")]
        )

    def test_each_line_of_a_traceback_is_forwarded(self) -> None:
        self.log.failure("it broke", Failure(ZeroDivisionError("by nothing")))
        lines = self._pass_on()
        self.assertEqual({level for level, _ in lines}, {LogLevel.critical})
        self.assertIn("it broke", lines[0][1])
        self.assertIn("by nothing", lines[-1][1])

    def test_a_line_may_come_in_pieces(self) -> None:
        for piece in (b"in", b"fo - one\nerror - ", b"two\n"):
            self.forwarder.feed(piece)
        self.assertEqual(
            [(event["log_level"], event["line"]) for event in self.events],
            [(LogLevel.info, "- one"), (LogLevel.error, "- two")],
        )

    def test_what_did_not_come_from_a_log_is_a_warning(self) -> None:
        self.forwarder.feed(b"Assertion failed: check () (src/msg.cpp:417)")
        self.forwarder.end()
        (event,) = self.events
        self.assertEqual(event["log_level"], LogLevel.warn)
        self.assertIn("Assertion failed", event["line"])

    def test_braces_in_a_line_are_nothing_special(self) -> None:
        self.forwarder.feed(b"info - {not_a_field!r}\n")
        self.assertEqual(self.events[0]["line"], "- {not_a_field!r}")

    def test_a_line_without_end_does_not_grow(self) -> None:
        for _ in range(10):
            self.forwarder.feed(b"x" * LINE_LIMIT)
        self.forwarder.end()
        self.assertEqual(len(self.events[0]["line"]), LINE_LIMIT)

    def test_a_reader_who_does_not_read_delays_nobody(self) -> None:
        for _ in range(100):
            self.log.info("{text}", text="x" * 4_000)
        self.assertTrue(self._pass_on())
