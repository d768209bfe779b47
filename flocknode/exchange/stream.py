# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Cuts the bytes of a link into records; see L{flocknode.exchange.records}.
"""

from __future__ import annotations

from collections.abc import Iterator

from flocknode.errors import ProtocolError
from flocknode.exchange.records import LENGTH, LONGEST


class RecordStream:
    """
    Turns a byte stream that is cut anywhere into the bodies of records.  It
    holds at most one record of the greatest size, and the chunk that ended it.

    After a length that cannot be, the rest makes no sense: it is dropped until
    L{restart}.
    """

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._held_size = 0
        self._wanted = LENGTH.size
        self._broken = False

    @property
    def held(self) -> int:
        """Bytes of a record whose end has not come."""
        return self._held_size

    def restart(self) -> None:
        """The next byte begins a record; what was held is forgotten."""
        self._held.clear()
        self._held_size = 0
        self._wanted = LENGTH.size
        self._broken = False

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """
        The records that C{data} completes.  The iterator must be exhausted
        before the next call.

        @raise ProtocolError: (while iterating) the stream is broken; the
            records before that point have been given.
        """
        if self._broken:
            return
        start = 0
        if self._held:
            start = self._wanted - self._held_size
            if start > len(data):
                self._held.append(data)
                self._held_size += len(data)
                return
            if self._wanted > LENGTH.size:
                # Only this record is put together: most of a chunk is others.
                record = b"".join((*self._held, memoryview(data)[:start]))
                self._held.clear()
                yield memoryview(record)[LENGTH.size :]
            else:
                data = b"".join((*self._held, data))
                self._held.clear()
                start = 0
        view = memoryview(data)
        size = len(data)
        wanted = LENGTH.size
        while size - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data, start)
            if length > LONGEST:
                self.restart()
                self._broken = True
                raise ProtocolError(f"A record of {length} bytes is too long.")
            wanted = LENGTH.size + length
            if wanted > size - start:
                break
            end = start + wanted
            yield view[start + LENGTH.size : end]
            start = end
            wanted = LENGTH.size
        # The rest is copied: as a view it would keep all of the chunk alive.
        self._held_size = size - start
        self._wanted = wanted
        if self._held_size:
            self._held.append(data[start:])
