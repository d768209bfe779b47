# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Boxes to which everything happens in every order: seeded, so that each storm
can be had again.
"""

from __future__ import annotations

import os
import shutil
from random import Random

from flocknode.box.content import decode_list
from flocknode.box.values import Hash, Path
from tests.box.peers import Killed, Peer, PeerCase, exchange

STORMS = 8
"""How many; more were run when this was written."""

NAMES = [b"a", b"b", b"d", b"d/a", b"d/b", b"d/e", b"d/e/a", b"f", b"f/a"]


def held(peer: Peer) -> set[bytes]:
    """All content in the folder and in the version store."""
    return set(peer.contents()) | set(peer.kept())


class Storm:
    """Some boxes, and what happens to them."""

    def __init__(self, random: Random, peers: list[Peer]) -> None:
        self.random = random
        self.peers = peers
        self.count = 0
        for peer in peers:
            peer.tick = random.choice([0.0, 0.0, 0.02])

    def run(self, steps: int) -> None:
        happenings = [
            self.write, self.write, self.delete, self.rename, self.link, self.attributes,
            self.scan, self.scan_slowly, self.hear, self.hear, self.work, self.fetch, self.fetch,
            self.restart, self.kill_while_placing, self.change_while_placing,
        ]  # fmt: skip
        for _ in range(steps):
            peer = self.random.choice(self.peers)
            what = self.random.choice(happenings)
            if what in (self.hear, self.work, self.fetch, self.restart, self.kill_while_placing):
                # Only who sits in front of the folder may destroy something.
                had = held(peer)
                what(peer)
                assert had <= held(peer), what
            else:
                what(peer)

    def write(self, peer: Peer) -> None:
        path = peer.path(self.random.choice(NAMES))
        if os.path.islink(path):
            return
        self.count += 1
        size = self.random.choice([5, 20, 20, 300_000])
        data = (b"%d of %d " % (self.count, size)).ljust(size, b".")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.isdir(path):
                return
            with open(path + b".new", "wb") as file:
                file.write(data)
            time = self.random.randrange(1, 50) * 10**9
            os.utime(path + b".new", ns=(time, time))
            os.rename(path + b".new", path)
        except (FileExistsError, FileNotFoundError, NotADirectoryError):
            return

    def delete(self, peer: Peer) -> None:
        path = peer.path(self.random.choice(NAMES))
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def rename(self, peer: Peer) -> None:
        try:
            os.rename(
                peer.path(self.random.choice(NAMES)), peer.path(self.random.choice(NAMES))
            )
        except OSError:
            return

    def link(self, peer: Peer) -> None:
        try:
            os.symlink(b"%d" % self.random.randrange(5), peer.path(self.random.choice(NAMES)))
        except OSError:
            return

    def attributes(self, peer: Peer) -> None:
        path = peer.path(self.random.choice(NAMES))
        if os.path.lexists(path) and not os.path.islink(path):
            os.chmod(path, self.random.choice([0o700, 0o755, 0o750]))

    def scan(self, peer: Peer) -> None:
        peer.scan()

    def scan_slowly(self, peer: Peer) -> None:
        """Between seeing and taking in what was seen, other things happen."""
        seen = peer.see()
        for _ in range(self.random.randrange(4)):
            self.random.choice([self.hear, self.work, self.fetch, self.write, self.delete])(peer)
        for sighting in seen:
            peer.engine.observe(sighting)

    def hear(self, peer: Peer) -> None:
        other = self.random.choice(self.peers)
        if other is not peer:
            peer.hear(other, self.random.choice([1, 300, 1 << 20]))

    def work(self, peer: Peer) -> None:
        peer.work()

    def fetch(self, peer: Peer) -> None:
        peer.fetch(self.peers, self.random.choice([1, 3, 100]))

    def restart(self, peer: Peer) -> None:
        peer.restart()

    def kill_while_placing(self, peer: Peer) -> None:
        left = self.random.randrange(1, 12)

        def kill(step: str, path: Path) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed(step)

        self._with_hook(peer, kill)

    def change_while_placing(self, peer: Peer) -> None:
        def change(step: str, path: Path) -> None:
            if step in ("checked", "exchanged") and self.random.random() < 0.3:
                self.random.choice([self.write, self.write, self.delete])(peer)

        self._with_hook(peer, change)

    def _with_hook(self, peer: Peer, hook: object) -> None:
        peer.hook = hook  # type: ignore[assignment]
        try:
            peer.fetch(self.peers)
            peer.work()
        except Killed:
            peer.hook = lambda step, path: None
            peer.restart()
        finally:
            peer.hook = lambda step, path: None


def is_gone(content: bytes, peers: list[Peer]) -> bool:
    """Has nobody all of it (any more)?  Its author destroyed it before it was sent."""
    data = next(filter(None, (peer.index.contents.block_list(content) for peer in peers)), None)
    hashes = [Hash(content)] if data is None else decode_list(data).hashes
    return not all(any(peer.serve(hash) for peer in peers) for hash in hashes)


def complaints(peers: list[Peer], had: set[bytes]) -> list[object]:
    """What is not as it must be after boxes have exchanged everything."""
    found: list[object] = []
    missing: set[bytes] = set()
    for peer in peers:
        peer.check_sums()
        for row in peer.index.pending():
            assert row.head is not None
            content = row.head.value.content
            if content and is_gone(content, peers):
                missing.add(row.path)
            else:
                found.append(("pending", peer.holder, row.path))
        if peer.planner.problems:
            found.append(("problems", peer.holder))
        if peer.index.placing():
            found.append(("placing", peer.holder))
        known = {row.name for row in peer.index.contents.kept()}
        if set(peer.site.versions.names()) != known:
            found.append(("versions", peer.holder))
    trees = [
        {path: value for path, value in peer.tree().items() if path not in missing}
        for peer in peers
    ]
    found.extend("trees" for tree in trees[1:] if tree != trees[0])
    digests = {peer.engine.snapshot().digest for peer in peers}
    if len(digests) != 1:
        found.append("digests")
    lost = had - set().union(*map(held, peers))
    if lost:
        found.append(("lost", lost))
    return found


class StormTests(PeerCase):
    def storm(self, seed: int) -> list[object]:
        random = Random(seed)
        peers = self.peers(*(f"{name}{seed}" for name in "abc"[: random.choice([2, 2, 3])]))
        Storm(random, peers).run(random.choice([20, 60]))
        had = set().union(*map(held, peers))
        for _ in range(3):
            exchange(*peers)
            for peer in peers:
                peer.wait(400)
        exchange(*peers)
        return complaints(peers, had)

    def test_storms_end_level_and_lose_nothing(self) -> None:
        for seed in range(STORMS):
            self.assertEqual((seed, self.storm(seed)), (seed, []))
