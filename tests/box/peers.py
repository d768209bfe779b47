# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Whole boxes in one thread: real folders, real indexes, and nothing between
them but the values that cross a box's border.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random

import attrs
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.disk.perform import no_step
from flocknode.box.disk.site import Site, open_site
from flocknode.box.engine import BoxEngine
from flocknode.box.index.database import Index
from flocknode.box.index.rows import Row
from flocknode.box.index.totals import Totals
from flocknode.box.needed import Needed
from flocknode.box.receive.finder import Finder
from flocknode.box.receive.planner import Planner
from flocknode.box.settings import BoxSettings
from flocknode.box.survey.changes import Away
from flocknode.box.survey.compare import Survey
from flocknode.box.survey.observe import Sighting
from flocknode.box.values import Hash, Head, Holder, Kind, Path
from flocknode.errors import BoxError

DEFAULT = BoxSettings()


class Peer:
    """
    A box without its threads.

    @ivar asked: the blocks that were fetched from others, in order.
    @ivar tick: seconds that go by whenever the engine looks at the clock.
    @ivar told: what the engine has told of its needs.
    """

    def __init__(
        self,
        base: str,
        name: str,
        settings: BoxSettings = DEFAULT,
        step: Callable[[str, Path], None] = no_step,
    ) -> None:
        self.root = os.fsencode(os.path.join(base, name))
        self.state = os.path.join(base, name + ".sqlite")
        self.holder = Holder(name.encode().ljust(16, b"."))
        self.time = 1000.0
        self.tick = 0.0
        self.settings = settings
        self.hook = step
        self.asked: list[Hash] = []
        self.rebuilt = False
        self.entering: Callable[[Path, int], None] | None = None
        self.ahead = 0.0
        self._random = Random(name)
        self.start()

    def start(self) -> None:
        """As when the process starts: the index is opened, the folder looked at."""
        self.told = Needed()
        self.look_at: set[Path] = set()
        self.hash_again: set[Path] = set()
        self.rescan: set[Path] = set()
        self.index = Index(self.state)
        self.engine = BoxEngine(
            self.index, self._random, self.settings, now=self._now, wall=self._wall
        )
        self._site: Site | None = None
        try:
            self._site, marked = open_site(
                os.fsdecode(self.root),
                self.engine.ledger.folder_id,
                self._step,
                self.settings.symlinks,
            )
        except BoxError:
            return
        self.rebuilt = marked and self.engine.ledger.folder_id is None
        self.engine.attach(self._site)
        self.scan()
        self.engine.surveyed()

    def _now(self) -> float:
        self.time += self.tick
        return self.time

    def _wall(self) -> float:
        return time.time() + self.ahead

    def grow_older(self, seconds: float) -> None:
        """As if the box had been open for so long, with nothing to do."""
        self.ahead += seconds
        self.engine._calendar._looked -= seconds

    def hear_engine(self) -> None:
        """Take what the engine has to tell."""
        events = self.engine.take_events()
        self.told.apply(events, None, None)
        self.look_at |= events.look
        self.hash_again |= events.afresh
        self.rescan |= events.rescan

    def _step(self, step: str, path: Path) -> None:
        self.hook(step, path)

    def kill(self) -> None:
        """As when the process is killed: nothing is finished or told."""
        self.index.close()
        if self._site is not None:
            self._site.close()

    def restart(self) -> None:
        """Killed and started again."""
        self.kill()
        self.start()

    @property
    def is_there(self) -> bool:
        """Whether the folder was found at the start."""
        return self._site is not None

    @property
    def site(self) -> Site:
        assert self._site is not None
        return self._site

    @property
    def planner(self) -> Planner:
        assert self.engine.planner is not None
        return self.engine.planner

    def row(self, path: bytes) -> Row:
        """What is known of a path that is known."""
        row = self.index.row(path)
        assert row is not None
        return row

    def head(self, path: bytes) -> Head:
        """The settled head of a path that is known."""
        head = self.row(path).head
        assert head is not None
        return head

    def content(self, path: bytes) -> Hash:
        """The content of the settled head."""
        return Hash(self.head(path).value.content)

    def number_of(self, other: Peer) -> int:
        """Up to which number the other's index is stored here."""
        row = self.engine.ledger.holder(other.holder)
        return 0 if row is None else row.number

    def poll(self) -> None:
        """Is the folder still there?"""
        if not self.site.in_place():
            self.engine.detach()

    # The folder

    def path(self, path: bytes | str) -> bytes:
        return os.path.join(self.root, os.fsencode(path))

    def put(
        self, path: bytes | str, data: bytes, mtime: float | None = None, mode: int | None = None
    ) -> None:
        """Write a file in place, with its directories."""
        full = self.path(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(data)
        if mode is not None:
            os.chmod(full, mode)
        if mtime is not None:
            os.utime(full, ns=(int(mtime * 1e9), int(mtime * 1e9)))

    def get(self, path: bytes | str) -> bytes:
        with open(self.path(path), "rb") as file:
            return file.read()

    def tree(self) -> dict[bytes, tuple[object, ...]]:
        """All that is in the folder: type, mode, mtime, content."""
        found: dict[bytes, tuple[object, ...]] = {}
        for directory, names, files in os.walk(self.root):
            if directory == self.root and b".flocknode" in names:
                names.remove(b".flocknode")
            for name in names + files:
                full = os.path.join(directory, name)
                path = os.path.relpath(full, self.root)
                stat = os.lstat(full)
                if os.path.islink(full):
                    found[path] = ("link", stat.st_mtime_ns, os.readlink(full))
                elif os.path.isdir(full):
                    found[path] = ("directory", stat.st_mode & 0o777)
                else:
                    with open(full, "rb") as file:
                        data = file.read()
                    found[path] = ("file", stat.st_mode & 0o777, stat.st_mtime_ns, data)
        return found

    def names(self) -> set[bytes]:
        return set(self.tree())

    def contents(self) -> list[bytes]:
        """What files there are, whatever their names; sorted."""
        found = (value[-1] for value in self.tree().values() if value[0] == "file")
        return sorted(data for data in found if isinstance(data, bytes))

    def kept(self) -> list[bytes]:
        """The files that lie in the version store, oldest first."""
        found = []
        for row in self.index.contents.kept():
            if row.kind is not Kind.FILE:
                continue
            descriptor = self.site.versions.open(row.name)
            with open(descriptor, "rb") as file:
                found.append(file.read())
        return found

    def stored(self) -> list[bytes]:
        """The same, whether the index knows of them or not; in no order."""
        store = self.path(b".flocknode/versions")
        found = []
        for name in os.listdir(store):
            path = os.path.join(store, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    found.append(file.read())
        return found

    # The engine

    def scan(self) -> None:
        """A full scan, until nothing is different any more."""
        self._take(lambda survey: survey.scan())

    def see(self) -> list[Sighting]:
        """What a full scan finds, not taken in yet."""
        reading = Index(self.state, reading=True)
        try:
            with contextlib.closing(Survey(self.site, reading)) as survey:
                return list(survey.scan())
        finally:
            reading.close()

    def look(self, paths: Iterable[bytes], afresh: bool = False) -> None:
        self._take(lambda survey: survey.look(map(Path, paths), afresh))

    def _take(self, look: Callable[[Survey], Iterable[Sighting]]) -> None:
        reading = Index(self.state, reading=True)
        try:
            # As if everything had been at rest for a while.
            survey = Survey(
                self.site, reading, self.entering, now=lambda: time.time_ns() + 10**10
            )
            with contextlib.closing(survey):
                for sighting in look(survey):
                    self.engine.observe(sighting)
        except Away:
            self.engine.detach()
        finally:
            reading.close()

    def work(self, rounds: int = 1000) -> None:
        """Let the engine do what it can without time going by, and look where it asks to."""
        for _ in range(rounds):
            self.engine.step()
            delay = self.engine.delay()
            self.hear_engine()
            busy = bool(self.look_at or self.hash_again or self.rescan)
            look, self.look_at = (self.look_at | self.rescan) - {Path(b"")}, set()
            again, self.hash_again = self.hash_again, set()
            rescan, self.rescan = self.rescan, set()
            if look:
                self.look(look)
            for path in rescan:
                self._take(partial(Survey.scan, below=path))
            if again:
                self.look(again, afresh=True)
            if delay is None or delay > 0.2:
                if not busy:
                    return
            elif delay > 0:
                self.time += delay
        raise AssertionError("The engine does not come to rest.")

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.time += seconds
        self.work()

    def needs(self) -> set[Hash]:
        """What the engine has told that it needs."""
        self.hear_engine()
        return {need.hash for need in self.told.needs()}

    def serve(self, hash: Hash) -> bytes | None:
        """What this box answers to whoever asks for a block."""
        reading = Index(self.state, reading=True)
        finder = Finder(reading.contents, self.site)
        try:
            return finder.list_or_block(hash)
        finally:
            finder.close()
            reading.close()

    # Others

    def hear(self, other: Peer, limit: int = 1 << 20) -> bool:
        """Join what the other announces.  @return: whether there was anything."""
        known = self.engine.ledger.holder(other.holder)
        index_id = other.engine.ledger.index_id
        start = known.number if known is not None and known.index_id == index_id else 0
        heard = False
        while True:
            entries, to = other.engine.entries_after(start, limit)
            if to <= start:
                return heard
            assert self.engine.join(other.holder, index_id, start, to, entries)
            other.engine.acknowledged(self.holder, index_id, to)
            start, heard = to, True

    def fetch(self, others: Sequence[Peer], limit: int = 1 << 30) -> bool:
        """Get blocks that are needed.  @return: whether any came."""
        came = False
        for hash in sorted(self.needs())[:limit]:
            for other in others:
                data = other.serve(hash) if other.is_there else None
                if data is not None:
                    self.asked.append(hash)
                    assert self.engine.write([(hash, data)]) == [True]
                    came = True
                    break
        return came

    # Checks

    def assert_told(self) -> None:
        self.hear_engine()
        planner = self.engine.planner
        needs = set() if planner is None else set(planner.wants.needs)
        assert {need.hash for need in self.told.needs()} == needs

    def check_sums(self) -> None:
        """The running sums are those of the rows; what was told is what is needed."""
        self.assert_told()
        totals = self.engine.ledger.totals
        fresh = Totals(totals.counted)
        for row in self.index.rows():
            fresh.apply(None, row)
        for name in ("digest", "files", "size", "needed", "needed_bytes", "complete"):
            assert getattr(fresh, name) == getattr(totals, name), name
        assert fresh.conflicts == totals.conflicts
        for holder in self.engine.ledger.holders():
            assert fresh.lacking(holder.key) == totals.lacking(holder.key)


def exchange(*peers: Peer, scan: bool = True) -> None:
    """Until all have everything that the others have."""
    if scan:
        for peer in peers:
            peer.scan()
    for _ in range(100):
        moved = False
        for peer in peers:
            others = [other for other in peers if other is not peer]
            peer.work()
            for other in others:
                moved |= peer.hear(other)
            peer.work()
            moved |= peer.fetch(others)
            peer.work()
        if not moved:
            break
    else:
        raise AssertionError("The exchange does not come to rest.")
    for peer in peers:
        peer.check_sums()


@attrs.define
class Killed(BaseException):
    """Raised in the middle of placing, as if the process ended there."""

    step: str


class PeerCase(SynchronousTestCase):
    """Makes boxes in a temporary folder."""

    def setUp(self) -> None:
        self.base = self.mktemp()
        os.makedirs(self.base)

    def peer(self, name: str) -> Peer:
        peer = Peer(self.base, name)
        self.addCleanup(peer.kill)
        return peer

    def peers(self, *names: str) -> list[Peer]:
        return [self.peer(name) for name in names]

    def assertLevel(self, *peers: Peer) -> None:
        """All have the same, on disk and in the index."""
        for other in peers[1:]:
            self.assertEqual(peers[0].tree(), other.tree())
            self.assertEqual(peers[0].engine.snapshot().digest, other.engine.snapshot().digest)
        for peer in peers:
            snapshot = peer.engine.snapshot()
            self.assertEqual((snapshot.needed, snapshot.needed_bytes), (0, 0))
            self.assertEqual(set(snapshot.lacking.values()) - {0}, set())
            self.assertEqual(peer.planner.problems, {})
            self.assertEqual(peer.site.staging.contents(), frozenset())
