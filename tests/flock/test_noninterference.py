# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The promise: what leaves, when, to whom and of what size does not depend on who
has news, how it is made up or who wants it.  Two worlds with the same chances
are compared message by message; planted leaks must be found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.flock.ceremony import CALM, Snapshot
from flocknode.flock.conductor import Conductor
from flocknode.flock.constant import ConstantCover
from flocknode.flock.core import Flock
from flocknode.flock.flocktime import SLOT
from flocknode.flock.interfaces import MemberId, Priority
from flocknode.flock.link import Built
from flocknode.flock.rounds import Round
from flocknode.flock.shaper import Shaper, SlotPlan
from flocknode.testing.network import Sent, VirtualNetwork
from tests.flock.support import MakeFlock, World, fate

SIZE = 60_000
"""Bytes of the change: within one Padmé length, whatever it is made up of."""

FEW = settings(deadline=None, database=None, phases=(Phase.explicit, Phase.generate))
"""Each example takes a tenth of a second, and shrinking them many."""


@attrs.frozen
class Scene:
    """
    What both worlds have in common.

    @ivar latency: seconds, about, of a message.
    @ivar loss: share of messages that are lost.
    @ivar delayed: share of messages that take half a second more.
    @ivar wait: seconds between the idle flock and the change.
    @ivar after: seconds that are watched after the change.
    @ivar crash: seconds between the change and the crash of the last member;
        None if nobody crashes.
    @ivar back: seconds from then until it starts again; None: never.
    @ivar constant: who asks for constant cover, indices.
    @ivar turns: the last member starts again with the other setting.
    @ivar calm: whether it begins a minute later: then rounds are at ease.
    """

    members: int
    seed: int
    latency: float = 0.004
    loss: float = 0.0
    delayed: float = 0.0
    wait: float = 0.3
    after: float = 6.0
    crash: float | None = None
    back: float | None = None
    constant: tuple[int, ...] = ()
    turns: bool = False
    calm: bool = False


@attrs.frozen
class Change:
    """
    What the worlds differ in.

    @ivar who: makes it, an index.
    @ivar parts: it consists of so many files.
    @ivar for_all: whether all want it, or only one other.
    @ivar copies: how often all of it is queued.
    @ivar size: bytes.
    @ivar at: seconds later than usual.
    """

    who: int
    parts: int = 1
    for_all: bool = True
    copies: int = 1
    size: int = SIZE
    at: float = 0.0


def play(scene: Scene, change: Change | None, make: MakeFlock = Flock) -> list[Sent]:
    """
    Everything handed to the transport in one world.

    @param change: L{None}: nothing happens.
    """

    def latency(sender: MemberId, receiver: MemberId, number: int) -> float:
        # Only once the flock has formed: with whom each takes part does show.
        late = (
            network.clock.seconds() > 7.5
            and fate(scene.seed, "delayed", sender, receiver, number) < scene.delayed
        )
        jitter = fate(scene.seed, "latency", sender, receiver, number)
        return scene.latency * (0.5 + jitter) + 0.5 * late

    network = VirtualNetwork(
        latency=latency,
        loss=lambda a, b, n: fate(scene.seed, "loss", a, b, n) < scene.loss,
    )
    world = World(
        scene.members,
        seed=scene.seed,
        network=network,
        make=make,
        uplink=8_000_000 if scene.calm else 400_000,
        constant=scene.constant,
    )
    network.run(8.0 + scene.wait + scene.calm * CALM * SLOT)
    if change is not None:
        network.at(network.clock.seconds() + change.at, happen, world, change)
    if scene.crash is not None:
        network.run(scene.crash)
        world.kill(world.nodes[-1])
        if scene.back is not None:
            network.run(scene.back)
            world.constant ^= {scene.members - 1} if scene.turns else set()
            world.revive(world.nodes[-1])
    network.run(scene.after)
    return network.trace


