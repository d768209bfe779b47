# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.receive.resolving}, asked by way of
L{flocknode.box.requests}, over real folders.
"""

from __future__ import annotations

import os

from flocknode.box.requests import Answer
from tests.box.peers import exchange
from tests.box.test_requests import RequestsCase, run

NAMES = ("a", "b", "c", "d")


class ResolvingCase(RequestsCase):
    def conflict(self, path: str = "plan.txt", mine: bytes = b"mine", *others: bytes) -> list[str]:
        """C{mine} wins.  @return: the siblings' paths."""
        others = others or (b"other",)
        self.a.put(path, b"base", mtime=1)
        exchange(self.a, self.b)
        self.b.put(path, mine, mtime=100_000)
        for number, other in enumerate(others):
            peer = self.a if not number else self.peer(NAMES[number + 1])
            peer.put(path, other, mtime=2000 + number)
            exchange(self.b, peer)
        exchange(self.a, self.b)
        return [each["path"] for each in self.ask().conflicts()]

    def resolve(self, keep: str, path: str) -> Answer:
        answer = run(self.ask().resolve(keep, path))
        self.b.work()
        exchange(self.a, self.b)
        self.assertLevel(self.a, self.b)
        return answer

    def not_resolved(self, keep: str, path: str) -> str:
        return self.refused(lambda: run(self.ask().resolve(keep, path)))


class Listing(ResolvingCase):
    """Which conflicts there are."""

    def test_a_sibling_belongs_to_the_file_whose_name_it_has(self) -> None:
        (sibling,) = self.conflict("d/plan.txt")
        self.assertEqual(
            self.ask().conflicts(),
            [
                {
                    "path": sibling,
                    "of": "d/plan.txt",
                    "there": True,
                    "kind": "file",
                    "size": 5,
                    "mtime": 2000.0,
                }
            ],
        )

    def test_the_siblings_of_a_file_stand_together(self) -> None:
        self.conflict("b")
        self.conflict("a", b"mine", b"other", b"another")
        self.assertEqual([each["of"] for each in self.ask().conflicts()], ["a", "a", "b"])

    def test_a_name_that_was_cut_belongs_to_the_whole_one(self) -> None:
        name = "x" * 240 + ".txt"
        self.conflict(name)
        self.assertEqual([each["of"] for each in self.ask().conflicts()], [name])

    def test_a_sibling_may_be_all_that_is_left(self) -> None:
        self.conflict()
        os.unlink(self.b.path("plan.txt"))
        self.b.scan()
        self.assertEqual([each["there"] for each in self.ask().conflicts()], [False])


class KeepMine(ResolvingCase):
    """The siblings go."""

    def test_all_siblings_of_a_file_go_to_the_store(self) -> None:
        siblings = self.conflict("plan.txt", b"mine", b"other", b"another")
        self.assertEqual(self.resolve("mine", "plan.txt")["removed"], siblings)
        self.assertEqual(self.a.contents(), [b"mine"])
        self.assertIn(b"other", self.b.kept())
        self.assertIn(b"another", self.b.kept())

    def test_a_sibling_can_be_named_alone(self) -> None:
        one, two = self.conflict("plan.txt", b"mine", b"other", b"another")
        self.assertEqual(self.resolve("mine", two)["removed"], [two])
        self.assertEqual([each["path"] for each in self.ask().conflicts()], [one])

    def test_if_mine_is_gone_there_is_nothing_to_keep(self) -> None:
        self.conflict()
        os.unlink(self.b.path("plan.txt"))
        self.b.scan()
        self.assertIn("is not there", self.not_resolved("mine", "plan.txt"))

    def test_a_sibling_that_was_just_changed_stays(self) -> None:
        (sibling,) = self.conflict()
        self.b.put(sibling, b"merged")
        self.assertIn("just been changed", self.not_resolved("mine", "plan.txt"))


