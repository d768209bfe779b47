# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Somebody who writes down every packet that nodes send (tcpdump).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.switch import Switch
from tests.integration.cluster import wait_until


class PasserBy:
    """
    On a switch he sees what nodes hand to it, also those that are cut off; else
    what goes over loopback.

    @ivar capture: the file with the packets.
    """

    def __init__(self, capture: Path, switch: Switch | None, ports: Iterable[int]) -> None:
        """@param ports: on which nodes listen."""
        self.capture = capture
        self._log = capture.with_name("tcpdump.log")
        where = ["ip", "netns", "exec", switch.name] if switch else []
        # Only what comes in, or each packet were there once more as it leaves.
        place = ["any", "-Q", "in"] if switch else ["lo"]
        listening = " or ".join(f"port {port}" for port in ports)
        self._process = subprocess.Popen(
            [*where, "tcpdump", "-i", *place, "-w", str(capture), "-s", "128", "-B", "65536",
             "-U", "--time-stamp-precision=nano", "-Z", "root", f"tcp and ({listening})"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log.open("wb"),
        )  # fmt: skip
        wait_until(capture.exists, "tcpdump listens")

    def stop(self) -> str:
        """What tcpdump has to say."""
        # What the kernel has not handed over yet would be lost.
        time.sleep(2.0)
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        return self._log.read_text()

    def close(self) -> None:
        """At once, if it goes on."""
        self._process.kill()
        self._process.wait()


def why_not() -> str:
    """A sentence, if nothing can be watched here; else empty."""
    if shutil.which("tcpdump") is None:
        return "tcpdump is not installed"
    if os.geteuid() != 0:
        return "watching a network needs root"
    return ""