def happen(world: World, change: Change) -> None:
    """The change is made."""
    node = world.nodes[change.who]
    receivers: Sequence[MemberId] | None = None if change.for_all else node.peers[:1]
    for part in range(change.parts):
        node.change(part, change.size // change.parts, receivers, change.copies)


def difference(left: Sequence[Sent], right: Sequence[Sent]) -> str:
    """Where two traces part."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return f"message {index}: {one} is {other} in the other world"
    return f"{len(left)} messages are {len(right)} in the other world"


class WorldsCase(SynchronousTestCase):
    """Two worlds, equal but for the secret."""

    def assert_equal(self, scene: Scene, one: Change | None, other: Change | None) -> None:
        left, right = play(scene, one), play(scene, other)
        if left != right:
            self.fail(f"{scene}: {difference(left, right)}")


class NoninterferenceTests(WorldsCase):
    """With cover in rounds."""

    @settings(FEW, max_examples=12)
    @given(
        st.data(),
        st.builds(
            Scene,
            members=st.integers(3, 5),
            seed=st.integers(0, 1 << 30),
            latency=st.sampled_from((0.0005, 0.01, 0.06)),
            loss=st.sampled_from((0.0, 0.0, 0.02)),
            delayed=st.sampled_from((0.0, 0.0, 0.2)),
            # Well within a slot, since the slot of a change does show.
            wait=st.integers(0, 3).map(lambda slots: 0.25 + slots * 0.5),
            calm=st.booleans(),
        ),
    )
    def test_who_changes_what_for_whom_does_not_show(
        self, data: st.DataObject, scene: Scene
    ) -> None:
        who = st.integers(0, scene.members - 1)
        changes = st.builds(Change, who, st.integers(1, 4), st.booleans())
        self.assert_equal(scene, data.draw(changes), data.draw(changes))

    @settings(FEW, max_examples=6)
    @given(st.integers(0, 1 << 30), st.floats(0.0, 4.5), st.booleans())
    def test_nor_does_it_if_another_member_vanishes(
        self, seed: int, crash: float, calm: bool
    ) -> None:
        scene = Scene(4, seed, crash=crash, after=12.0, calm=calm)
        self.assert_equal(scene, Change(0), Change(2, 3, False))

    def test_the_change_does_bring_a_round_about(self) -> None:
        """Or the others would compare nothing."""
        scene = Scene(3, 1)
        frames = [sent for sent in play(scene, Change(1)) if sent.time > 8.0 and sent.size > 256]
        self.assertGreater(len(frames), 100)


class ConstantCoverTests(WorldsCase):
    """Under constant cover it does not even show when something happens, and whether."""

    @settings(FEW, max_examples=12)
    @given(
        st.data(),
        st.builds(
            Scene,
            members=st.integers(3, 5),
            seed=st.integers(0, 1 << 30),
            latency=st.sampled_from((0.0005, 0.01, 0.06)),
            loss=st.sampled_from((0.0, 0.0, 0.02)),
            delayed=st.sampled_from((0.0, 0.0, 0.2)),
            constant=st.sampled_from(((0,), (1,), (0, 1, 2))),
            crash=st.sampled_from((None, 0.1, 2.0)),
            back=st.sampled_from((None, 0.4, 3.0)),
            # The last of three is sometimes one who asks, but never the only one.
            turns=st.booleans(),
            after=st.just(14.0),
        ),
    )
    def test_who_changes_what_when_and_whether_does_not_show(
        self, data: st.DataObject, scene: Scene
    ) -> None:
        changes = st.none() | st.builds(
            Change,
            # Who is not there can change nothing.
            who=st.integers(0, scene.members - 2),
            parts=st.integers(1, 4),
            for_all=st.booleans(),
            size=st.integers(1, 300_000),
            at=st.floats(0.0, 6.0),
        )
        self.assert_equal(scene, data.draw(changes), data.draw(changes))

    def test_the_change_does_get_through(self) -> None:
        """Or the others would compare nothing."""
        network = VirtualNetwork()
        world = World(3, network=network, constant=(1,))
        network.run(8.0)
        world.nodes[0].change(1, SIZE)
        network.run(3.0)
        self.assertTrue(all(1 in node.has for node in world.nodes))


class EagerFlock(Flock):
    """Mutant: sends at once what is queued."""

    def queue(self, member: MemberId, priority: Priority, records: bytes) -> None:
        super().queue(member, priority, records)
        if self._members[member].alive:
            self._transport.frame(member, self._members[member].outgoing.build(0, 4117).message)


class SparingShaper(Shaper):
    """Mutant: skips a frame that would carry nothing."""

    def _emit(self) -> None:
        self._built = [(quota, built) for quota, built in self._built if worth(built)]
        super()._emit()


def worth(built: Built) -> bool:
    """Whether a frame carries anything."""
    return bool(built.runs)


class SparingFlock(Flock):
    shaper = SparingShaper


class ProudConductor(Conductor):
    """Mutant: whoever has news calls the round."""

    def _leads(self, own: Snapshot) -> bool:
        return own.new > 0 or (super()._leads(own) and not self._others_news(own))

    def _others_news(self, own: Snapshot) -> bool:
        return any(trailer.new for trailer in self._trailers(own.set.others(self._me)))


class ProudFlock(Flock):
    conductor = ProudConductor


class LongConductor(Conductor):
    """Mutant: goes on until all is sent."""

    def plan(self, slot: int) -> SlotPlan | None:
        current = self.round
        if current is None or not self._busy:
            return super().plan(slot)
        stop, current.stop_slot = current.stop_slot, None
        plan = super().plan(slot)
        current.stop_slot = stop
        return plan

    def _stop_at(self, current: Round) -> float:
        return math.inf if self._busy else super()._stop_at(current)

    @property
    def _busy(self) -> bool:
        return self._own[max(self._own)].backlog > 0


class LongFlock(Flock):
    conductor = LongConductor


class HastyConductor(Conductor):
    """Mutant: small rounds are fast if this node has news."""

    def _keep_to(self, octave: int, current: Round) -> None:
        own = self._own[max(self._own)]
        super()._keep_to(0 if own.new else octave, current)


class HastyFlock(Flock):
    conductor = HastyConductor


class SharingFlock(Flock):
    """Mutant: draws for what is queued from the shaper's stream."""

    def queue(self, member: MemberId, priority: Priority, records: bytes) -> None:
        self._random.links.random()
        super().queue(member, priority, records)


class HungryCover(ConstantCover):
    """Mutant: sends more while there is something to send."""

    busy = False

    def boundary(self, own: Snapshot, now: float) -> None:
        self.busy = own.new > 0 or own.backlog > 0
        super().boundary(own, now)

    def plan(self, slot: int) -> SlotPlan:
        plan = super().plan(slot)
        return attrs.evolve(plan, frames=plan.frames * (1 + self.busy))


class HungryFlock(Flock):
    cover = HungryCover


class LazyCover(HungryCover):
    """Mutant: there is cover only while there is something to cover."""

    def look(self, slot: int, now: float) -> None:
        self._asks = self.busy
        super().look(slot, now)


class LazyFlock(Flock):
    cover = LazyCover


COVERED = Scene(3, 5, constant=(0, 1, 2))


class PlantedLeakTests(SynchronousTestCase):
    """What must be found."""

    def assert_found(
        self, make: MakeFlock, one: Change | None, other: Change | None, *scenes: Scene
    ) -> None:
        for scene in scenes or (Scene(3, 5),):
            # Compared outside of an assertion, which would print both.
            if play(scene, one) != play(scene, other):
                self.fail("found without the mutant")
            if play(scene, one, make) != play(scene, other, make):
                return
        self.fail("not found")

    def test_sending_at_once_is_found(self) -> None:
        self.assert_found(EagerFlock, Change(0), Change(1))

    def test_skipping_empty_frames_is_found(self) -> None:
        self.assert_found(SparingFlock, Change(0), Change(1))

    def test_a_round_called_by_who_has_news_is_found(self) -> None:
        """Not by who starts first, but by whose delayed packets delay the start."""
        scenes = [Scene(3, seed, delayed=0.2) for seed in range(6)]
        self.assert_found(ProudFlock, Change(0), Change(2), *scenes)

    def test_a_round_that_lasts_until_all_is_sent_is_found(self) -> None:
        scene = Scene(3, 5, after=3.2)
        self.assert_found(LongFlock, Change(0), Change(0, copies=30), scene)

    def test_a_small_round_that_is_fast_for_its_leaders_news_is_found(self) -> None:
        self.assert_found(HastyFlock, Change(0), Change(1), Scene(3, 5, calm=True))

    def test_a_stream_shared_with_the_payload_is_found(self) -> None:
        self.assert_found(SharingFlock, Change(0), Change(1))

    def test_under_constant_cover_a_frame_for_each_record_is_found(self) -> None:
        for other in (Change(1), None):
            self.assert_found(EagerFlock, Change(0), other, COVERED)

    def test_under_constant_cover_skipping_empty_frames_is_found(self) -> None:
        for other in (Change(1), None):
            self.assert_found(SparingFlock, Change(0), other, COVERED)

    def test_a_rate_raised_for_what_is_outstanding_is_found(self) -> None:
        for other in (Change(1), Change(0, at=2.0), None):
            self.assert_found(HungryFlock, Change(0), other, COVERED)

    def test_cover_that_begins_when_it_is_needed_is_found(self) -> None:
        self.assert_found(LazyFlock, Change(0), None, COVERED)
