# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The Flock machine: one table, and a L{Machine} that walks it.

The table is that of Flock 1.0.0 (L{flocknode.flock.transitions}) and the
multi-way rounds of Flock 2 below.  Flock 2 shows codes of 1.0.0 but is driven
by inputs of its own (600 and up), so no row of one is a row of the other.  It
adds two states: 150, which 1.0.0 only shows in passing, and 410, which it
leaves at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flocknode.errors import ProtocolError
from flocknode.flock.status import Input, Status
from flocknode.flock.transitions import SOLO

LEAD, FOLLOW, QUIET = Input.LEAD, Input.FOLLOW, Input.QUIET
CALL, CALLED, JOIN, START = Input.CALL, Input.CALLED, Input.JOIN, Input.START
LEVEL, MORE, YIELD = Input.LEVEL, Input.MORE, Input.YIELD
LAST, LOSS, STOP = Input.LAST, Input.LOSS, Input.STOP

MULTIWAY: Final[dict[tuple[int, int], tuple[int, int]]] = {
    # Outside rounds: is anything outstanding, and who would lead?
    (100, LEAD): (124, 124),
    (100, FOLLOW): (125, 125),
    (100, QUIET): (100, 100),
    (124, LEAD): (124, 124),
    (124, FOLLOW): (125, 125),
    (124, QUIET): (100, 100),
    (125, LEAD): (124, 124),
    (125, FOLLOW): (125, 125),
    (125, QUIET): (100, 100),
    (150, LEAD): (124, 124),
    (150, FOLLOW): (125, 125),
    (150, QUIET): (100, 100),
    # The leader calls a round; the others repeat it, and so does a leader that
    # hears of an older round, or of the same round from a lower id.
    (124, CALL): (134, 134),
    (100, CALLED): (135, 135),
    (124, CALLED): (135, 135),
    (125, CALLED): (135, 135),
    (150, CALLED): (135, 135),
    (134, CALLED): (135, 135),
    (135, CALLED): (135, 135),
    # The call is void: nobody else is left.
    (134, QUIET): (100, 100),
    (135, QUIET): (100, 100),
    # Start, each at the slot boundary plus its own offset.
    (134, START): (114, 114),
    (135, START): (115, 115),
    # A round that is running already.
    (100, JOIN): (115, 115),
    (124, JOIN): (115, 115),
    (125, JOIN): (115, 115),
    (150, JOIN): (115, 115),
    (134, JOIN): (115, 115),
    (135, JOIN): (115, 115),
    # Within a round.
    (114, YIELD): (115, 115),
    (155, YIELD): (115, 115),  # to an older round, which goes on
    (115, LEVEL): (145, 145),
    (145, MORE): (115, 115),
    (114, LAST): (155, 155),
    (115, LAST): (155, 155),
    (145, LAST): (155, 155),
    (114, LOSS): (410, 410),
    (115, LOSS): (410, 410),
    (145, LOSS): (410, 410),
    (155, LOSS): (410, 410),
    (410, LOSS): (410, 410),
    # Everybody stops at the same slot, whatever is left.
    (114, STOP): (150, 150),
    (115, STOP): (150, 150),
    (145, STOP): (150, 150),
    (155, STOP): (150, 150),
    (410, STOP): (150, 150),
}

TRANSITIONS: Final = {**SOLO, **MULTIWAY}

Tracer = Callable[[int, int, int], None]
"""Called with (state, input, next state), before the next state is taken."""


class Machine:
    """
    Where one member stands.

    @ivar state: one of the table's states.
    """

    def __init__(self, trace: Tracer | None = None, state: int = Status.READY) -> None:
        self.state = state
        self._trace = trace

    def accepts(self, happened: int) -> bool:
        """Whether the table has a row for this input now."""
        return (self.state, happened) in TRANSITIONS

    def feed(self, happened: int) -> int:
        """
        @param happened: a received code or an L{Input}.
        @return: the heartbeat or file message to emit.
        @raise ProtocolError: the table has no such row; the state stays.
        """
        try:
            following, emitted = TRANSITIONS[self.state, happened]
        except KeyError:
            raise ProtocolError(f"{int(happened)} has no place in state {self.state}") from None
        if self._trace is not None:
            self._trace(self.state, happened, following)
        self.state = following
        return emitted
