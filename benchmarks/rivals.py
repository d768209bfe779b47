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
    """Three instances in one cluster, one folder."""

    name = "Syncthing"

    def __init__(self, top: Path) -> None:
        self._top = top
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports = free_ports(6)
        ids = []
        for node in range(3):
            home = self._home(node)
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
            ids.append(device.attrib["id"])
        for node in range(3):
            self._configure(node, ids)

    def _home(self, node: int) -> Path:
        return self._top / f"home{node}"

    def box(self, node: int) -> Path:
        return self._top / f"box{node}"

    def _configure(self, node: int, ids: list[str]) -> None:
        path = self._home(node) / "config.xml"
        document = ET.parse(path)
        root = document.getroot()
        for old in root.findall("device"):
            root.remove(old)
        # The values of a folder that is added in its user interface.
        folder = ET.SubElement(
            root,
            "folder",
            id="papers",
            path=str(self.box(node)),
            type="sendreceive",
            rescanIntervalS="3600",
            fsWatcherEnabled="true",
            fsWatcherDelayS="10",
        )
        for other, identity in enumerate(ids):
            ET.SubElement(folder, "device", id=identity)
            device = ET.SubElement(root, "device", id=identity, compression="metadata")
            ET.SubElement(device, "address").text = f"tcp://127.0.0.1:{self._ports[other]}"
        options = root.find("options")
        gui = root.find("gui")
        assert options is not None
        assert gui is not None
        address = gui.find("address")
        assert address is not None
        address.text = f"127.0.0.1:{self._ports[3 + node]}"
        for old in options.findall("listenAddress"):
            options.remove(old)
        ET.SubElement(options, "listenAddress").text = f"tcp://127.0.0.1:{self._ports[node]}"
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

    def start(self) -> None:
        for node in range(3):
            self._processes.append(
                subprocess.Popen(
                    ["syncthing", "serve", f"--home={self._home(node)}", "--no-browser",
                     "--no-restart"],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "STNOUPGRADE": "1"},
                )
            )  # fmt: skip
        (self.box(0) / "probe").write_bytes(b"probe")
        for node in (1, 2):
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
