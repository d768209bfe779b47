# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.box.survey.compare}.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from flocknode.box.content import block_hash
from flocknode.box.disk.folder import FileType, Folder
from flocknode.box.index.database import Index
from flocknode.box.survey import compare, hashers
from flocknode.box.survey.compare import SLICE, Survey
from flocknode.box.survey.observe import Observation, Sighting
from flocknode.box.values import Path
from tests.box.peers import Peer, PeerCase


class SurveyTests(PeerCase):
    def setUp(self) -> None:
        super().setUp()
        self.box: Peer = self.peer("a")
        self.reading = Index(self.box.state, reading=True)
        self.addCleanup(self.reading.close)
        self.now = time.time_ns() + 10**12

    def survey(self) -> Survey:
        return Survey(self.box.site, self.reading, now=lambda: self.now)

    def seen(self, sightings: Iterable[Sighting]) -> list[tuple[bytes, FileType | None]]:
        return [
            (seen.path, None if seen.stat is None else seen.stat.type)
            for sighting in sightings
            for seen in sighting.observations
        ]

    def test_of_what_is_as_it_was_nothing_is_said(self) -> None:
        self.box.put("d/file", b"x")
        os.symlink("x", self.box.path("link"))
        self.box.scan()
        self.assertEqual(self.seen(self.survey().scan()), [])

    def test_parents_come_before_children_and_what_is_gone_last(self) -> None:
        self.box.put("a/gone", b"x")
        self.box.put("b/gone/too", b"x")
        self.box.scan()
        os.unlink(self.box.path("a/gone"))
        os.unlink(self.box.path("b/gone/too"))
        os.rmdir(self.box.path("b/gone"))
        self.box.put("z/new", b"y")
        self.assertEqual(
            self.seen(self.survey().scan()),
            [
                (b"z", FileType.DIRECTORY),
                (b"z/new", FileType.FILE),
                (b"a/gone", None),
                (b"b/gone", None),
                (b"b/gone/too", None),
            ],
        )

    def test_what_was_in_a_directory_goes_with_it_when_a_file_takes_its_place(self) -> None:
        self.box.put("d/x", b"x")
        self.box.scan()
        os.unlink(self.box.path("d/x"))
        os.rmdir(self.box.path("d"))
        self.box.put("d", b"file")
        for survey in (self.survey().scan(), self.survey().look([Path(b"d")])):
            self.assertEqual(self.seen(survey), [(b"d", FileType.FILE), (b"d/x", None)])

    def test_a_new_directory_is_looked_into_and_so_are_unknown_ones_above(self) -> None:
        self.box.put("a/b/c/file", b"x")
        paths = [b"a", b"a/b", b"a/b/c", b"a/b/c/file"]
        for survey in (
            self.survey().look([Path(b"a/b")]),
            self.survey().scan(Path(b"a/b/c")),
        ):
            self.assertEqual(sorted(set(self.seen(survey)))[:4], [
                (path, FileType.FILE if path.endswith(b"file") else FileType.DIRECTORY)
                for path in paths
            ])  # fmt: skip

    def test_somebody_who_asks_about_what_is_unchanged_is_answered(self) -> None:
        self.box.put("file", b"x")
        self.box.scan()
        (sighting,) = self.survey().look([Path(b"file"), Path(b"never was")])
        self.assertEqual(
            [(seen.path, seen.hashed) for seen in sighting.observations],
            [(b"file", None), (b"never was", None)],
        )

    def test_what_is_to_be_hashed_afresh_is_hashed(self) -> None:
        self.box.put("file", b"x")
        self.box.scan()
        (sighting,) = self.survey().look([Path(b"file")], afresh=True)
        self.assertIsNotNone(sighting.observations[0].hashed)

    def test_our_own_directory_is_left_out(self) -> None:
        found = self.survey().look([Path(b".flocknode"), Path(b".flocknode/box")])
        self.assertEqual(self.seen(found), [])

    def test_a_pipe_is_a_problem_and_neither_new_nor_gone(self) -> None:
        self.box.put("thing", b"x")
        self.box.scan()
        os.unlink(self.box.path("thing"))
        os.mkfifo(self.box.path("thing"))
        (sighting,) = self.survey().scan()
        self.assertEqual(sighting.observations, ())
        self.assertEqual([path for path, _ in sighting.problems], [b"thing"])

    def test_what_cannot_be_listed_is_a_problem_and_nothing_in_it_is_gone(self) -> None:
        self.box.put("d/file", b"x")
        self.box.scan()
        real = Folder.open_directory

        def refuse(folder: Folder, path: bytes, flags: int = 0) -> int:
            if path == b"d":
                raise OSError(5, "Input/output error")
            return real(folder, path, flags)

        self.patch(Folder, "open_directory", refuse)
        (sighting,) = self.survey().scan()
        self.assertEqual(sighting.observations, ())
        self.assertEqual([path for path, _ in sighting.problems], [b"d"])

    def test_what_changed_shortly_before_is_doubtful(self) -> None:
        self.box.put("file", b"x")
        stat = os.stat(self.box.path("file"))
        self.now = stat.st_ctime_ns + 1_000_000
        (sighting,) = self.survey().scan()
        self.assertEqual(sighting.doubtful, {b"file"})
        self.now = stat.st_ctime_ns + 10**10
        (sighting,) = self.survey().scan()
        self.assertEqual(sighting.doubtful, frozenset())

    def test_many_are_told_in_slices(self) -> None:
        for number in range(SLICE + 10):
            self.box.put(str(number), b"x")
        sizes = [len(each.observations) for each in self.survey().scan()]
        self.assertEqual(sizes, [SLICE, 10])

    def test_a_cancelled_survey_says_nothing_of_what_is_gone(self) -> None:
        self.box.put("gone", b"x")
        self.box.put("here/file", b"x")
        self.box.scan()
        os.unlink(self.box.path("gone"))
        asked = 0

        def cancelled() -> bool:
            nonlocal asked
            asked += 1
            return asked > 1

        survey = Survey(self.box.site, self.reading, cancelled=cancelled)
        self.addCleanup(survey.close)
        self.assertEqual(list(survey.scan()), [])

    def test_files_of_all_sizes_are_told_in_order_with_their_content(self) -> None:
        self.patch(hashers, "BUNCH", 300_000)
        self.patch(hashers, "ALONE", 400_000)
        sizes = [0, 1, 500_000, 200_000, 131_072, 131_073, 250_000, 150_000, 3]
        data = [os.urandom(size) for size in sizes]
        for number, each in enumerate(data):
            self.box.put(f"d{number}/file", each)
        survey = Survey(self.box.site, self.reading, now=lambda: self.now, threads=2)
        self.addCleanup(survey.close)
        (sighting,) = survey.scan()
        found = [seen for seen in sighting.observations if seen.hashed is not None]
        self.assertEqual([seen.path for seen in found], [b"d%d/file" % n for n in range(9)])
        for seen, each in zip(found, data, strict=True):
            assert seen.hashed is not None
            pieces = [each[at : at + 131_072] for at in range(0, len(each), 131_072)]
            self.assertEqual(seen.hashed.blocks, tuple(map(block_hash, pieces)))

    def test_what_processes_hash_is_told_in_order_and_once(self) -> None:
        self.patch(hashers, "ENOUGH", 1)
        self.patch(hashers, "BUNCH", 300_000)
        self.patch(compare, "SLICE", 3)
        data = [os.urandom(size) for size in (200_000, 1, 300_000, 140_000, 5, 3, 2, 180_000)]
        for number, each in enumerate(data):
            self.box.put(f"f{number}", each)
        os.unlink(self.box.path("f6"))
        self.box.put("gone", b"x")
        self.box.scan()
        for number in range(8):
            self.box.put(f"f{number}", data[number] + b"more")
        os.unlink(self.box.path("gone"))
        survey = self.survey()
        self.addCleanup(survey.close)
        sightings = list(survey.scan())
        found = [seen for sighting in sightings for seen in sighting.observations]
        self.assertEqual(
            [seen.path for seen in found], [*(b"f%d" % number for number in range(8)), b"gone"]
        )
        self.assertEqual([len(each.observations) for each in sightings], [3, 3, 3])
        for seen, each in zip(found, data, strict=False):
            assert seen.hashed is not None
            whole = each + b"more"
            pieces = [whole[at : at + 131_072] for at in range(0, len(whole), 131_072)]
            self.assertEqual(seen.hashed.blocks, tuple(map(block_hash, pieces)))
            self.assertEqual(seen.stat, self.box.site.view.lstat(seen.path))

    def test_what_cannot_be_read_in_another_thread_is_a_problem_of_its_own(self) -> None:
        for name in "abc":
            self.box.put(name, os.urandom(200_000))
        survey = Survey(self.box.site, self.reading, now=lambda: self.now, threads=2)
        self.addCleanup(survey.close)
        real = survey._scanner.hash_file

        def refuse(path: bytes, *args: object, **named: object) -> object:
            if path == b"b":
                raise OSError(5, "Input/output error")
            return real(path, *args, **named)  # type: ignore[arg-type]

        self.patch(survey._scanner, "hash_file", refuse)
        (sighting,) = survey.scan()
        self.assertEqual([path for path, _ in sighting.problems], [b"b"])
        self.assertEqual([seen.path for seen in sighting.observations], [b"a", b"c"])

    def test_a_file_that_changes_while_it_is_read_is_looked_at_again(self) -> None:
        self.box.put("file", b"x")
        survey = self.survey()
        scanner = survey._scanner
        real = scanner.hash_file

        def change(path: bytes, *args: object, **named: object) -> object:
            self.box.put("file", b"changed")
            return real(path, *args, **named)  # type: ignore[arg-type]

        self.patch(scanner, "hash_file", change)
        (sighting,) = survey.scan()
        self.assertEqual((sighting.observations, sighting.again), ((), {b"file"}))

    def test_watches_are_set_where_it_looks(self) -> None:
        self.box.put("d/e/file", b"x")
        entered: list[bytes] = []
        survey = Survey(self.box.site, self.reading, lambda path, _: entered.append(path))
        list(survey.scan())
        self.assertEqual(entered, [b"", b"d", b"d/e"])

    def test_an_observation_is_a_value(self) -> None:
        self.assertEqual(Observation(Path(b"a"), None), Observation(Path(b"a"), None))
