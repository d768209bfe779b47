# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
C{python -m flocknode.sample conf/node1 conf/node2 …}: run several nodes on
this machine until Ctrl-C, to try a flock out; what C{make flock} does.

Each node is a C{twistd} process of its own, with its log beside its state
folder.  If one of them ends, all are ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from flocknode import config
from flocknode.errors import FlocknodeError

PATIENCE = 5.0
"""Seconds that nodes have to stop before they are killed."""

TWISTD = ("-c", "from twisted.scripts.twistd import run; run()")
"""twistd of this interpreter, wherever its script lies."""


class Sample:
    """
    The nodes of these configuration files.
    """

    def __init__(self, files: Sequence[str]) -> None:
        """
        @param files: configuration files.
        @raise FlocknodeError: one of them is wrong.
        """
        self._nodes = [(file, config.load(file)) for file in files]
        self._processes: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Make the folders that the nodes need."""
        for _, node in self._nodes:
            os.makedirs(os.path.dirname(self.log(node)), exist_ok=True)
            os.makedirs(node.state, 0o700, exist_ok=True)
            for box in node.boxes:
                if os.path.isabs(box.path):
                    os.makedirs(box.path, exist_ok=True)
            for hostname in node.hostnames:
                if hostname.startswith("ipc://"):
                    os.makedirs(os.path.dirname(hostname.removeprefix("ipc://")), exist_ok=True)

    def log(self, node: config.Config) -> str:
        """Where a node's log goes."""
        return os.path.join(os.path.dirname(node.state), "log")

    def describe(self) -> str:
        """Where everything is, for people."""
        command = os.path.join(os.path.dirname(sys.executable), "flocknode")
        command = os.path.relpath(command) if os.path.exists(command) else "flocknode"
        lines = []
        for file, node in self._nodes:
            lines.append(f"{os.path.basename(file)} at {', '.join(node.hostnames)}")
            lines += [f"  box {box.name}: {box.path}" for box in node.boxes]
            lines.append(f"  log:  {self.log(node)}")
            lines.append(f"  {command} status --config {os.path.relpath(file)}")
        return "\n".join(lines)

    def start(self) -> None:
        """Start them all."""
        for file, node in self._nodes:
            with open(self.log(node), "ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, *TWISTD, "-n", "flocknode", "--config", file],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        # Ctrl-C is for this process, which then ends them
                        start_new_session=True,
                    )
                )

    def ended(self) -> str:
        """The first node that is not running any more; empty if all are."""
        for (file, _), process in zip(self._nodes, self._processes, strict=True):
            if process.poll() is not None:
                return file
        return ""

    def last_words(self, file: str) -> str:
        """The end of that node's log."""
        node = next(node for name, node in self._nodes if name == file)
        with open(self.log(node), errors="replace") as log:
            return "".join(log.readlines()[-5:]).rstrip()

    def stop(self) -> None:
        """End them all, by force if they do not end by themselves."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for process in self._processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main(files: Sequence[str]) -> int:
    """
    @param files: configuration files.
    @return: exit code: 0 after Ctrl-C or SIGTERM, 1 if a node ended by itself.
    """
    asked: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: asked.append(number))
    try:
        sample = Sample(files)
    except FlocknodeError as error:
        print(f"flocknode: {error}", file=sys.stderr)
        return 1
    sample.prepare()
    try:
        sample.start()
        print(sample.describe())
        print("Put a file into one of the boxes, and see it appear in the others.")
        print("Ctrl-C stops the nodes.", flush=True)
        while not asked:
            time.sleep(0.2)
            if file := sample.ended():
                print(f"{file} has ended:\n{sample.last_words(file)}", file=sys.stderr)
                return 1
        print("\nstopping", flush=True)
        return 0
    finally:
        sample.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
