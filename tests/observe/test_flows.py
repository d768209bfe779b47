# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Nodes, heartbeats and rounds, found in segments.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocknode.observe.flows import traffic
from flocknode.observe.packets import Endpoint, ObserveError, Segment
from flocknode.observe.rounds import find_beats, find_rounds, heartbeat_size
from tests.observe.packing import FRAME, HEARTBEAT, flock, node


class Nodes(SynchronousTestCase):
    """Who is who."""

    def test_on_a_network_a_node_is_an_address(self) -> None:
        found = traffic(flock(3, []))
        self.assertEqual(found.nodes, ("10.0.0.1", "10.0.0.2", "10.0.0.3"))
        self.assertEqual(set(found.sent[1].others), {0, 2})
        self.assertEqual(len(found.sent[0].times), len(found.got[2].times))

    def test_on_loopback_a_node_is_what_listens(self) -> None:
        one, two = Endpoint("127.0.0.1", 40001), Endpoint("127.0.0.1", 40002)
        segments = [
            Segment(1.0, one, Endpoint("127.0.0.1", 50001), 298),
            Segment(2.0, one, Endpoint("127.0.0.1", 50002), 298),
            Segment(3.0, two, Endpoint("127.0.0.1", 50003), 298),
            Segment(4.0, Endpoint("127.0.0.1", 50003), two, 0),
        ]
        found = traffic(segments)
        self.assertEqual(found.nodes, ("127.0.0.1:40001", "127.0.0.1:40002"))
        self.assertEqual([list(flow.times) for flow in found.sent], [[1.0, 2.0], [3.0]])
        self.assertEqual([list(flow.times) for flow in found.got], [[], [4.0]])

    def test_without_a_node_there_is_what_the_others_send_each_other(self) -> None:
        found = traffic(flock(3, [])).without(1)
        self.assertEqual(found.nodes, ("10.0.0.1", "10.0.0.2", "10.0.0.3"))
        self.assertEqual([set(flow.others) for flow in found.sent], [{2}, set(), {0}])
        self.assertEqual([set(flow.others) for flow in found.got], [{2}, set(), {0}])
        self.assertEqual(found.sent[0].times, found.got[2].times)
        self.assertEqual(found.sent[0].sizes, found.got[2].sizes)

    def test_in_a_simulated_flock_nobody_is_called_all(self) -> None:
        names = [Endpoint(name, 0) for name in ("a", "b", "*")]
        segments = [Segment(1.0, names[0], names[2], 256), Segment(2.0, names[1], names[0], 256)]
        found = traffic(segments)
        self.assertEqual(found.nodes, ("a", "b"))
        self.assertEqual(list(found.sent[0].others), [-1])

    def test_what_comes_out_of_order_is_put_into_order(self) -> None:
        found = traffic(list(reversed(flock(3, []))))
        self.assertEqual(list(found.sent[0].times), sorted(found.sent[0].times))

    def test_nothing_and_one_node_are_refused(self) -> None:
        self.assertRaises(ObserveError, traffic, [])
        self.assertRaises(ObserveError, traffic, [Segment(1.0, node(0), node(0), 1)])


class Rounds(SynchronousTestCase):
    """When something went on."""

    def test_the_heartbeat_is_what_comes_all_the_time(self) -> None:
        self.assertEqual(heartbeat_size(traffic(flock(3, [(4.0, 4.0, 4.0)], 3.0))), HEARTBEAT)

    def test_traffic_without_payload_has_no_heartbeat(self) -> None:
        empty = traffic([Segment(1.0, node(0), node(1), 0)])
        self.assertRaises(ObserveError, heartbeat_size, empty)

    def test_a_round_is_found_with_the_start_and_stop_of_each_node(self) -> None:
        found = find_rounds(traffic(flock(3, [(3.0, 3.01, 2.99), (6.0, 6.0, 6.0)])), 447)
        self.assertEqual([each.start for each in found], [3.0, 6.0])
        self.assertEqual(found[0].starts, (3.0, 3.01, 2.99))
        self.assertAlmostEqual(found[0].stop, 3.98)

    def test_a_few_large_packets_are_no_round(self) -> None:
        stray = [Segment(5.0, node(0), node(1), FRAME)]
        self.assertEqual(find_rounds(traffic(flock(3, []) + stray), 447), [])

    def test_a_node_that_sends_nothing_in_a_round_has_no_start_in_it(self) -> None:
        found = find_rounds(traffic(flock(3, [(3.0, 3.0, 30.0)])), 447)
        self.assertEqual(found[0].starts, (3.0, 3.0, None))

    def test_copies_of_a_heartbeat_count_once(self) -> None:
        segments = flock(3, [])
        late = [segments[1]._replace(time=segments[1].time + 0.004), *segments[2:], segments[0]]
        beats = find_beats(traffic(late).sent[0], HEARTBEAT)
        self.assertEqual(len(beats.times), 40)
        self.assertAlmostEqual(beats.spreads[0], 0.004)
        self.assertEqual(max(beats.spreads[1:]), 0.0)
