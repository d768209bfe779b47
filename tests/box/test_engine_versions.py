# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What is kept of what was replaced and deleted, and for how long:
L{flocknode.box.receive.pruning} in L{flocknode.box.engine}, over real folders.
"""

from __future__ import annotations

import os
import time
from random import Random

import attrs

from flocknode.box.disk import folder
from flocknode.box.disk.capabilities import Capabilities, probe
from flocknode.box.retention import DAY, YEAR, KeepFor, KeepLast, KeepNone, Policy, Staggered
from flocknode.box.settings import BoxSettings
from flocknode.box.values import Hash, Path
from tests.box import test_engine_conflicts, test_storms
from tests.box.peers import Peer, PeerCase, exchange


class KeepingCase(PeerCase):
    def keeping(self, name: str, policy: Policy, limit: int | None = None) -> Peer:
        """A box with this policy."""
        peer = Peer(self.base, name, BoxSettings(versions=policy, versions_size=limit))
        self.addCleanup(peer.kill)
        return peer

    def two(self, policy: Policy, limit: int | None = None) -> tuple[Peer, Peer]:
        """Two boxes, the second with this policy."""
        return self.peer("a"), self.keeping("b", policy, limit)

    def change(self, a: Peer, b: Peer, *contents: bytes, path: str = "file") -> None:
        """C{a} changes a file again and again, and C{b} hears of each change."""
        for content in contents:
            a.put(path, content)
            exchange(a, b)


class StoreTests(KeepingCase):
    """What comes into the store."""

    def test_what_is_deleted_or_overwritten_on_one_node_is_kept_on_the_others(self) -> None:
        a, b = self.peers("a", "b")
        a.put("deleted", b"deleted")
        a.put("d/overwritten", b"overwritten")
        exchange(a, b)
        os.unlink(a.path("deleted"))
        a.put("d/overwritten", b"new")
        exchange(a, b)
        self.assertEqual(a.kept(), [])
        self.assertEqual(sorted(b.kept()), [b"deleted", b"overwritten"])

    def test_what_lies_in_the_store_is_served(self) -> None:
        a, b = self.peers("a", "b")
        a.put("file", b"one")
        exchange(a, b)
        content = a.content(b"file")
        self.change(a, b, b"two")
        self.assertEqual(b.serve(content), b"one")

    def assertAlone(self, a: Peer, b: Peer) -> None:
        """What was kept has no other name, and stays as it is."""
        a.put("file", b"one")
        exchange(a, b)
        os.link(b.path("file"), b.path("other"))
        exchange(a, b)
        self.change(a, b, b"two")
        (kept,) = b.index.contents.kept()
        stat = b.site.versions.stat(kept.name)
        assert stat is not None
        self.assertEqual(stat.links, 1)
        with open(b.path("other"), "r+b") as writer:
            writer.write(b"ONE")
        self.assertEqual(b.kept(), [b"one"])

    def test_it_never_shares_an_inode_with_the_folder(self) -> None:
        a, b = self.peers("a", "b")
        self.assertAlone(a, b)

    def test_nor_where_names_cannot_be_exchanged(self) -> None:
        def cannot(directory: int) -> Capabilities:
            return attrs.evolve(probe(directory), exchange=False)

        self.patch(folder, "probe", cannot)
        a, b = self.peers("a", "b")
        self.assertFalse(b.site.capabilities.exchange)
        self.assertAlone(a, b)


class PruningTests(KeepingCase):
    """What goes again."""

    def test_as_many_as_said_stay(self) -> None:
        a, b = self.two(KeepLast(2))
        self.change(a, b, b"1", b"2", b"3", b"4", b"5")
        b.wait(4)
        self.assertEqual(b.kept(), [b"3", b"4"])
        self.assertEqual(len(b.site.versions.names()), 2)

    def test_other_paths_do_not_count(self) -> None:
        a, b = self.two(KeepLast(1))
        self.change(a, b, b"1", b"2", b"3")
        self.change(a, b, b"4", b"5", b"6", path="other")
        b.wait(4)
        self.assertEqual(b.kept(), [b"2", b"5"])

    def test_staggered_keeps_all_that_is_new(self) -> None:
        a, b = self.two(Staggered())
        self.change(a, b, b"1", b"2", b"3")
        b.wait(4)
        self.assertEqual(b.kept(), [b"1", b"2"])

    def test_what_is_old_goes_with_the_next_look_at_everything(self) -> None:
        a, b = self.two(KeepFor(DAY))
        self.change(a, b, b"1", b"2")
        b.wait(4)
        b.engine.prune()
        b.work()
        self.assertEqual(b.kept(), [b"1"])
        b.grow_older(2 * DAY)
        b.wait(3590)
        self.assertEqual(b.kept(), [b"1"])
        b.wait(10)
        self.assertEqual(b.site.versions.names(), [])

    def test_a_clock_that_jumps_makes_nothing_old(self) -> None:
        """It is set to a wrong year for an hour, and right again."""
        a, b = self.two(KeepFor(7 * DAY))
        self.change(a, b, b"1", b"2")
        b.wait(4)
        b.ahead = 10 * YEAR
        b.engine.prune()
        b.wait(3600)
        self.assertEqual(b.kept(), [b"1"])
        b.ahead = 0
        b.kill()
        b.start()
        b.ahead = 10 * YEAR
        b.engine.prune()
        b.wait(3600)
        self.assertEqual(b.kept(), [b"1"])

    def test_what_was_kept_while_the_clock_said_1970_is_kept_as_long(self) -> None:
        """It has no battery, and is set some time after the start."""
        a, b = self.two(KeepFor(7 * DAY))
        for _ in range(2):
            b.ahead = -time.time() + 60
            self.change(a, b, b"1", b"2")
            b.wait(4)
            b.ahead = 0
            b.engine.prune()
            b.wait(7200)
            self.assertIn(b"1", b.kept())
            b.kill()
            b.start()

    def test_who_never_runs_for_an_hour_grows_older_all_the_same(self) -> None:
        a, b = self.two(KeepFor(2 * DAY))
        self.change(a, b, b"1", b"2")
        for number in range(30):
            b.ahead += DAY
            self.change(a, b, b"%d" % number)
            b.wait(600)
            b.kill()
            b.start()
        self.assertLess(len(b.kept()), 30)

    def test_more_than_the_size_goes_oldest_first(self) -> None:
        a, b = self.two(KeepFor(DAY), limit=25)
        self.change(a, b, b"1" * 10, b"2" * 10, b"3" * 10, b"4" * 10)
        b.wait(4)
        self.assertEqual(b.kept(), [b"2" * 10, b"3" * 10])

    def test_many_paths_are_looked_at_a_little_at_a_time(self) -> None:
        a, b = self.two(KeepFor(DAY))
        for number in range(50):
            a.put(f"d/{number}", b"%d" % number)
        exchange(a, b)
        for number in range(50):
            os.unlink(a.path(f"d/{number}"))
        exchange(a, b)
        b.wait(4)
        b.grow_older(2 * DAY)
        b.engine.prune()
        # Whoever looks at the clock finds that the time is up.
        b.tick = 1.0
        steps = 0
        while b.kept():
            b.engine.step()
            steps += 1
            self.assertLess(steps, 200)
        self.assertGreater(steps, 40)

    def test_what_the_index_does_not_know_stays_for_a_month(self) -> None:
        b = self.keeping("b", KeepNone())
        name = b.site.versions.new_name()
        with open(b.path(b".flocknode/versions/" + name), "wb") as file:
            file.write(b"precious")
        b.restart()
        b.engine.prune()
        b.work()
        self.assertEqual(b.site.versions.names(), [name])
        b.grow_older(31 * DAY)
        b.engine.prune()
        b.work()
        self.assertEqual(b.site.versions.names(), [])

    def test_what_was_written_to_in_the_store_counts_as_unknown(self) -> None:
        a, b = self.two(KeepLast(1))
        self.change(a, b, b"1", b"2")
        b.wait(4)
        (old,) = b.index.contents.kept()
        with open(b.path(b".flocknode/versions/" + old.name), "ab") as late:
            late.write(b" and more")
        self.change(a, b, b"3")
        b.wait(4)
        self.assertEqual(b.kept(), [b"2"])
        self.assertIn(old.name, b.site.versions.names())


class NothingKeptTests(KeepingCase):
    """C{versions = none}: it goes soon, and never too soon."""

    def test_it_goes_soon_but_not_before_it_is_looked_at_again(self) -> None:
        a, b = self.two(KeepNone())
        self.change(a, b, b"1", b"2")
        self.assertEqual(b.kept(), [b"1"])
        b.wait(2.5)
        self.assertEqual(b.kept(), [b"1"])
        b.wait(1)
        self.assertEqual(b.kept(), [])
        self.assertEqual(b.site.versions.names(), [])
        self.assertIsNone(b.engine.delay())

    def test_what_came_later_is_not_taken_along_too_soon(self) -> None:
        a, b = self.two(KeepNone())
        self.change(a, b, b"1", b"2")
        b.wait(2.5)
        self.change(a, b, b"3")
        b.wait(0.8)
        self.assertEqual(b.kept(), [b"2"])
        b.wait(30)
        self.assertEqual(b.kept(), [])

    def test_what_a_writer_still_does_to_it_is_not_lost(self) -> None:
        a, b = self.two(KeepNone())
        self.change(a, b, b"base")
        a.put("file", b"from a")
        with open(b.path("file"), "ab") as writer:
            exchange(a, b)
            b.wait(1.5)
            writer.write(b" and more")
        b.wait(1)
        b.wait(10)
        exchange(a, b)
        self.assertEqual(b.contents(), [b"base and more", b"from a"])

    def test_content_that_is_wanted_stays(self) -> None:
        a, b = self.two(KeepNone())
        self.change(a, b, b"1", b"2")
        (row,) = b.index.contents.kept()
        wants = b.planner.wants
        want = wants.add(Hash(row.content), row.size, Path(b"sibling"), frozenset())
        b.wait(60)
        self.assertEqual(b.kept(), [b"1"])
        wants.remove(Path(b"sibling"), want)
        b.wait(60)
        self.assertEqual(b.kept(), [])

    def test_the_lesser_side_of_a_conflict_stays_until_it_has_its_name(self) -> None:
        a, b = self.two(KeepNone())
        self.change(a, b, b"base")
        a.put("file", b"from a", mtime=2000)
        b.put("file", b"from b", mtime=1000)
        a.scan()
        b.scan()
        b.hear(a)
        refused = [b"file"]

        def refuse(step: str, path: bytes) -> None:
            if step == "checked" and path not in refused and b".conflict-" in path:
                raise OSError(28, "no room")

        b.hook = refuse
        b.work()
        b.fetch([a])
        b.wait(0.5)
        b.site.staging.discard(Hash(b.index.contents.kept()[-1].content))
        b.wait(30)
        self.assertEqual(b.kept(), [b"from b"])
        b.hook = lambda step, path: None
        b.wait(600)
        self.assertEqual(b.contents(), [b"from a", b"from b"])
        b.wait(30)
        self.assertEqual(b.kept(), [])

    def test_after_a_restart_it_goes(self) -> None:
        a, b = self.two(KeepNone())
        self.change(a, b, b"1", b"2")
        b.restart()
        b.engine.prune()
        b.work()
        self.assertEqual(b.kept(), [])


class NothingKeptStormTests(KeepingCase):
    """Whatever happens, who keeps nothing ends with the same as who keeps all."""

    def storm(self, seed: int, policy: Policy) -> list[dict[bytes, object]]:
        random = Random(seed)
        names = "abc"[: random.choice([2, 2, 3])]
        peers = [self.keeping(f"{name}{seed}{policy}", policy) for name in names]
        storm = test_storms.Storm(random, peers)
        happenings = (
            storm.write, storm.write, storm.delete, storm.rename, storm.attributes, storm.scan,
            storm.hear, storm.hear, storm.work, storm.fetch, storm.fetch, storm.restart,
        )  # fmt: skip
        for peer in peers:
            peer.tick = 0.0
        for _ in range(60):
            peer = random.choice(peers)
            random.choice(happenings)(peer)
            peer.time += 4
        for _ in range(3):
            exchange(*peers)
            for peer in peers:
                peer.wait(400)
        self.assertEqual(test_storms.complaints(peers, set()), [])
        return [dict(peer.tree()) for peer in peers]

    def test_it_does_not_matter_what_is_kept(self) -> None:
        for seed in range(4):
            kept = self.storm(seed, KeepFor(DAY))
            self.assertEqual((seed, self.storm(seed, KeepNone())), (seed, kept))


class NothingKeptConflictTests(test_engine_conflicts.ConflictTests):
    """No conflict loses anything if nothing is kept."""

    tick = 0.5

    def test_a_writer_that_holds_a_replaced_file_open_loses_nothing(self) -> None:
        self.tick = 0.0
        super().test_a_writer_that_holds_a_replaced_file_open_loses_nothing()

    def peer(self, name: str) -> Peer:
        peer = Peer(self.base, name, BoxSettings(versions=KeepNone()))
        # Much time goes by between any two things.
        peer.tick = self.tick
        self.addCleanup(peer.kill)
        return peer
