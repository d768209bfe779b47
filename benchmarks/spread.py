# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
How fast one source's content spreads over virtual links of one rate, against
what its uplink could do at best (S/U), and what the exchange itself costs.

Run C{python -m benchmarks.spread [MiB]}; wanted: at most 1.25 x S/U for 3
nodes and 1.40 for 8, the source sending about once what there is, and 150 MB/s
each way on one core.  Time in the table is virtual; only "MB/s" is measured.
"""

from __future__ import annotations

import random
import sys
import time

from twisted.internet.task import Clock

from flocknode.testing.boxes import MemoryBox
from flocknode.testing.links import LinkNetwork

UPLINK = 6_250_000
"""Bytes a second: 50 Mbit/s."""


def spread(nodes: int, files: int, size: int, rate: int) -> tuple[float, float, float]:
    """
    @param rate: bytes a second of each link.
    @return: seconds until all have it, bytes that the source sent by the bytes
        that there are, and seconds of processor time.
    """
    clock = Clock()
    network = LinkNetwork(clock, random.Random(1), rate)
    members = [network.member(bytes([number + 1]) * 16) for number in range(nodes)]
    boxes = [MemoryBox(random=random.Random(number)) for number in range(nodes)]
    for member, box in zip(members, boxes, strict=True):
        member.add(box)
    content = random.Random(1)
    for number in range(files):
        boxes[0].put(b"d/%d" % number, content.randbytes(size))
    start = time.process_time()
    network.start_round()
    expected = len(boxes[0].files())
    taken = network.run_until(
        lambda: all(box.highest >= expected and not box.needs() for box in boxes), 3_600
    )
    spent = time.process_time() - start
    return taken, network.sent_by(members[0].id) / (files * size), spent


def main() -> None:
    """Print the table."""
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    print(f"{'nodes':>5} {'content':>14} {'time / (S/U)':>13} {'source sent / S':>16} {'MB/s':>6}")
    for nodes, files, size in [
        (2, 1, mebibytes << 20),
        (3, 1, mebibytes << 20),
        (8, 1, mebibytes << 20),
        (3, 5_000, 4_096),
    ]:
        taken, sent, spent = spread(nodes, files, size, UPLINK // (nodes - 1))
        total = files * size
        # Each byte is sent once and received once for each receiver.
        speed = (nodes - 1) * total / spent / 1e6
        what = f"{files} x {size >> 10} KiB"
        ratio = taken * UPLINK / total
        print(f"{nodes:>5} {what:>14} {ratio:>13.2f} {sent:>16.2f} {speed:>6.0f}")


if __name__ == "__main__":
    main()
