# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What people ask of a box about kept versions and conflicts, in the box's worker
thread while the folder is there.  Results are what C{json} takes; names of
files are text as L{os.fsdecode} makes it, times seconds since the epoch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from flocknode.box.engine import BoxEngine
from flocknode.box.paths import check_path
from flocknode.box.receive.adopting import Adopter
from flocknode.box.receive.planner import Planner
from flocknode.box.receive.putting import Putter, kind_of
from flocknode.box.receive.resolving import Resolver
from flocknode.box.receive.restoring import Restorer, id_of
from flocknode.box.receive.taking import Taken
from flocknode.box.values import Kind, Path
from flocknode.errors import BoxError, PathError

Answer: TypeAlias = dict[str, Any]

Steps: TypeAlias = Iterator[Answer | None]
"""A piece of work at a time; the last that comes is the answer."""

LISTED = 10_000
"""Kept versions in one answer, at most: some 2 MB."""

_AWAY = "The folder of the box is not there (any more)."


class Requests:
    """
    @raise BoxError: (from all methods, or their steps) one sentence on what
        cannot be done.
    """

    def __init__(self, engine: BoxEngine) -> None:
        self._engine = engine
        if engine.planner is None:
            raise BoxError(_AWAY)
        self._planner: Planner = engine.planner
        ledger, site = engine.ledger, engine.planner.site
        self._putter = putter = Putter(ledger, engine.planner)
        self._site = site
        self._index = ledger.index
        self._restorer = Restorer(ledger.index.contents, site, putter)
        self._resolver = Resolver(ledger, site, putter)

    def versions(self, path: str) -> list[Answer]:
        """
        What is kept of a path and of what lies below it: the L{LISTED} newest,
        newest first.
        """
        return [
            {
                "id": id_of(row),
                "path": os.fsdecode(row.path),
                "kind": "link" if row.kind is Kind.SYMLINK else "file",
                "size": row.size,
                "mtime": row.mtime_ns / 1e9,
                "kept": row.kept,
            }
            for row in self._index.contents.kept_under(self._path(path), LISTED)
        ]

    def restore(self, path: str, at: str | float, to: str | None) -> Steps:
        """
        Put kept content back.

        @param at: an id, or a time.
        @param to: where, instead of where it was.
        """
        self._check_surveyed()
        target = None if to is None else self._checked(to)
        for done in self._restorer.restore(self._path(path), at, target):
            if done is not None:
                yield {
                    "restored": [os.fsdecode(each) for each in done.paths],
                    "problems": [reason for _, reason in done.problems],
                }
                return
            yield None
            self._check_there()

    def adopt(
        self, batch: Sequence[Taken | BoxError]
    ) -> Iterator[list[Path | BoxError] | None]:
        """Take files in that came from elsewhere.  See L{Adopter.adopt}."""
        self._check_surveyed()
        adopter = Adopter(self._index, self._site, self._putter)
        for done in adopter.adopt(batch):
            yield done
            if done is None:
                self._check_there()

    def conflicts(self) -> list[Answer]:
        """The conflict siblings that the folder holds, by the file that they belong to."""
        return [
            {
                "path": os.fsdecode(each.path),
                "of": os.fsdecode(each.of),
                "there": each.there,
                "kind": kind_of(each.value),
                "size": each.size,
                "mtime": each.value.mtime_ns / 1e9,
            }
            for each in self._resolver.find()
        ]

    def resolve(self, keep: str, path: str) -> Steps:
        """End a conflict; C{keep} is one of L{flocknode.box.receive.resolving.KEEP}."""
        self._check_surveyed()
        for done in self._resolver.resolve(keep, self._checked(path)):
            if done is not None:
                yield {
                    "removed": [os.fsdecode(each) for each in done.removed],
                    "replaced": None if done.replaced is None else os.fsdecode(done.replaced),
                    "renamed": [
                        [os.fsdecode(old), os.fsdecode(new)] for old, new in done.renamed
                    ],
                }
                return
            yield None
            self._check_there()

    def _check_there(self) -> None:
        """The same folder, still?"""
        if self._engine.planner is not self._planner:
            raise BoxError(_AWAY)

    def _check_surveyed(self) -> None:
        if not self._planner.surveyed:
            raise BoxError("The folder is still being scanned; try again when that is done.")

    def _path(self, text: str) -> Path:
        """A path in the box; empty: the box itself."""
        path, root = os.fsencode(text), os.path.abspath(self._site.folder.root)
        if os.path.isabs(path):
            path = os.path.normpath(path)
            if path != root and not path.startswith(root.rstrip(b"/") + b"/"):
                # By way of a link, perhaps.
                root = os.path.realpath(root)
                parent, name = os.path.split(path)
                path = os.path.join(os.path.realpath(parent), name)
            path = os.path.relpath(path, root)
        path = os.path.normpath(path)
        return Path(b"") if path == b"." else self._sound(path, text)

    def _checked(self, text: str) -> Path:
        """The same, but not the box itself."""
        path = self._path(text)
        return path or self._sound(path, text)

    def _sound(self, path: bytes, text: str) -> Path:
        try:
            return check_path(path)
        except PathError:
            said = text if text.isprintable() else ascii(text)[1:-1]
            raise BoxError(f"{said or 'An empty name'} is no path in this box.") from None
