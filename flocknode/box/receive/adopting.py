# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Taking a file into the folder that came from elsewhere, not from another box:
as if the user had put it there, and never in the place of anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import attrs

from flocknode.box.disk.folder import FileType
from flocknode.box.disk.site import Site
from flocknode.box.index.rows import parents
from flocknode.box.merge.conflict import conflict_path
from flocknode.box.receive.putting import Putter, shown
from flocknode.box.survey.hashing import Hashed
from flocknode.box.values import Kind, Path, Value
from flocknode.errors import BoxError

MODE = 0o644
"""Permissions of an adopted file: anybody may read it, it is public."""

_CONFLICTS = 100
# Names that are tried; each further one would be of the same content.


class Adopter:
    """
    Works in the box's worker thread while the folder is there.
    """

    def __init__(self, site: Site, putter: Putter) -> None:
        self._site = site
        self._putter = putter

    def adopt(
        self, path: Path, source: int, hashed: Hashed, mtime_ns: int
    ) -> Iterator[Path | None]:
        """
        A piece of the work at a time; the last that comes is where it lies.

        @param path: if something else is there, it gets the name of a conflict
            with it.
        @param source: the open file; C{hashed} is what it holds.
        @raise BoxError: it cannot be taken, and why.
        """
        self._check_name(path)
        value = Value(kind=Kind.FILE, mode=MODE, mtime_ns=mtime_ns, content=hashed.content)
        target = self._beside_links(path, value)
        for _ in range(_CONFLICTS):
            row = self._putter.row(target)
            if row is None:
                break
            held = row.placed
            if held is not None and (held.value.kind, held.value.content) == (
                Kind.FILE,
                hashed.content,
            ):
                yield target
                return
            target = conflict_path(target, value)
        else:
            raise BoxError(f"There are too many conflicts with {shown(path)}.")

        def unchanged() -> None:
            if not hashed.stat.matches(self._site.folder.fstat(source)):
                raise BoxError(f"{shown(path)} was changed while it was taken.")

        unchanged()
        for _ in self._putter.put(target, value, hashed.size, source, unchanged, new=True):
            yield None
        yield target

    def _check_name(self, path: Path) -> None:
        reason = refusal(self._site, path)
        if reason:
            raise BoxError(f"{shown(path)}: {reason}")

    def _beside_links(self, path: Path, value: Value) -> Path:
        """
        The path; or, where something that is no directory lies above it, that
        with the name of a conflict.
        """
        for above in reversed(parents(path)):
            there = self._site.folder.lstat(above)
            if there is None:
                break
            if there.type is not FileType.DIRECTORY:
                return conflict_path(Path(above), value)
        return path


def refusal(site: Site, path: Path) -> str:
    """
    @return: why a file with this path cannot be in the box, one sentence; empty
        if it can.
    """
    if site.ignored(path, FileType.FILE):
        return "The patterns of the box leave it out."
    return site.capabilities.names.why_not(path)


@attrs.frozen
class Source:
    """
    A file that is to be adopted, in any thread.

    @ivar descriptor: which is open, until L{close}.
    """

    descriptor: int

    @classmethod
    def open(cls, path: str) -> Source:
        """
        @raise BoxError: it cannot be read.
        """
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise BoxError(f"The file to be taken cannot be read: {reason}.") from error

    def close(self) -> None:
        """Give it up."""
        os.close(self.descriptor)
