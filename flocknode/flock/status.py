# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The status codes of Flock: what heartbeats show, and the states of the machine.

Codes of Flock 1.0.0 keep their number and, where Flock 2 uses them, their
place in a round; what a word means in Flock 2 stands in brackets.
"""

from __future__ import annotations

import enum
from typing import Final


class Status(enum.IntEnum):
    """States, and the codes that heartbeats and file messages begin with."""

    READY = 100
    SENDING = 110
    RECEIVING = 111
    SENDING_ALPHA = 114  # [in a round, leading]
    RECEIVING_ALPHA = 115  # [in a round]
    SENDING_BETA = 116
    RECEIVING_BETA = 117
    ANNOUNCING = 120
    ACKNOWLEDGING = 121
    ANNOUNCING_MORE = 124  # [something is outstanding; the leader]
    ACKNOWLEDGING_MORE = 125  # [something is outstanding; the others]
    METADATA = 130
    PROMOTING = 131
    METADATA_MORE = 134  # [calling a round]
    PROMOTING_MORE = 135  # [repeating the call]
    RECEIVED = 140
    METADATA_RECEIVED = 141
    RECEIVED_ALPHA = 145  # [in a round, nothing to send or to receive]
    RECEIVED_BETA = 147
    ENDED = 150  # [the round is over]
    STOPPING = 155  # [the round's last slot]
    ANNOUNCING_CHANGE = 160
    ACKNOWLEDGING_CHANGE = 161
    ANNOUNCING_CHANGE_MORE = 164
    ACKNOWLEDGING_CHANGE_MORE = 165
    CHANGE = 170
    RECEIVING_CHANGE = 171
    CHANGE_MORE = 174
    RECEIVING_CHANGE_MORE = 175
    CONTENT = 200
    FAKE = 210
    GIVING_UP = 410  # [somebody is lost; the round ends at the stop slot shown]
    EXIT = 500


HEARTBEAT_CODES: Final = frozenset(
    status
    for status in Status
    if status not in (Status.CONTENT, Status.FAKE, Status.EXIT)
)
"""What a heartbeat may begin with."""

CALLING: Final = frozenset({Status.METADATA_MORE, Status.PROMOTING_MORE})
"""Flock 2: a round is called, but has not started."""

SENDING: Final = frozenset(
    {
        Status.SENDING_ALPHA,
        Status.RECEIVING_ALPHA,
        Status.RECEIVED_ALPHA,
        Status.STOPPING,
        Status.GIVING_UP,
    }
)
"""Flock 2: frames are sent."""

ENDING: Final = frozenset({Status.STOPPING, Status.GIVING_UP})
"""Flock 2: it is too late to take part."""

LEADING: Final = frozenset({Status.METADATA_MORE, Status.SENDING_ALPHA})
"""Flock 2: only a round's leader shows these."""


class Input(enum.IntEnum):
    """
    What happens to the machine besides received codes.

    The first group are the local and internal inputs of Flock 1.0.0.  The
    second group is Flock 2's own, and begins at 600 so as to meet no other.
    """

    TICK = 112
    ALL_DATA_RECEIVED = 113
    ALL_ACKNOWLEDGED = 122
    ALL_ACKNOWLEDGED_MORE = 126
    TIME_REACHED = 132
    TIME_REACHED_MORE = 136
    ALL_RECEIVED = 142
    ALL_RECEIVED_MORE = 146
    STOP_REACHED = 156
    ALL_ACKNOWLEDGED_CHANGE = 162
    ALL_ACKNOWLEDGED_CHANGE_MORE = 166
    ALL_HAVE_METADATA = 172
    ALL_METADATA_RECEIVED = 173
    CONTENT_FOLLOWS = 177
    CONTENT_FOLLOWS_MORE = 178
    NEW_FILE = 300
    SAME_AGAIN = 301
    NEW_FILE_MORE = 304
    LOCAL_CHANGE = 320
    LOCAL_CHANGE_MORE = 324
    INTERRUPT = 500

    LEAD = 600
    """Something is outstanding, and this node has the lowest id alive."""
    FOLLOW = 601
    """Something is outstanding, and another node leads."""
    QUIET = 602
    """Nothing is outstanding, or there was no progress for 10 s."""
    CALL = 603
    """All snapshots of a boundary are here: a round may begin."""
    CALLED = 604
    """A round was heard of before its start."""
    JOIN = 605
    """A round was heard of that is running."""
    START = 606
    LEVEL = 607
    """Nothing to send or to receive."""
    MORE = 608
    """Something to send or to receive again."""
    YIELD = 609
    """A lower id leads the same round."""
    LAST = 610
    """The round's last slot has begun."""
    LOSS = 611
    """A member is lost, or another says so."""
    STOP = 612
