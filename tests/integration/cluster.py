# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A flock of real C{twistd} processes over TCP loopback, for the integration
tests: started, killed, looked into.  Everything waits for a condition; the
longest wait is L{PATIENCE}.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

import flocknode
from flocknode import control, keys

PATIENCE = 60.0
"""Seconds until a condition that does not come true fails a test; generous,
since the machine may be busy.  Nothing ever waits this long on success."""

Tree = dict[bytes, tuple[object, ...]]

_pause = threading.Event()


def wait_until(
    condition: Callable[..., object], what: str, *arguments: object, patience: float = PATIENCE
) -> None:
    """
    Poll until the condition, called with the arguments, holds.

    @raise AssertionError: if it did not within C{patience} seconds; says C{what}.
    """
    waited = 0.0
    while not condition(*arguments):
        if waited > patience:
            raise AssertionError(f"still not after {patience:.0f} s: {what}")
        _pause.wait(0.03)
        waited += 0.03


def tree(root: str | Path) -> Tree:
    """
    All that must be equal everywhere: path below C{root} (bytes) to (kind,
    mode, mtime in ns, BLAKE3 or target).  C{.flocknode} is left out.
    """
    found: Tree = {}
    top = os.fsencode(root)

    def look(folder: bytes, prefix: bytes) -> None:
        for item in os.scandir(folder):
            if not prefix and item.name == b".flocknode":
                continue
            path = prefix + item.name
            info = item.stat(follow_symlinks=False)
            mode = stat.S_IMODE(info.st_mode) & 0o777
            if item.is_symlink():
                found[path] = ("link", os.readlink(item.path))
            elif item.is_dir(follow_symlinks=False):
                found[path] = ("directory", mode)
                look(item.path, path + b"/")
            else:
                with open(item.path, "rb") as file:
                    digest = blake3()
                    while data := file.read(1 << 20):
                        digest.update(data)
                found[path] = ("file", mode, info.st_mtime_ns, digest.hexdigest())

    look(top, b"")
    return found


