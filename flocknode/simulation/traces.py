# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
A trace: what a passer-by sees, message by message.  A text file in UTF-8::

    # flocknode-trace 1
    # time<TAB>from<TAB>to<TAB>size
    8.000123456<TAB>3<TAB>1<TAB>256

 - The first line names the format and its version.  Further lines that begin
   with C{#} are remarks; the one above names the columns.
 - C{time}: seconds, at which the message was handed to the network, nine
   places.  Lines are in order of time.
 - C{from} and C{to}: who sends and who receives: the number of a node, from 1
   (in traces of other origin, an address without white space).
 - C{size}: bytes of the message, before encryption and without headers of the
   layers below.

A heartbeat to all is one line for each node that runs or ever will: that is how
it goes over the wire.  Lost messages are there, too; they have left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TextIO

import attrs

from flocknode.errors import FlocknodeError

HEADER: Final = "# flocknode-trace 1"
COLUMNS: Final = "# time\tfrom\tto\tsize"


class TraceError(FlocknodeError):
    """A file is not a trace, or not one that this version reads."""


@attrs.frozen
class Message:
    """
    One line.

    @ivar time: seconds.
    @ivar size: bytes.
    """

    time: float
    sender: str
    receiver: str
    size: int


class TraceWriter:
    """Writes a trace."""

    def __init__(self, file: TextIO, remarks: str = "") -> None:
        """@param remarks: one line of what it is a trace of."""
        self._write = file.write
        self._write(f"{HEADER}\n")
        if remarks:
            self._write(f"# {remarks}\n")
        self._write(f"{COLUMNS}\n")

    def message(self, time: float, sender: int, receiver: int, size: int) -> None:
        """One message."""
        self._write(f"{time:.9f}\t{sender}\t{receiver}\t{size}\n")


def read_trace(file: TextIO, name: str = "this file") -> Iterator[Message]:
    """
    @param name: of the file, for errors.
    @raise TraceError: (while iterating) it is no such trace.
    """
    if file.readline().rstrip("\n") != HEADER:
        raise TraceError(f"{name} is no trace: its first line should be '{HEADER}'")
    for number, line in enumerate(file, 2):
        if line.startswith("#"):
            continue
        try:
            time, sender, receiver, size = line.rstrip("\n").split("\t")
            yield Message(float(time), sender, receiver, int(size))
        except ValueError:
            raise TraceError(
                f"{name}, line {number}: expected time, from, to and size, parted by tabs"
            ) from None
