# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The programs that L{benchmarks.versus} runs beside flocknode, where they are
installed: Syncthing (as installed by default, but without discovery, relays
and reports: direct loopback addresses) and an rsync daemon.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.integration.cluster import Cluster, free_ports, wait_until


class Flocknode:
    """Three real nodes; the box of node C{n} is C{box(n)}."""

    name = "flocknode"

    def __init__(self, top: Path, uplink: str, *flock: str) -> None:
        """@param flock: more lines of the section C{[flock]} of all nodes."""
        self._cluster = Cluster(top, uplink=uplink)
        for node in range(self._cluster.count):
            self._cluster.configure(node, uplink, *flock)
        self.box = self._cluster.box

    def start(self) -> None:
        self._cluster.start()
        self._cluster.together()
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is going on."""
        self._cluster.wait_settled()

    def pids(self) -> list[int]:
        """All processes of node 1."""
        pid = self._cluster.processes[0].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def sent(self) -> int:
        """Bytes of content sent by node 1."""
        return int((self._cluster.status(0) or {})["content_sent"])

    def close(self) -> None:
        self._cluster.close()


class Syncthing:
    """Instances in one cluster, one folder."""

    name = "Syncthing"

    def __init__(
        self, top: Path, listening: Sequence[tuple[str, int]] = (), delay: int = 10
    ) -> None:
        """
        @param listening: address and port of each instance; if none is given, of
            three on loopback.
        @param delay: seconds for which changes are collected.
        """
        self._top = top
        self._delay = delay
        self._processes: list[subprocess.Popen[bytes]] = []
        count = len(listening) or 3
        ports = free_ports(2 * count)
        self._listening = list(listening) or [("127.0.0.1", port) for port in ports[count:]]
        self._consoles = ports[:count]
        self._ids: list[str] = []
        for node in range(count):
            home = self.home(node)
            self.box(node).mkdir(parents=True)
            (self.box(node) / ".stfolder").mkdir()
            subprocess.run(
                ["syncthing", "generate", f"--home={home}", "--no-default-folder"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            device = ET.parse(home / "config.xml").getroot().find("device")
            assert device is not None
            self._ids.append(device.attrib["id"])
        for node in range(count):
            self._configure(node)

    def home(self, node: int) -> Path:
        """Where an instance keeps what it needs."""
        return self._top / f"home{node}"

    def box(self, node: int) -> Path:
        return self._top / f"box{node}"

    def folders(self, node: int) -> Sequence[ET.Element]:
        """What an instance shares."""
        return [self.element("papers", self.box(node), range(len(self._listening)))]

    def element(self, name: str, path: Path, members: Iterable[int]) -> ET.Element:
        """A folder of the configuration."""
        # The values of one that is added in its user interface.
        folder = ET.Element(
            "folder",
            id=name,
            path=str(path),
            type="sendreceive",
            rescanIntervalS="3600",
            fsWatcherEnabled="true",
            fsWatcherDelayS=str(self._delay),
        )
        for member in members:
            ET.SubElement(folder, "device", id=self._ids[member])
        return folder

    def _configure(self, node: int) -> None:
        path = self.home(node) / "config.xml"
        document = ET.parse(path)
        root = document.getroot()
        for old in root.findall("device"):
            root.remove(old)
        root.extend(self.folders(node))
        for identity, (host, port) in zip(self._ids, self._listening, strict=True):
            device = ET.SubElement(root, "device", id=identity, compression="metadata")
            ET.SubElement(device, "address").text = f"tcp://{host}:{port}"
        options = root.find("options")
        gui = root.find("gui")
        assert options is not None
        assert gui is not None
        address = gui.find("address")
        assert address is not None
        address.text = f"127.0.0.1:{self._consoles[node]}"
        for old in options.findall("listenAddress"):
            options.remove(old)
        host, port = self._listening[node]
        ET.SubElement(options, "listenAddress").text = f"tcp://{host}:{port}"
        for key, value in {
            "globalAnnounceEnabled": "false",
            "localAnnounceEnabled": "false",
            "relaysEnabled": "false",
            "natEnabled": "false",
            "startBrowser": "false",
            "urAccepted": "-1",
            "autoUpgradeIntervalH": "0",
            "crashReportingEnabled": "false",
        }.items():
            found = options.find(key)
            if found is None:
                found = ET.SubElement(options, key)
            found.text = value
        document.write(path)

    def command(self, node: int) -> list[str]:
        """What starts an instance."""
        home = f"--home={self.home(node)}"
        return ["syncthing", "serve", home, "--no-browser", "--no-restart"]

    def start(self) -> None:
        count = len(self._listening)
        for node in range(count):
            self._processes.append(
                subprocess.Popen(
                    self.command(node),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "STNOUPGRADE": "1"},
                )
            )
        (self.box(0) / "probe").write_bytes(b"probe")
        for node in range(1, count):
            wait_until((self.box(node) / "probe").exists, "Syncthing starts")

    def settle(self) -> None:
        """It has no idle state to wait for that is visible in its folders."""

    def pids(self) -> list[int]:
        return [self._processes[0].pid]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        shutil.rmtree(self._top, ignore_errors=True)


class Rsync:
    """A daemon for node 0's folder; the others are pulled, one after another."""

    name = "rsync"

    def __init__(self, top: Path) -> None:
        self._top = top
        for node in range(3):
            self.box(node).mkdir(parents=True)
        (self._port,) = free_ports(1)
        self._daemon: subprocess.Popen[bytes] | None = None

    def box(self, node: int) -> Path:
        return self._top / f"box{node}"

    def start(self) -> None:
        config = self._top / "rsyncd.conf"
        config.write_text(
            f"use chroot = no\naddress = 127.0.0.1\nport = {self._port}\n"
            f"[papers]\npath = {self.box(0)}\n"
        )
        self._daemon = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={config}"])
        probe = ["rsync", f"rsync://127.0.0.1:{self._port}/"]
        wait_until(
            lambda: subprocess.run(probe, capture_output=True, check=False).returncode == 0,
            "rsync listens",
        )

    def pull(self) -> None:
        """Copy to both others at once, with fsync."""
        copies = [
            subprocess.Popen(
                ["rsync", "-a", "--fsync", "--inplace", f"rsync://127.0.0.1:{self._port}/papers/",
                 f"{self.box(node)}/"]
            )
            for node in (1, 2)
        ]  # fmt: skip
        for copy in copies:
            copy.wait()

    def close(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait()
        shutil.rmtree(self._top, ignore_errors=True)
