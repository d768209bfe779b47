# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The alive members, each with its link and its bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flocknode.exchange.peer import Peer


class Members:
    """
    Links by member id and by bit.  A bit is given out again once its member is
    gone.
    """

    def __init__(self) -> None:
        self._peers: dict[bytes, Peer] = {}
        self._by_bit: dict[int, Peer] = {}

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, peer: Peer) -> None:
        """This member is alive; its bit must be L{free_bit}."""
        self._peers[peer.member] = self._by_bit[peer.bit] = peer

    def remove(self, member: bytes) -> Peer | None:
        """
        This one is not.

        @return: its link, if it was.
        """
        peer = self._peers.pop(member, None)
        if peer is not None:
            del self._by_bit[peer.bit]
        return peer

    def get(self, member: bytes) -> Peer | None:
        """The link to a member, if it is alive."""
        return self._peers.get(member)

    def free_bit(self) -> int:
        """The lowest bit that nobody has."""
        bit = 1
        while bit in self._by_bit:
            bit <<= 1
        return bit

    def bits(self, members: Iterable[bytes]) -> int:
        """Those of these members who are alive, as a set of bits."""
        bits = 0
        for member in members:
            peer = self._peers.get(member)
            if peer is not None:
                bits |= peer.bit
        return bits

    def at(self, bits: int) -> Iterator[Peer]:
        """The links to a set of members."""
        while bits:
            bit = bits & -bits
            bits ^= bit
            peer = self._by_bit.get(bit)
            if peer is not None:
                yield peer
