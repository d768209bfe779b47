# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.receive.adopting} and
L{flocknode.box.receive.taking}, over real folders.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flocknode.box.disk import copying
from flocknode.box.listing import Deleted, Offer
from flocknode.box.receive import adopting, taking
from flocknode.box.receive.taking import take
from flocknode.box.requests import Requests
from flocknode.box.values import Path
from flocknode.errors import BoxError
from flocknode.testing.filesystems import Twin
from tests.box.folders import refuse
from tests.box.peers import Peer, PeerCase

MTIME = 10**18


class AdoptingCase(PeerCase):
    """
    A box, and files beside it.

    """

    def setUp(self) -> None:
        super().setUp()
        self.box = self.peer("box")

    def offer(self, path: bytes, data: bytes, asked: bool = False) -> Offer:
        source = os.path.join(self.base, "source-" + data.hex())
        with open(source, "wb") as file:
            file.write(data)
        return Offer(Path(path), source, MTIME, asked)

    def adopt(self, offers: Sequence[Offer], box: Peer | None = None) -> list[Path | BoxError]:
        """As the box does it; it then looks at what is there."""
        box = box or self.box
        taken = [each for each in take(box.site, offers, lambda: False) if each is not None]
        steps = Requests(box.engine).adopt(taken[-1])
        results = [each for each in steps if each is not None][-1]
        taking.drop(box.site, taken[-1])
        box.work()
        self.assertEqual(os.listdir(box.path(".flocknode/staging")), [])
        return results

    def paths(self, *files: tuple[bytes, bytes]) -> list[bytes]:
        """Where these lie, which are adopted in one go."""
        results = self.adopt([self.offer(path, data) for path, data in files])
        return [self.placed(result) for result in results]

    def placed(self, result: Path | BoxError) -> bytes:
        if isinstance(result, BoxError):
            raise result
        return bytes(result)

    def rounds(self) -> list[int]:
        """How many go to the folder in one go, as it happens."""
        found: list[int] = []
        place = self.box.site.placer.place

        def counted(batch, record):  # type: ignore[no-untyped-def]
            found.append(len(batch))
            return place(batch, record)

        self.patch(self.box.site.placer, "place", counted)
        return found


class Batches(AdoptingCase):
    """Several in one go."""

    def test_they_are_placed_in_one_go_with_their_directories(self) -> None:
        rounds = self.rounds()
        paths = [b"d/e/%d" % number for number in range(10)]
        self.assertEqual(self.paths(*((path, path) for path in paths)), paths)
        self.assertEqual(rounds, [12])
        self.assertEqual(self.box.get("d/e/7"), b"d/e/7")

    def test_a_round_has_its_limit(self) -> None:
        self.patch(adopting, "ROUND", 4)
        rounds = self.rounds()
        self.paths(*((b"%d" % number, b"%d" % number) for number in range(10)))
        self.assertEqual(rounds, [4, 4, 2])

    def test_the_same_file_twice_is_taken_once(self) -> None:
        self.assertEqual(self.paths((b"a", b"1"), (b"a", b"1")), [b"a", b"a"])
        self.assertEqual(self.box.names(), {b"a"})

    def test_another_of_the_same_name_comes_to_lie_beside_it(self) -> None:
        one, two, three = self.paths((b"a", b"1"), (b"a", b"2"), (b"a", b"2"))
        self.assertEqual((one, two), (b"a", three))
        self.assertIn(b".conflict-", two)
        self.assertEqual((self.box.get(one), self.box.get(two)), (b"1", b"2"))

    def test_what_would_lie_below_another_file_comes_to_lie_beside_it(self) -> None:
        one, two = self.paths((b"a", b"1"), (b"a/b", b"2"))
        self.assertEqual(one, b"a")
        self.assertTrue(two.startswith(b"a.conflict-"), two)
        self.assertEqual(self.box.names(), {one, two})

    def test_what_has_the_name_of_a_directory_comes_to_lie_beside_it(self) -> None:
        one, two = self.paths((b"a/b", b"1"), (b"a", b"2"))
        self.assertEqual(one, b"a/b")
        self.assertTrue(two.startswith(b"a.conflict-"), two)

    def test_what_the_user_does_in_the_last_instant_wins(self) -> None:
        def hook(step: str, path: Path) -> None:
            if step == "prepared":
                self.box.put("b", b"the user's")

        self.box.hook = hook
        one, two, three = self.adopt([self.offer(path, path) for path in (b"a", b"b", b"c")])
        self.assertEqual((one, three), (b"a", b"c"))
        self.assertIsInstance(two, BoxError)
        self.assertEqual(self.box.get("b"), b"the user's")

    def test_a_directory_that_cannot_be_made_fails_what_belongs_into_it(self) -> None:
        self.patch(os, "mkdir", refuse(13))
        one, two = self.adopt([self.offer(b"a", b"1"), self.offer(b"d/b", b"2")])
        self.assertEqual(one, b"a")
        self.assertIn("Permission denied", str(two))

    def test_a_source_that_changes_while_it_is_copied_is_not_taken(self) -> None:
        offer = self.offer(b"a", b"1")

        def write(descriptor: int, data: bytes, offset: int) -> int:
            with open(offer.source, "ab") as file:
                file.write(b"more")
            return copying.write_all(descriptor, data, offset)

        self.patch(taking, "write_all", write)
        (result,) = self.adopt([offer])
        self.assertIn("was changed while it was taken", str(result))
        self.assertEqual(self.box.names(), set())

    def test_a_large_file_is_broken_off_when_the_box_is_stopped(self) -> None:
        self.patch(taking, "WHOLE", 2)
        steps = list(take(self.box.site, [self.offer(b"a", b"large")], lambda: True))
        assert steps[-1] is not None
        (result,) = steps[-1]
        self.assertIn("broken off", str(result))
        self.assertEqual(os.listdir(self.box.path(".flocknode/staging")), [])

    def test_copies_go_when_nobody_waits_for_the_rest(self) -> None:
        self.patch(taking, "PIECE", 1)
        steps = take(self.box.site, [self.offer(b"a", b"1")], lambda: False)
        self.assertIsNone(next(steps))
        self.assertEqual(len(os.listdir(self.box.path(".flocknode/staging"))), 1)
        steps.close()  # type: ignore[attr-defined]
        self.assertEqual(os.listdir(self.box.path(".flocknode/staging")), [])


