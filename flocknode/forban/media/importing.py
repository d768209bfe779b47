# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Taking files from a medium into boxes: those that a box does not know, and those
that it has with other content, which come to lie beside its own.  What its
owner deleted stays deleted.

A file is copied to this machine first: it may enter its box when the medium is
long gone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping

import attrs
from blake3 import blake3
from twisted.internet.defer import Deferred

from flocknode.box.disk.copying import write_all
from flocknode.box.disk.folder import FileType
from flocknode.box.lane import Lane
from flocknode.box.listing import Known, ListedFile
from flocknode.box.merge.conflict import conflict_path
from flocknode.box.paths import check_path
from flocknode.box.values import Hash, Kind, Path, Value
from flocknode.errors import BoxError, PathError
from flocknode.forban.ahead import Ahead
from flocknode.forban.catalogue import tops
from flocknode.forban.media.medium import ENTRIES, PIECE, Hasher, Medium, Tally, has_room
from flocknode.forban.protocol.items import LARGEST, is_listable
from flocknode.forban.shelf import Shelf

BATCH = 256
"""Files that are asked about at a time."""

SAME_TIME = 2_000_000_000
"""Nanoseconds: FAT tells only every other second apart."""

FAILURES = 16
"""So many files that cannot be read, one after the other, and it is given up: the
medium was pulled out."""

Deliver = Callable[[str, Path, str, int], Deferred[object]]
"""
(name of a box, path in it, path of a file, nanoseconds since the epoch): put
the file into the box, now or later.  It may be moved away; what is still there
when the L{Deferred} has fired is removed.

@raise BoxError: it cannot be taken, in one sentence.
"""


@attrs.frozen
class Carried:
    """
    A regular file on the medium.

    @ivar path: below C{FORBAN}; it can stand in an index.
    @ivar size: bytes.
    @ivar mtime_ns: nanoseconds since the epoch.
    """

    path: Path
    size: int
    mtime_ns: int


@attrs.frozen
class Into:
    """
    Where what a medium brings goes: if there are several boxes, and its path
    begins with the directory of one, into that one; else into the default one.

    @ivar shelves: by name.
    @ivar default: name of one of them.
    @ivar deliver: see L{Deliver}.
    @ivar folder: on this machine, for copies on their way.
    @ivar largest: bytes of a file, at most.
    """

    shelves: Mapping[str, Shelf]
    default: str
    deliver: Deliver
    folder: str
    largest: int = LARGEST

    def place(self, path: Path) -> tuple[str, Path]:
        """@return: name of a box, and the path in it."""
        if len(self.shelves) > 1:
            for name, top in tops(self.shelves).items():
                if path.startswith(top):
                    return name, Path(path[len(top) :])
        return self.default, path


class Reader:
    """What is on a medium.  In a thread."""

    def __init__(self, medium: Medium) -> None:
        self._medium = medium
        self._left = ENTRIES

    def batches(self) -> Iterator[list[Carried]]:
        """All files, some at a time, directory by directory."""
        files = self._files()
        while batch := list(itertools.islice(files, BATCH)):
            yield batch

    @property
    def is_cut(self) -> bool:
        """Was there more than is looked at?"""
        return self._left <= 0

    def _files(self) -> Iterator[Carried]:
        waiting = [b""]
        while waiting and self._left > 0:
            try:
                found = self._list(waiting.pop())
            except OSError:
                # Who cannot be read has nothing to give.
                continue
            for path, type, size, mtime_ns in found:
                if type is FileType.FILE:
                    yield Carried(path, size, mtime_ns)
                elif type is FileType.DIRECTORY:
                    waiting.append(path)

    def _list(self, directory: bytes) -> list[tuple[Path, FileType, int, int]]:
        found = []
        folder = self._medium.folder
        descriptor = folder.open_directory(directory)
        try:
            with os.scandir(descriptor) as entries:
                for entry in itertools.islice(entries, self._left):
                    self._medium.go_on()
                    self._left -= 1
                    path = _checked(directory, os.fsencode(entry.name))
                    if path is not None:
                        seen = folder.stat_of(entry.stat(follow_symlinks=False))
                        found.append((path, seen.type, seen.size, seen.mtime_ns))
        finally:
            os.close(descriptor)
        return sorted(found)

    def content_of(self, file: Carried) -> Hash:
        """
        The name of its content, see L{flocknode.box.content}.

        @raise BoxError: it was changed meanwhile.
        @raise OSError: from the medium.
        """
        hasher = Hasher(file.size)
        for piece in self._read(file):
            hasher.add(piece)
        return hasher.content()

    def copy(self, file: Carried, folder: str) -> str:
        """
        Copy it to a folder on this machine, which is made if it is not there.

        @return: the path of the copy.
        @raise BoxError: it was changed meanwhile, or there is no room.
        @raise OSError: from the medium or the disk.
        """
        os.makedirs(folder, 0o700, exist_ok=True)
        said = b"%d\0%d\0%d\0%s" % (self._medium.mount.id, file.size, file.mtime_ns, file.path)
        path = os.path.join(folder, blake3(said).hexdigest(length=20))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            if not has_room(descriptor, file.size):
                raise BoxError("There is no room for it on this machine.")
            offset = 0
            for piece in self._read(file):
                offset += write_all(descriptor, piece, offset)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(descriptor)
        return path

    def _read(self, file: Carried) -> Iterator[bytes]:
        folder = self._medium.folder
        descriptor = folder.open(file.path)
        try:
            before, offset = folder.fstat(descriptor), 0
            while offset < file.size:
                self._medium.go_on()
                piece = os.pread(descriptor, min(PIECE, file.size - offset), offset)
                if not piece:
                    break
                offset += len(piece)
                yield piece
            after = folder.fstat(descriptor)
        finally:
            os.close(descriptor)
        for seen in before, after:
            if (offset, seen.size, seen.mtime_ns) != (file.size, file.size, file.mtime_ns):
                raise BoxError("It was changed while it was read.")


