# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.simulation.traces}.
"""

from __future__ import annotations

import io

from twisted.trial.unittest import SynchronousTestCase

from flocknode.simulation.traces import HEADER, Message, TraceError, TraceWriter, read_trace


class Traces(SynchronousTestCase):
    """Written and read."""

    def test_what_is_written_is_read(self) -> None:
        file = io.StringIO()
        writer = TraceWriter(file, "a remark")
        writer.message(1.25, 3, 1, 256)
        writer.message(1.250000001, 1, 3, 4117)
        file.seek(0)
        self.assertEqual(
            list(read_trace(file)),
            [Message(1.25, "3", "1", 256), Message(1.250000001, "1", "3", 4117)],
        )

    def test_the_format_is_what_the_documentation_says(self) -> None:
        file = io.StringIO()
        TraceWriter(file, "2 nodes").message(8.0001234561, 3, 1, 256)
        self.assertEqual(
            file.getvalue(),
            "# flocknode-trace 1\n# 2 nodes\n# time\tfrom\tto\tsize\n8.000123456\t3\t1\t256\n",
        )

    def test_another_file_is_refused(self) -> None:
        with self.assertRaisesRegex(TraceError, "f is no trace"):
            list(read_trace(io.StringIO("{}\n"), "f"))

    def test_a_line_that_is_none_is_named(self) -> None:
        for line in ("1\t2\t3", "x\t1\t2\t256", "1\t1\t2\tx", ""):
            with self.assertRaisesRegex(TraceError, "line 2: expected"):
                list(read_trace(io.StringIO(f"{HEADER}\n{line}\n")))
