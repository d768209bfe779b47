# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The first half of taking files in that come from elsewhere: they are copied into
the staging directory, and what was copied is hashed.  In the thread that reads
for others; the second is L{flocknode.box.receive.adopting}.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from flocknode.box.content import block_hash, block_size_for, content_hash
from flocknode.box.disk.copying import copy_pieces, write_all
from flocknode.box.disk.folder import FileType
from flocknode.box.disk.site import Site
from flocknode.box.listing import Offer, Refused
from flocknode.box.paths import check_path
from flocknode.box.receive.putting import shown
from flocknode.box.survey.blocks import WHOLE
from flocknode.box.survey.hashing import hash_open
from flocknode.box.values import Hash, Path
from flocknode.errors import BoxError, PathError

PIECE = 8 << 20
"""Bytes that are copied before others have their turn."""

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen
class Taken:
    """
    A file that is to be adopted.

    @ivar path: where; if something else is there, beside it.
    @ivar staged: name of its copy in the staging directory.
    @ivar content: of the copy, C{size} bytes.
    @ivar mtime_ns: nanoseconds since the epoch.
    @ivar asked: see L{Offer.asked}.
    """

    path: Path
    staged: bytes
    content: Hash
    size: int
    mtime_ns: int
    asked: bool = False


def take(
    site: Site, offers: Sequence[Offer], cancelled: Callable[[], bool]
) -> Iterator[list[Taken | BoxError] | None]:
    """
    Copy what is offered, a piece of the work at a time; the last that comes says
    for each what was copied, or in one sentence why it cannot be taken.

    @param cancelled: asked between the pieces of a large file.
    """
    found: list[Taken | BoxError] = []
    left = PIECE
    try:
        for offer in offers:
            try:
                for done in _take(site, offer, cancelled):
                    if isinstance(done, Taken):
                        found.append(done)
                        left -= done.size
                    else:
                        left = 0
                    if left <= 0:
                        yield None
                        left = PIECE
            except BoxError as error:
                found.append(error)
            except OSError as error:
                reason = os.strerror(error.errno or 0)
                found.append(BoxError(f"{shown(offer.path)} cannot be taken: {reason}."))
    except BaseException:
        drop(site, found)
        raise
    yield found


def drop(site: Site, taken: Iterable[Taken | BoxError]) -> None:
    """Remove the copies that are still there."""
    for each in taken:
        if isinstance(each, Taken):
            _unlink(site, each.staged)


def refusal(site: Site, path: Path) -> str:
    """
    @return: why a file with this path cannot be in the box, one sentence; empty
        if it can.
    """
    if site.ignored(path, FileType.FILE):
        return "The patterns of the box leave it out."
    return site.capabilities.names.why_not(path)


def _take(site: Site, offer: Offer, cancelled: Callable[[], bool]) -> Iterator[Taken | None]:
    path = _checked(site, offer.path)
    source = _open(offer.source)
    try:
        before = os.fstat(source)
        if not stat.S_ISREG(before.st_mode):
            raise Refused(f"{shown(path)} is no file.")
        name = site.staging.temporary_name()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE
        copy = os.open(name, flags, 0o600, dir_fd=site.staging.directory)
        try:
            content = _copy_small(source, copy, before.st_size)
            if content is None:
                for _ in copy_pieces(source, copy):
                    yield None
                    if cancelled():
                        raise BoxError(f"Taking {shown(path)} was broken off.")
                content = hash_open(site.folder, copy, cancelled=cancelled).content
            if _state(os.fstat(source)) != _state(before):
                raise BoxError(f"{shown(path)} was changed while it was taken.")
        except BaseException:
            _unlink(site, name)
            raise
        finally:
            os.close(copy)
    finally:
        os.close(source)
    when = time.time_ns() if offer.mtime_ns is None else offer.mtime_ns
    yield Taken(path, name, content, before.st_size, when, offer.asked)


def _copy_small(source: int, copy: int, size: int) -> Hash | None:
    """@return: the content; L{None}: it is not copied, being too large for that."""
    if size > WHOLE:
        return None
    data = os.pread(source, size + 1, 0)
    if len(data) != size:
        # Some file systems give less at a time than there is.
        return None
    write_all(copy, data, 0)
    block_size, view = block_size_for(size), memoryview(data)
    blocks = [block_hash(view[at : at + block_size]) for at in range(0, size, block_size)]
    return content_hash(size, block_size, blocks)


def _state(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _checked(site: Site, path: Path) -> Path:
    try:
        check_path(path)
    except PathError as error:
        raise Refused(f"{shown(path)} is no path in a box.") from error
    reason = refusal(site, path)
    if reason:
        raise Refused(f"{shown(path)}: {reason}")
    return path


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | _SAFE)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise BoxError(f"The file to be taken cannot be read: {reason}.") from error


def _unlink(site: Site, name: bytes) -> None:
    # Placed, or the folder is gone: then it is swept away later.
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=site.staging.directory)
