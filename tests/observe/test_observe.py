# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The whole way: from packets, and from the virtual network, to who it was.
"""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.core import Flock
from flocknode.observe import attacks
from flocknode.observe.__main__ import main
from flocknode.observe.packets import Endpoint, Segment
from flocknode.observe.picture import draw
from flocknode.observe.report import Seen, look
from flocknode.testing.network import Sent
from tests.flock.support import MakeFlock
from tests.flock.test_noninterference import Change, Scene, SparingFlock, play
from tests.observe.packing import flock, node, pcap, tcp


def leaking(rounds: int) -> tuple[list[Segment], list[str]]:
    """Rounds in which the source starts 30 ms before the others; lines of labels."""
    chance = random.Random(3)
    starts, labels = [], []
    for number in range(rounds):
        source = chance.randrange(3)
        base = 2.0 + 3.0 * number
        starts.append([base + chance.random() * 0.01 - 0.03 * (n == source) for n in range(3)])
        labels.append(f"{base - 1.0}\t{node(source).address}\tfile")
    return flock(3, starts, 0.4, 3.0 + 3.0 * rounds), labels


class Command(SynchronousTestCase):
    """As people use it."""

    def observe(self, *words: str) -> str:
        said = StringIO()
        with redirect_stdout(said):
            main(list(words))
        return said.getvalue()

    def test_a_planted_leak_is_named_and_drawn(self) -> None:
        self.patch(attacks, "can_grow_forests", lambda: False)  # they take their time
        segments, labels = leaking(12)
        Path("capture").write_bytes(pcap([(each.time, tcp(each)) for each in segments]))
        Path("labels").write_text("\n".join(["time\tsource", *labels]))
        said = self.observe("capture", "--labels", "labels", "--picture", "picture.svg")
        self.assertIn("heartbeats of 298 B; 12 rounds", said)
        (line,) = (each for each in said.splitlines() if each.startswith("first to start  "))
        self.assertIn("12/12", line)
        self.assertEqual(len(ET.parse("picture.svg").findall("{*}path")), 3)

    def test_another_program_is_cut_into_bursts(self) -> None:
        self.patch(attacks, "can_grow_forests", lambda: False)
        chance, segments, lines = random.Random(2), [], []
        for number in range(12):
            source, at = chance.randrange(3), 10.0 * number + 5.0
            lines.append(f"{at - 1.0}\t{node(source).address}\n")
            for part in range(6):  # with pauses that would end a round
                for other in {0, 1, 2} - {source}:
                    asked = Segment(at + part, node(source), node(other), 1400)
                    answer = Segment(at + part + 0.1, node(other), node(source), 40 + part)
                    segments += [asked, answer]
        Path("capture").write_bytes(pcap([(each.time, tcp(each)) for each in sorted(segments)]))
        Path("labels").write_text("".join(lines))
        said = self.observe("capture", "--labels", "labels", "--bursts", "3")
        self.assertIn("12 rounds", said)
        for attack in ("first to start  ", "most bytes out  "):
            (line,) = (each for each in said.splitlines() if each.startswith(attack))
            self.assertIn("12/12", line)

    def test_a_trace_is_observed_like_a_capture(self) -> None:
        segments, _ = leaking(2)
        lines = (f"{s.time}\t{s.source.address}\t{s.target.address}\t{s.size}" for s in segments)
        Path("trace").write_text("\n".join(["time\tfrom\tto\tsize", *lines]))
        self.assertIn("heartbeats of 298 B; 2 rounds", self.observe("trace"))

    def test_what_is_wrong_is_one_sentence(self) -> None:
        Path("words").write_text("no\ntrace\nat\nall\n")
        Path("empty").write_bytes(pcap([]))
        Path("capture").write_bytes(pcap([(s.time, tcp(s)) for s in flock(3, [])]))
        Path("labels").write_text("1.0\t10.0.0.1\n")
        for words in (["words"], ["empty"], ["nowhere"], ["capture", "--labels", "labels"]):
            error = self.assertRaises(SystemExit, self.observe, *words)
            self.assertTrue(str(error).endswith("."), error)

    def test_a_node_that_was_not_seen_is_named(self) -> None:
        Path("capture").write_bytes(pcap([(s.time, tcp(s)) for s in leaking(1)[0]]))
        Path("labels").write_text("1.0\t10.9.9.9\n")
        error = self.assertRaises(SystemExit, self.observe, "capture", "--labels", "labels")
        self.assertIn("10.9.9.9", str(error))


class Picture(SynchronousTestCase):
    """What is drawn."""

    def test_names_are_escaped_and_empty_spans_drawn(self) -> None:
        ends = Endpoint("<a&b>", 0), Endpoint("c", 0)
        seen = look([Segment(1.0, ends[0], ends[1], 9), Segment(1.0, ends[1], ends[0], 9)])
        for length in (0.0, 1e-9, 1e6):
            root = ET.fromstring(draw(seen.traffic, seen.rounds, 1.0, 1.0 + length))
            self.assertIn("<a&b>", [each.text for each in root.iter()])


class Simulated(SynchronousTestCase):
    """Flocks in virtual time: all that a round shows of each node."""

    def seen(self, source: int, seed: int, make: MakeFlock) -> Seen:
        return look(segments(play(Scene(3, seed), Change(source), make)))

    def tables(self, make: MakeFlock) -> list[list[dict[str, float]]]:
        """By source, of one and the same chance."""
        found = []
        for source in range(3):
            seen = self.seen(source, 5, make)
            found.append(seen.features(seen.rounds[-1]))
        return found

    def test_all_that_can_be_computed_is_the_same_whoever_has_news(self) -> None:
        one, two, three = self.tables(Flock)
        self.assertEqual(one, two)
        self.assertEqual(two, three)

    def test_a_planted_leak_shows_in_what_is_computed(self) -> None:
        tables = self.tables(SparingFlock)
        for source, table in enumerate(tables):
            out = [row["bytes out"] for row in table]
            self.assertEqual(max(range(3), key=out.__getitem__), source)


def segments(sent: Sequence[Sent]) -> list[Segment]:
    """The trace of a virtual network."""
    return [
        Segment(
            each.time,
            Endpoint(each.sender.hex(), 0),
            Endpoint(each.receiver.hex() or "*", 0),
            each.size,
        )
        for each in sent
    ]
