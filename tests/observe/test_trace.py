# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Traces of simulated flocks, and labels.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.observe import labels, trace
from flocknode.observe.labels import Cut, Label, assign
from flocknode.observe.packets import Endpoint, ObserveError, Segment
from flocknode.observe.rounds import Round

EXPECTED = [
    Segment(0.5, Endpoint("a", 0), Endpoint("*", 0), 256),
    Segment(1.25, Endpoint("a", 0), Endpoint("b", 0), 4117),
]


class Traces(SynchronousTestCase):
    """Either form."""

    def test_json_lines_are_read(self) -> None:
        lines = [
            '{"format": "flocknode-trace", "version": 1}\n',
            '{"time": 0.5, "from": "a", "to": null, "size": 256}\n',
            '{"time": 1.25, "from": "a", "to": "b", "size": 4117, "more": []}\n',
        ]
        self.assertEqual(list(trace.read(lines)), EXPECTED)

    def test_lines_with_tabs_are_read(self) -> None:
        lines = ["# flocknode trace 1", "time\tfrom\tto\tsize", "0.5\ta\t\t256", "1.25\ta\tb\t4117"]
        self.assertEqual(list(trace.read(lines[1:])), EXPECTED)
        self.assertEqual(list(trace.read(["# version 1", *lines[2:]])), EXPECTED)
        self.assertEqual(list(trace.read(lines)), EXPECTED)

    def test_a_line_that_cannot_be_read_is_named(self) -> None:
        for line in ("0.5\ta", "nan\ta\tb\t1", "1\ta\tb\t-1", "1\t\tb\t1", "{}", "[" * 2000):
            error = self.assertRaises(ObserveError, list, trace.read(["1\ta\tb\t1", line]))
            self.assertIn("Line 2", str(error))
        error = self.assertRaises(ObserveError, list, trace.read(["no trace"] * 9))
        self.assertIn("Line 4", str(error))

    @settings(deadline=None, database=None)
    @given(st.lists(st.text(alphabet='{}[]":,.0123456789\tabeimorstz#-\n', max_size=60)))
    def test_any_text_is_read_or_refused(self, lines: list[str]) -> None:
        for read in (trace.read, labels.read):
            try:
                found = list(read(lines))
            except ObserveError:
                continue
            self.assertLessEqual(len(found), len(lines))


class Labels(SynchronousTestCase):
    """Who had news."""

    def test_labels_are_read_in_the_order_of_time(self) -> None:
        lines = ["time\tsource\tkind", "5\tb", "1.5\ta\tdelete"]
        self.assertEqual(labels.read(lines), [Label(1.5, "a", "delete"), Label(5.0, "b")])

    def test_who_was_cut_off_is_read_as_it_is_written(self) -> None:
        known = [Label(1.5, "a", "delete"), Label(5.0, "b", "", Cut("a", 6.25, 7.5))]
        self.assertEqual(labels.read(map(str, known)), known)

    def test_a_line_that_is_no_label_is_named(self) -> None:
        for line in ("2", "2\ta\tx\tb\t1\tlate", "2\ta\tx\tb\t9\t1", "2\ta\tx\t\t1\t2"):
            error = self.assertRaises(ObserveError, labels.read, ["1\ta", line])
            self.assertIn("Line 2", str(error))

    def test_each_label_has_the_first_round_after_it(self) -> None:
        rounds = [Round(at, at + 1, (at,), (at + 1,)) for at in (1.0, 3.0, 5.0, 100.0)]
        known = [Label(2.0, "a"), Label(4.5, "b"), Label(6.0, "c"), Label(99.0, "d")]
        found = [(each.start, label.source) for each, label in assign(known, rounds)]
        self.assertEqual(found, [(3.0, "a"), (5.0, "b"), (100.0, "d")])