class Importing:
    """
    One import.  In the reactor; what waits for the medium is done in the lane.
    While files go into their boxes, some together, the next are copied.
    """

    def __init__(self, medium: Medium, lane: Lane, into: Into, tally: Tally) -> None:
        self._reader = Reader(medium)
        self._medium = medium
        self._lane = lane
        self._into = into
        self._tally = tally
        self._listings: dict[str, Mapping[Path, ListedFile]] = {}
        self._failures = 0
        self._deliveries = Ahead()

    async def run(self) -> None:
        """
        Take all that is to be taken.

        @raise Left: the medium is to be left.
        @raise BoxError: it cannot be gone on with.
        """
        batches = self._reader.batches()
        try:
            while (batch := await self._lane.do(_next, batches)) is not None:
                await self._take(batch)
                self._tally.add(looked=len(batch))
        finally:
            await self._deliveries.all()
        if self._reader.is_cut:
            more = BoxError(f"Only its first {ENTRIES} files and directories are looked at.")
            self._tally.problem(b"", more)

    async def _take(self, batch: list[Carried]) -> None:
        by_shelf: dict[str, list[tuple[Path, Carried]]] = {}
        for file in batch:
            name, path = self._into.place(file.path)
            by_shelf.setdefault(name, []).append((path, file))
        for name, files in by_shelf.items():
            try:
                known = await self._into.shelves[name].known([path for path, _ in files])
            except BoxError as error:
                self._tally.problem(b"", error)
                continue
            for (path, file), what in zip(files, known, strict=True):
                # Also between files of which nothing is read.
                self._medium.go_on()
                try:
                    if await self._is_wanted(name, path, file, what):
                        await self._bring(name, path, file)
                    self._failures = 0
                except (BoxError, OSError) as error:
                    self._tally.problem(file.path, error)
                    self._count(error)

    def _count(self, error: Exception) -> None:
        self._failures += 1 if isinstance(error, OSError) else 0
        if self._failures >= FAILURES:
            raise BoxError("It cannot be read any more.") from error

    async def _is_wanted(self, name: str, path: Path, file: Carried, known: Known) -> bool:
        if known is Known.REFUSED:
            raise BoxError("It cannot be in this box.")
        if known not in (Known.UNKNOWN, Known.HELD):
            return False
        if file.size > self._into.largest:
            raise BoxError("It is larger than what is taken.")
        return known is Known.UNKNOWN or await self._is_another(name, path, file)

    async def _is_another(self, name: str, path: Path, file: Carried) -> bool:
        """Has it content that the box lacks, and never had in its place?"""
        shelf = self._into.shelves[name]
        if name not in self._listings:
            self._listings[name] = (await shelf.listing()).files
        held = self._listings[name].get(path)
        if (
            held is not None
            and held.size == file.size
            and abs(held.mtime_ns - file.mtime_ns) <= SAME_TIME
        ):
            return False
        content = await self._lane.do(self._reader.content_of, file)
        if await shelf.find(content) is not None:
            return False
        # Where it would lie; its owner may have deleted it there.
        value = Value(kind=Kind.FILE, mtime_ns=file.mtime_ns, content=content)
        (known,) = await shelf.known([conflict_path(path, value)])
        return known is Known.UNKNOWN

    async def _bring(self, name: str, path: Path, file: Carried) -> None:
        copy = await self._lane.do(self._reader.copy, file, self._into.folder)
        delivering = Deferred.fromCoroutine(self._deliver(name, path, file, copy))
        await self._deliveries.add(delivering, file.size)

    async def _deliver(self, name: str, path: Path, file: Carried, copy: str) -> None:
        try:
            await self._into.deliver(name, path, copy, file.mtime_ns)
            self._tally.add(imported=1, imported_bytes=file.size)
        except (BoxError, OSError) as error:
            self._tally.problem(file.path, error)
        finally:
            await self._lane.do(_discard, copy)


def _next(batches: Iterator[list[Carried]]) -> list[Carried] | None:
    return next(batches, None)


def clear(folder: str) -> None:
    """Remove the copies that were on their way when the node was killed."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for path in [entry.path for entry in entries]:
            os.unlink(path)


def _discard(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _checked(directory: bytes, name: bytes) -> Path | None:
    try:
        path = check_path(directory + b"/" + name if directory else name)
    except PathError:
        return None
    return path if is_listable(path) else None
