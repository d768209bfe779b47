# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Throughput of the port (L{flocknode.wire.port}) between two processes that
both send as fast as the other reads, without anything else to do.

Run C{python -m benchmarks.port [seconds]}; wanted: 200 MB/s each way.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from typing import Any

import msgspec

from flocknode.wire.messages import ToWire
from flocknode.wire.port import Port

SIZES = (1_024, 4_096, 16_384, 65_536, 524_288)
WINDOW = 4_194_304


class Pump:
    """Sends whatever the port takes, counts what it gives."""

    def __init__(self, size: int) -> None:
        self.port: Port[ToWire] = Port(msgspec.msgpack.Decoder(ToWire), self, WINDOW)
        self._data = os.urandom(size)
        self._member = os.urandom(16)
        self.received = 0

    def pump(self) -> None:
        """Fill the port."""
        while self.port.send_data(self._member, 1, self._data):
            pass

    port_drained = pump

    def port_told(self, message: ToWire) -> None:
        """Nothing typed is sent here."""

    def port_data(self, member: bytes, priority: int, data: bytes) -> None:
        """Count."""
        self.received += len(data)

    def port_closed(self, reason: str) -> None:
        """The other side was done first."""


def run(descriptor: int, size: int, seconds: float) -> tuple[float, float]:
    """@return: MB/s received, and the share of a core that this process used."""
    from twisted.internet import reactor as default
    from twisted.internet.protocol import Factory

    reactor: Any = default
    pump = Pump(size)
    reactor.adoptStreamConnection(
        descriptor, socket.AF_UNIX, Factory.forProtocol(lambda: pump.port)
    )
    os.close(descriptor)
    reactor.callLater(0, pump.pump)
    began, used = time.monotonic(), _cpu()
    reactor.callLater(seconds, reactor.stop)
    reactor.run()
    took = time.monotonic() - began
    return pump.received / took / 1e6, (_cpu() - used) / took


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print one line for each message size."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    print("   bytes  MB/s there  MB/s back  cores used  MB/s both per core")
    for size in SIZES:
        ends = socket.socketpair()
        answers = [_spawn(end, size, seconds) for end in ends]
        for end in ends:
            end.close()
        (back, first), (there, second) = (_answer(answer) for answer in answers)
        cores = first + second
        print(
            f"{size:8} {there:11.0f} {back:10.0f} {first:5.2f} {second:5.2f}"
            f" {(there + back) / cores:19.0f}"
        )


def _spawn(end: socket.socket, size: int, seconds: float) -> int:
    answer, answers = os.pipe()
    if os.fork() == 0:
        os.write(answers, "{} {}".format(*run(end.detach(), size, seconds)).encode())
        os._exit(0)
    os.close(answers)
    return answer


def _answer(answer: int) -> tuple[float, float]:
    with open(answer, "rb") as pipe:
        rate, share = map(float, pipe.read().split())
    os.wait()
    return rate, share


if __name__ == "__main__":
    main()