class InsensitiveTests(AdoptingCase):
    """On a disk that does not tell case apart."""

    def setUp(self) -> None:
        PeerCase.setUp(self)
        Twin.case_insensitive(os.fsencode(os.path.join(self.base, "box"))).install(self.patch)
        self.box = self.peer("box")

    def test_the_same_file_in_another_case_is_taken_once(self) -> None:
        self.assertEqual(self.paths((b"File", b"1"), (b"fILE", b"1")), [b"File", b"File"])
        self.assertEqual(self.paths((b"file", b"1")), [b"File"])
        self.assertEqual(self.box.names(), {b"File"})

    def test_another_file_in_another_case_comes_to_lie_beside_it(self) -> None:
        for files in (((b"File", b"1"), (b"file", b"2")), ((b"FILE", b"3"),)):
            self.paths(*files)
        self.assertEqual(self.box.get("File"), b"1")
        self.assertEqual(self.box.contents(), [b"1", b"2", b"3"])

    def test_a_directory_in_another_case_is_the_same(self) -> None:
        found = self.paths((b"Dir/a", b"1"), (b"dir/b", b"2"), (b"DIR", b"3"))
        self.assertEqual(found[:2], [b"Dir/a", b"Dir/b"])
        self.assertIn(b".conflict-", found[2])
        self.assertEqual(self.paths((b"dIR/c", b"4")), [b"Dir/c"])


class Equality(PeerCase):
    """A batch, and the same one after another."""

    PATHS = (b"a", b"b", b"a/x", b"a/y", b"a/x/z", b"mine", b"mine/x", b"folder", b"gone")

    @given(
        st.lists(
            st.tuples(st.sampled_from(PATHS), st.sampled_from((b"", b"1", b"2")), st.booleans()),
            max_size=10,
        )
    )
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_a_batch_is_the_same_as_one_after_another(
        self, files: list[tuple[bytes, bytes, bool]]
    ) -> None:
        case = AdoptingCase()
        case.base = self.mktemp()
        os.makedirs(case.base)
        found = []
        boxes = [Peer(case.base, "one"), Peer(case.base, "two")]
        try:
            for number, box in enumerate(boxes):
                other = Peer(case.base, f"other-{number}")
                for name in ("mine", "folder/x", "gone"):
                    box.put(name, b"mine", 1e9)
                box.scan()
                # What nobody has heard of leaves no trace.
                other.hear(box)
                other.kill()
                os.unlink(box.path("gone"))
                box.scan()
            offers = [case.offer(*file) for file in files]
            found.append(case.adopt(offers, boxes[0]))
            found.append([each for offer in offers for each in case.adopt([offer], boxes[1])])
            said = [
                [each if isinstance(each, bytes) else (type(each), str(each)) for each in results]
                for results in found
            ]
            self.assertEqual(*said)
            self.assertEqual(boxes[0].tree(), boxes[1].tree())
            for (path, _, asked), result in zip(files, found[0], strict=True):
                if path == b"gone" and not asked and b"gone" not in boxes[0].names():
                    self.assertIsInstance(result, Deleted)
        finally:
            for box in boxes:
                box.kill()
            shutil.rmtree(case.base)
