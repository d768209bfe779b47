# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A box on a file system that is full: C{python -m tests.box.filling FOLDER}, in
a mount namespace of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.box.peers import Peer, exchange

CANNOT = 77
"""The exit code if this machine does not let one mount."""


def mount(where: str, options: str) -> bool:
    """@return: whether it could be mounted."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", where], capture_output=True, check=False
    )
    return done.returncode == 0


def main(base: str) -> int:
    """
    @return: the exit code.
    @raise AssertionError: something is not as it must be.
    """
    small = os.path.join(base, "b")
    os.mkdir(small)
    if not mount(small, "size=2m"):
        return CANNOT
    a, b = Peer(base, "a"), Peer(base, "b")
    a.put("large", os.urandom(4 << 20))
    for number in range(20):
        # Each is too small to be asked about; all together are too much.
        a.put(f"many/{number}", os.urandom(150_000), mtime=5, mode=0o640)
    exchange(a, b)
    snapshot = b.engine.snapshot()
    reasons: dict[bytes, str] = dict(snapshot.problems)
    assert b"large" in reasons, reasons
    assert "make room" in reasons[b"large"], reasons
    held = len(b.contents())
    assert 10 < held < 14, held
    assert snapshot.needed == 21 - held, snapshot.needed
    assert {path: b.tree()[path] for path in b.tree()}.items() <= a.tree().items()
    assert mount(small, "remount,size=12m")
    b.wait(400)
    exchange(a, b)
    assert b.tree() == a.tree()
    assert not b.planner.problems, b.planner.problems
    # Room for one of two: the other one must not take it.
    sizes = {name: os.urandom(3 << 20) for name in ("one", "two")}
    for name, content in sizes.items():
        a.put(name, content)
    exchange(a, b)
    arrived = [name for name in sizes if b.tree().get(name.encode())]
    assert len(arrived) == 1, arrived
    assert b.engine.snapshot().needed == 1, b.engine.snapshot().needed
    assert mount(small, "remount,size=20m")
    b.wait(400)
    exchange(a, b)
    assert b.tree() == a.tree()
    b.kill()
    a.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