def free_ports(count: int) -> list[int]:
    """Loopback TCP ports nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Cluster:
    """
    Nodes 0 to count-1, each with a box C{papers}, in folders below C{top}.

    @ivar uplink: of every node, as written in its configuration.
    """

    def __init__(
        self,
        top: str | Path,
        count: int = 3,
        uplink: str = "400 Mbit/s",
        endpoints: Sequence[str] = (),
    ) -> None:
        """
        @param endpoints: where the nodes listen; free ports of 127.0.0.1 if
            none are given.
        """
        self.top = Path(top).absolute()
        self.count = count
        self.top.mkdir(parents=True)
        self.endpoints = list(endpoints) or [
            f"tcp://127.0.0.1:{port}" for port in free_ports(count)
        ]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        pairs = [keys.KeyPair.generate() for _ in range(count)]
        keystore = {e: p.public for e, p in zip(self.endpoints, pairs, strict=True)}
        for node in range(count):
            folder = self.folder(node)
            self.box(node).mkdir(parents=True)
            (folder / "keystore").write_text(json.dumps(keystore))
            private = folder / "privatekeys"
            private.touch(mode=0o600)
            private.write_text(
                json.dumps(
                    {
                        self.endpoints[node]: {
                            "public_key": pairs[node].public,
                            "private_key": pairs[node].secret,
                        }
                    }
                )
            )
            self.configure(node, uplink)

    def configure(self, node: int, uplink: str, *flock: str) -> None:
        """
        Write the node's configuration file (it is read at its next start).

        @param flock: more lines of the section C{[flock]}.
        """
        lines = [f"hostname = {self.endpoints[node]}"]
        lines += [f"node = {e}" for i, e in enumerate(self.endpoints) if i != node]
        lines += ["box = papers@box", "keystore = keystore", "privatekey = privatekeys"]
        lines += ["state = state", "[flock]", f"uplink = {uplink}", *flock]
        (self.folder(node) / "config").write_text("\n".join(lines) + "\n")

    def folder(self, node: int) -> Path:
        """Where everything of a node lies."""
        return self.top / f"node{node + 1}"

    def box(self, node: int) -> Path:
        """The node's watched folder."""
        return self.folder(node) / "box"

    def log(self, node: int) -> str:
        """What the node has logged so far."""
        path = self.folder(node) / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, *nodes: int) -> None:
        """Start these nodes (all of them, if none is named)."""
        package = str(Path(flocknode.__file__).parent.parent)
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(
            [package, *filter(None, [environment.get("PYTHONPATH")])]
        )
        for node in nodes or range(self.count):
            with open(self.folder(node) / "log", "ab") as log:
                self.processes[node] = subprocess.Popen(
                    [*self.command(node), "-n", "flocknode", "--config", "config"],
                    cwd=self.folder(node),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def command(self, node: int) -> list[str]:
        """What starts twistd for this node."""
        return [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]

    def together(self, *nodes: int) -> None:
        """Wait until these nodes (all, if none is named) see each other."""
        chosen = nodes or tuple(range(self.count))

        def met() -> bool:
            for node in chosen:
                members = (self.status(node) or {}).get("members", ())
                seen = {m["address"] for m in members if m["alive"]}
                if any(self.endpoints[other] not in seen for other in chosen if other != node):
                    return False
            return True

        wait_until(met, f"nodes {chosen} see each other")

    def status(self, node: int) -> dict[str, Any] | None:
        """What C{flocknode status --json} shows, or None while it cannot be asked."""
        try:
            status: dict[str, Any] = control.ask(str(self.folder(node) / "state"), "status")
            return status
        except Exception:
            return None

    def stop(self, node: int, sign: int = signal.SIGTERM) -> int:
        """Signal a node and wait for its end; its exit code."""
        process = self.processes.pop(node)
        process.send_signal(sign)
        return process.wait(PATIENCE)

    def kill(self, node: int) -> None:
        """C{kill -9}."""
        self.stop(node, signal.SIGKILL)

    def close(self) -> None:
        """Kill what runs and remove everything."""
        for node in list(self.processes):
            self.kill(node)
        shutil.rmtree(os.fsencode(self.top), ignore_errors=True)

    def trees(self, nodes: Iterable[int] = ()) -> list[Tree]:
        """The trees of these nodes (all, if none is named), as they are now."""
        found = []
        for node in nodes or range(self.count):
            try:
                found.append(tree(self.box(node)))
            except (FileNotFoundError, NotADirectoryError):  # it changed while we looked
                found.append({b"?": (node,)})
        return found

    def wait_equal(
        self,
        nodes: Iterable[int] = (),
        holds: Callable[..., object] = lambda tree: True,
        *more: object,
    ) -> Tree:
        """
        Wait until these nodes' folders are equal and C{holds} of them (and of
        C{more}).

        @return: what they all hold.
        """
        chosen = tuple(nodes) or tuple(range(self.count))
        last: list[Tree] = []

        def equal() -> bool:
            nonlocal last
            last = self.trees(chosen)
            return all(t == last[0] for t in last) and bool(holds(last[0], *more))

        try:
            wait_until(equal, "equal folders")
        except AssertionError:
            raise AssertionError(self._difference(chosen, last)) from None
        return last[0]

    def wait_same(self, node: int, nodes: Iterable[int] = ()) -> Tree:
        """Wait until all hold what C{node} holds now."""
        wanted = tree(self.box(node))
        return self.wait_equal(nodes, lambda found: found == wanted)

    def settled(self, nodes: Iterable[int] = ()) -> bool:
        """
        Whether all of these nodes say: in sync, idle (or under constant cover with
        nothing to do), nobody lacks anything.
        """
        for node in nodes or range(self.count):
            status = self.status(node)
            if status is None or status["code"] != (145 if status["cover"] == "constant" else 100):
                return False
            if any(box["state"] != "in sync" for box in status["boxes"]):
                return False
            if any(member["alive"] and member["lacking"] for member in status["members"]):
                return False
        return True

    def wait_settled(self, nodes: Iterable[int] = ()) -> None:
        """Wait until L{settled}."""
        wait_until(lambda: self.settled(nodes), "in sync and idle")

    def _difference(self, nodes: tuple[int, ...], trees: list[Tree]) -> str:
        lines = ["folders stayed different:"]
        for path in sorted(set().union(*trees)):
            values = [t.get(path) for t in trees]
            if any(v != values[0] for v in values):
                lines.append(f"  {path!r}: {values}")
        del lines[40:]
        for node in nodes:
            log = "\n".join(self.log(node).splitlines()[-15:])
            lines += [f"--- node {node + 1}: {self.status(node)}", log]
        return "\n".join(lines)
