# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.forban.protocol.announcement}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.forban.protocol.announcement import (
    LONGEST,
    LONGEST_HEARD,
    LONGEST_NAME,
    Announcement,
    clean_name,
    encode,
    parse,
)
from tests.forban.strategies import announcements, unhurried, uuids

UUID = "7ec8a4bd-3a90-4dfb-b00b-1e8d6a1c1c7b"
HMAC = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


class Written(SynchronousTestCase):
    def test_it_has_exactly_three_pairs_in_the_order_that_goforban_counts(self) -> None:
        self.assertEqual(
            encode(Announcement(UUID, "kit", HMAC)),
            f"forban;name;kit;uuid;{UUID};hmac;{HMAC}".encode(),
        )

    def test_without_a_name_or_an_hmac_the_pairs_are_there_all_the_same(self) -> None:
        self.assertEqual(
            encode(Announcement(UUID)), f"forban;name;;uuid;{UUID};hmac;".encode()
        )

    @unhurried
    @given(uuids, st.text(), st.sampled_from(["", HMAC]))
    def test_it_is_short_and_has_seven_fields_whatever_the_name(
        self, uuid: str, name: str, hmac: str
    ) -> None:
        datagram = encode(Announcement(uuid, name, hmac))
        self.assertLessEqual(len(datagram), LONGEST)
        self.assertEqual(datagram.count(b";"), 6)
        self.assertNotIn(b"\n", datagram)

    @unhurried
    @given(announcements)
    def test_what_is_written_is_read_as_it_was(self, announcement: Announcement) -> None:
        self.assertEqual(parse(encode(announcement)), announcement)


class Names(SynchronousTestCase):
    @unhurried
    @given(st.text())
    def test_a_clean_name_is_clean_however_often_it_is_cleaned(self, name: str) -> None:
        clean = clean_name(name)
        self.assertEqual(clean_name(clean), clean)
        self.assertLessEqual(len(clean), LONGEST_NAME)
        self.assertTrue(clean.isprintable())

    def test_what_would_turn_a_line_around_or_divide_a_field_is_left_out(self) -> None:
        self.assertEqual(clean_name(" a;b\n\u202ec\0\ud800 "), "abc")


class Read(SynchronousTestCase):
    def test_each_way_in_which_others_write_it_is_understood(self) -> None:
        for datagram in (
            f"forban;name;kit;uuid;{UUID};hmac;{HMAC}",
            f"forban;name;kit;uuid;{UUID};hmac;{HMAC};",
            f"forban;uuid;{UUID};hmac;{HMAC};name;kit",
            f"forban;hmac;{HMAC};name;kit;uuid;{UUID};",
            f"forban;name;kit;uuid;{UUID.upper()};hmac;{HMAC.upper()}",
            f"forban;name;kit;port;80;uuid;{UUID};x;;hmac;{HMAC};more",
            f"forban;name;kit;uuid;{UUID};hmac;{HMAC};uuid;{UUID[::-1]};name;other",
            f"forban;name; kit ;uuid; {UUID} ;hmac;{HMAC}\n",
        ):
            found = parse(datagram.encode())
            self.assertEqual(found, Announcement(UUID, "kit", HMAC), datagram)

    def test_an_hmac_that_is_missing_or_none_says_nothing(self) -> None:
        for end in ("", ";", ";hmac", ";hmac;", ";hmac;;", ";hmac;None", ";hmac;" + HMAC[:-1]):
            found = parse(f"forban;name;kit;uuid;{UUID}{end}".encode())
            self.assertEqual(found, Announcement(UUID, "kit", ""), end)

    def test_a_uuid_that_is_none_is_refused(self) -> None:
        for uuid in (
            "",
            "../../etc/passwd",
            UUID[:-1],
            UUID + "0",
            UUID.replace("-", ""),
            "{" + UUID + "}",
            UUID[:-1] + "\u0663",
            UUID + "/../x",
        ):
            datagram = f"forban;name;kit;uuid;{uuid};hmac;{HMAC}".encode()
            self.assertRaises(ProtocolError, parse, datagram)

    def test_what_is_no_announcement_is_refused(self) -> None:
        good = f"forban;name;kit;uuid;{UUID};hmac;{HMAC}".encode()
        for datagram in (
            b"",
            b"forban",
            b"forban;",
            b"forban;name;kit",
            b"Forban" + good[6:],
            b" " + good,
            b"\xff" + good,
            good.replace(b"kit", b"\xc3"),
            good.replace(b"kit", b"k" * LONGEST_HEARD),
            good.replace(b";", b","),
        ):
            self.assertRaises(ProtocolError, parse, datagram)

    def test_markup_in_a_name_is_kept_for_whoever_shows_it_to_escape(self) -> None:
        found = parse(f"forban;name;<b>&\"'</b>;uuid;{UUID}".encode())
        self.assertEqual(found.name, "<b>&\"'</b>")

    def test_the_longest_that_is_read_takes_no_longer_for_having_many_pairs(self) -> None:
        head = f"forban;uuid;{UUID};name;kit".encode()
        found = parse(head + b";" * (LONGEST_HEARD - len(head)))
        self.assertEqual(found, Announcement(UUID, "kit"))

    @unhurried
    @given(
        st.one_of(
            st.binary(),
            st.binary().map(lambda data: b"forban;" + data),
            st.lists(
                st.sampled_from([b"forban", b"name", b"uuid", b"hmac", UUID.encode(), b"", b"\n"])
            ).map(b";".join),
        )
    )
    def test_any_bytes_are_an_announcement_or_refused(self, datagram: bytes) -> None:
        try:
            found = parse(datagram)
        except ProtocolError:
            return
        self.assertEqual(parse(encode(found)), found)
