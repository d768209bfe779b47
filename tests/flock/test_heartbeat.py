# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""L{flocknode.flock.heartbeat}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.flock.heartbeat import (
    TRAILER_OFFSET,
    Heartbeat,
    Trailer,
    encode_heartbeat,
    members_hash,
    parse_heartbeat,
    shown_ids,
)
from flocknode.flock.interfaces import MemberId
from flocknode.flock.status import HEARTBEAT_CODES
from tests.flock.support import IDS

U8, U16, U32, U48, U64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 48, 64))
CODES = st.sampled_from(sorted(map(int, HEARTBEAT_CODES)))
SIXTEEN = st.binary(min_size=16, max_size=16)
TRAILERS = st.builds(
    Trailer, U8, U32, U48, SIXTEEN, U32, U32, U8, U8, U8, U16, U16, U16, U32
)
MEMBER_IDS = st.lists(SIXTEEN.map(MemberId), max_size=12).map(tuple)


@st.composite
def heartbeats(draw: st.DrawFn) -> Heartbeat:
    """Heartbeats of Flock 2."""
    ids = draw(MEMBER_IDS)
    count = draw(st.integers(12, 255)) if len(ids) == 12 else len(ids)
    return Heartbeat(draw(CODES), draw(U64), count, ids, draw(TRAILERS))


SAMPLE = Heartbeat(
    134,
    0x0102030405060708,
    2,
    IDS[:2],
    Trailer(
        flags=1,
        slot=0x0A0B0C0D,
        time_ms=0x112233445566,
        digest=b"0123456789abcdef",
        round_id=3,
        stop_slot=4,
        step=5,
        delivered=6,
        uplink=7,
        new=8,
        backlog=9,
        remaining=10,
        members=11,
    ),
)


class HeartbeatTests(SynchronousTestCase):
    """256 bytes and what they say."""

    def test_the_layout_is_that_of_the_specification(self) -> None:
        message = encode_heartbeat(SAMPLE)
        self.assertEqual(message[:13], b"134 \1\2\3\4\5\6\7\x08\2")
        self.assertEqual(message[13:205], b"".join(IDS[:2]) + bytes(160))
        self.assertEqual(TRAILER_OFFSET, 205)
        self.assertEqual(
            message[205:].hex(),
            "46320201" "0a0b0c0d" "112233445566" "30313233343536373839616263646566"
            "00000003" "00000004" "050607" "0008" "0009" "000a" "0000000b",
        )

    @given(heartbeats())
    def test_what_was_written_is_read(self, heartbeat: Heartbeat) -> None:
        message = encode_heartbeat(heartbeat)
        self.assertEqual(len(message), 256)
        self.assertEqual(parse_heartbeat(message), heartbeat)

    @given(CODES, U64)
    def test_a_heartbeat_of_1_0_0_has_a_code_and_a_time(self, code: int, time: int) -> None:
        message = b"%d " % code + time.to_bytes(8, "big") + b" " * 244
        self.assertEqual(parse_heartbeat(message), Heartbeat(code, time))

    def test_a_trailer_of_another_version_is_taken_for_padding(self) -> None:
        message = bytearray(encode_heartbeat(SAMPLE))
        message[207] = 3
        self.assertIsNone(parse_heartbeat(bytes(message)).trailer)

    @given(st.one_of(st.binary(max_size=300), st.binary(min_size=256, max_size=256)))
    def test_any_bytes_are_a_heartbeat_or_a_protocol_error(self, message: bytes) -> None:
        try:
            parse_heartbeat(message)
        except ProtocolError:
            return
        self.assertEqual(len(message), 256)

    @given(st.integers(0, 255), U8)
    def test_a_damaged_heartbeat_is_a_heartbeat_or_a_protocol_error(
        self, place: int, value: int
    ) -> None:
        message = bytearray(encode_heartbeat(SAMPLE))
        message[place] = value
        try:
            parsed = parse_heartbeat(bytes(message))
        except ProtocolError:
            self.assertLess(place, 4)
        else:
            self.assertIn(parsed.status, HEARTBEAT_CODES)

    def test_file_messages_and_states_without_heartbeat_are_none(self) -> None:
        for code in (b"200", b"210", b"500", b"999", b"1 4", b"-10", b"\xb2\xb2\xb2"):
            with self.assertRaises(ProtocolError):
                parse_heartbeat((code + b" ").ljust(256, b"\0"))


class MembersTests(SynchronousTestCase):
    """Sets of members in heartbeats."""

    def test_the_hash_of_a_set_does_not_depend_on_its_order(self) -> None:
        self.assertEqual(members_hash(IDS[:5]), members_hash(reversed(IDS[:5])))

    def test_different_sets_have_different_hashes(self) -> None:
        hashes = {members_hash(IDS[:size]) for size in range(20)}
        self.assertEqual(len(hashes), 20)

    def test_up_to_twelve_are_always_all_shown(self) -> None:
        self.assertEqual(shown_ids(IDS[:12], 7), IDS[:12])

    @given(st.integers(13, 30), U16)
    def test_more_take_turns_and_all_get_theirs(self, size: int, first: int) -> None:
        turns = -(-size // 12)
        shown = [shown_ids(IDS[:size], turn) for turn in range(first, first + turns + 1)]
        self.assertEqual({len(ids) for ids in shown}, {12})
        self.assertEqual({member for ids in shown for member in ids}, set(IDS[:size]))