class KeepOther(ResolvingCase):
    """The sibling takes the file's place."""

    def test_both_are_in_the_store_after_that(self) -> None:
        (sibling,) = self.conflict()
        done = self.resolve("other", "plan.txt")
        self.assertEqual((done["replaced"], done["removed"]), ("plan.txt", [sibling]))
        self.assertEqual(self.a.contents(), [b"other"])
        self.assertEqual(self.a.tree()[b"plan.txt"][2], 2000 * 10**9)
        self.assertEqual(sorted(self.b.kept())[-2:], [b"mine", b"other"])

    def test_of_several_one_has_to_be_named(self) -> None:
        siblings = self.conflict("plan.txt", b"mine", b"other", b"another")
        self.assertIn("2 conflicts", self.not_resolved("other", "plan.txt"))
        self.resolve("other", siblings[1])
        self.assertEqual(self.b.get("plan.txt"), b"another")
        self.assertEqual([each["path"] for each in self.ask().conflicts()], siblings[:1])

    def test_it_may_be_all_that_is_left(self) -> None:
        self.conflict()
        os.unlink(self.b.path("plan.txt"))
        self.b.scan()
        self.resolve("other", "plan.txt")
        self.assertEqual((self.a.names(), self.a.contents()), ({b"plan.txt"}, [b"other"]))

    def test_links_take_the_place_as_links(self) -> None:
        self.b.put("plan", b"mine", mtime=4e9)
        os.symlink("elsewhere", self.a.path("plan"))
        exchange(self.a, self.b)
        self.resolve("other", "plan")
        self.assertEqual(os.readlink(self.a.path("plan")), b"elsewhere")

    def test_a_directory_is_not_replaced(self) -> None:
        self.a.put("thing", b"file", mtime=1)
        self.b.put("thing/inside", b"y")
        exchange(self.a, self.b)
        self.assertIn("is a directory", self.not_resolved("other", "thing"))

    def test_a_sibling_that_is_changed_meanwhile_stays(self) -> None:
        (sibling,) = self.conflict()
        steps = self.ask().resolve("other", "plan.txt")
        self.assertIsNone(next(steps))
        self.b.put(sibling, b"merged")
        self.assertIn("just been changed", self.refused(lambda: run(steps)))
        self.assertEqual(self.b.get("plan.txt"), b"mine")

    def test_a_file_that_was_just_changed_stays(self) -> None:
        self.conflict()
        self.b.put("plan.txt", b"merged")
        self.assertIn("just been changed", self.not_resolved("other", "plan.txt"))


class KeepBoth(ResolvingCase):
    """The sibling gets a plain name."""

    def test_each_gets_the_next_number(self) -> None:
        siblings = self.conflict("d/plan.txt", b"mine", b"other", b"another")
        done = self.resolve("both", "d/plan.txt")
        plain = ["d/plan (2).txt", "d/plan (3).txt"]
        self.assertEqual(done["renamed"], list(map(list, zip(siblings, plain, strict=True))))
        self.assertEqual([self.a.get(path) for path in plain], [b"other", b"another"])
        self.assertEqual(self.ask().conflicts(), [])
        self.assertEqual(self.a.tree()[b"d/plan (2).txt"][2], 2000 * 10**9)

    def test_a_name_that_is_taken_is_not_used(self) -> None:
        self.conflict()
        self.b.put("plan (2).txt", b"something else")
        self.resolve("both", "plan.txt")
        self.assertEqual(self.b.get("plan (2).txt"), b"something else")
        self.assertEqual(self.b.get("plan (3).txt"), b"other")

    def test_two_who_do_so_at_the_same_time_agree(self) -> None:
        self.conflict()
        for peer in (self.a, self.b):
            run(self.ask(peer).resolve("both", "plan.txt"))
            peer.work()
        exchange(self.a, self.b)
        self.assertEqual(self.b.names(), {b"plan.txt", b"plan (2).txt"})
        self.assertLevel(self.a, self.b)

    def test_it_may_be_next_to_a_directory(self) -> None:
        self.a.put("thing", b"file", mtime=1)
        self.b.put("thing/inside", b"y")
        exchange(self.a, self.b)
        self.resolve("both", "thing")
        self.assertEqual(self.b.names(), {b"thing", b"thing/inside", b"thing (2)"})


class Refusing(ResolvingCase):
    """What is no conflict."""

    def test_a_path_without_one(self) -> None:
        self.conflict()
        for path in ("nothing", "d/plan.txt"):
            self.assertIn("has no conflict", self.not_resolved("mine", path))

    def test_no_path(self) -> None:
        for path in ("", ".", ".."):
            self.assertIn("no path", self.not_resolved("mine", path))
