# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Boxes whose index is damaged in all ways: L{flocknode.box.index.damage}.
"""

from __future__ import annotations

import os
import sqlite3

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.index.damage import MOST_ASIDE, Damaged, is_damage, put_aside
from flocknode.box.index.database import Index
from flocknode.errors import BoxError
from tests.box.peers import Peer, PeerCase, exchange

quick = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)


def files(path: str) -> list[str]:
    """What lies where an index lies."""
    return sorted(os.listdir(os.path.dirname(path)))


class DamageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = os.path.join(self.mktemp(), "index.sqlite")
        os.makedirs(os.path.dirname(self.path))

    def script(self, text: str) -> None:
        connection = sqlite3.connect(self.path)
        connection.executescript(text)
        connection.close()

    def test_what_sqlite_calls_malformed_is_damage_and_other_errors_are_not(self) -> None:
        self.assertTrue(is_damage(sqlite3.DatabaseError("database disk image is malformed")))
        self.assertFalse(is_damage(sqlite3.OperationalError("database or disk is full")))
        self.assertFalse(is_damage(sqlite3.ProgrammingError("Incorrect number of bindings")))
        error = ValueError()
        error.__cause__ = Damaged("So it is.")
        self.assertTrue(is_damage(error))

    def test_what_is_wrong_with_the_place_of_a_file_is_no_damage(self) -> None:
        os.mkdir(self.path)
        error = self.assertRaises(BoxError, Index, self.path)
        self.assertFalse(is_damage(error))
        self.assertIn("move it away", str(error))

    def test_it_is_put_aside_with_its_log(self) -> None:
        for part in ("", "-wal"):
            with open(self.path + part, "w") as file:
                file.write(part)
        aside = put_aside(self.path, 0)
        name = "index.sqlite.corrupt-19700101T000000Z"
        self.assertEqual(os.path.basename(aside), name)
        self.assertEqual(files(self.path), [name, name + "-wal"])

    def test_few_are_kept(self) -> None:
        for number in range(MOST_ASIDE + 2):
            with open(self.path, "w") as file:
                file.write(str(number))
            aside = put_aside(self.path, number // 2)
        self.assertEqual(len(files(self.path)), MOST_ASIDE)
        self.assertIn(os.path.basename(aside), files(self.path))

    def test_a_file_that_is_no_index_is_damaged(self) -> None:
        with open(self.path, "wb") as file:
            file.write(b"rubbish" * 1000)
        self.assertRaises(Damaged, Index, self.path)

    def test_an_index_without_a_table_is_damaged(self) -> None:
        Index(self.path).close()
        self.script("DROP TABLE holder")
        self.assertRaises(Damaged, Index, self.path)

    def test_an_index_without_a_version_is_damaged(self) -> None:
        Index(self.path).close()
        self.script("PRAGMA user_version = 0")
        self.assertRaises(Damaged, Index, self.path)

    def test_a_row_that_is_not_as_it_was_written_is_damage(self) -> None:
        values = {"history": "x'93'", "number": "'one'", "placed_kind": "77"}
        for column, value in values.items():
            index = Index(self.path)
            index._db.execute(
                "INSERT OR REPLACE INTO entry VALUES (x'', x'61', 1, x'929090', 0, 0, 0, x'00', 0,"
                " 0, 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, x'')"
            )
            self.assertIsNotNone(index.row(b"a"))
            index._db.execute(f"UPDATE entry SET {column} = {value}")
            self.assertRaises(Damaged, index.row, b"a")
            self.assertRaises(Damaged, list, index.rows())
            index.close()


class RebuildingTests(PeerCase):
    """
    Whatever happens to an index: nothing is deleted, nothing conflicts, and
    what is in the folders is the same afterwards.
    """

    def setUp(self) -> None:
        super().setUp()
        self.a, self.b = self.peers("a", "b")
        for number in range(8):
            self.a.put(f"d{number % 2}/file{number}", b"%d" % number)
        exchange(self.a, self.b)
        os.unlink(self.a.path("d0/file0"))
        self.a.put("d1/file1", b"changed")
        exchange(self.a, self.b)
        self.tree = self.a.tree()
        self.a.kill()
        with open(self.a.state, "rb") as file:
            self.whole = file.read()

    def start(self, peer: Peer) -> None:
        """As a box does."""
        try:
            peer.start()
        except Exception as error:
            self.anew(peer, error)

    def anew(self, peer: Peer, error: Exception) -> None:
        if not is_damage(error):
            raise error
        put_aside(peer.state, 0)
        peer.start()
        self.assertTrue(peer.rebuilt)

    def after(self, damaged: bytes) -> None:
        """Start with this index, and see that all is well."""
        for part in ("-wal", "-shm"):
            if os.path.exists(self.a.state + part):
                os.unlink(self.a.state + part)
        with open(self.a.state, "wb") as file:
            file.write(damaged)
        self.start(self.a)
        try:
            self.talk()
        except Exception as error:
            self.a.kill()
            self.anew(self.a, error)
            self.talk()
        self.assertEqual(self.a.tree(), self.tree)
        self.assertEqual(self.b.tree(), self.tree)
        self.a.kill()

    def talk(self) -> None:
        """They tell each other everything, the one that has forgotten last."""
        a, b = self.a, self.b
        known = b.number_of(a)
        a.engine.acknowledged(b.holder, a.engine.ledger.index_id, known)
        for _ in range(3):
            for hearer, other in ((a, b), (b, a)):
                hearer.hear(other)
                hearer.work()
                hearer.fetch([other])
                hearer.work()

    def test_a_sound_index_is_not_put_aside(self) -> None:
        self.after(self.whole)
        self.assertFalse(self.a.rebuilt)

    @quick
    @given(st.data())
    def test_a_byte_that_flipped(self, data: st.DataObject) -> None:
        """Anywhere where there is something."""
        at = data.draw(st.integers(0, len(self.whole) - 1))
        # The version of the tables: of a newer flocknode, for all one can know.
        assume(not 60 <= at < 64)
        damaged = bytearray(self.whole)
        damaged[at] ^= data.draw(st.integers(1, 255))
        self.after(bytes(damaged))

    @quick
    @given(st.data())
    def test_a_sector_of_something_else(self, data: st.DataObject) -> None:
        at = 512 * data.draw(st.integers(0, len(self.whole) // 512 - 1))
        filling = data.draw(st.sampled_from([bytes(512), b"\xff" * 512, self.whole[:512]]))
        self.after(self.whole[:at] + filling + self.whole[at + 512 :])

    @quick
    @given(st.data())
    def test_a_file_that_was_cut_off(self, data: st.DataObject) -> None:
        self.after(self.whole[: data.draw(st.integers(0, len(self.whole)))])
