# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Which paths of a folder do not belong to its box.

An ignored path is neither scanned nor placed nor read as deleted; what is
known of it stays in the index and is passed on.
"""

from __future__ import annotations

import contextlib
import errno
import os
from threading import Lock

import attrs

from flocknode.box.disk.folder import FileType, Folder, Stat
from flocknode.box.paths import is_reserved, split
from flocknode.box.patterns import BUILT_IN, FILE_NAME, LONGEST_FILE, Patterns, parse

REMEMBERED = 100_000
"""Directories whose rules are kept, some 150 bytes each; beyond, all are found out anew."""

PROBLEMS = 100
"""Files with something wrong that are remembered, at most."""

_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL))


@attrs.frozen
class _Rules:
    """
    What holds for the names in a directory.

    @ivar ignored: all of them are.
    @ivar files: (bytes of a path that are not asked of these patterns, the
        patterns), the nearest first.
    @ivar own: of the directory's own file, when it was read.
    """

    ignored: bool
    files: tuple[tuple[int, Patterns], ...] = ()
    own: Stat | None = None


class Ignored:
    """
    Says what is ignored, by the patterns in the folder as they are now.

    Used by several threads.

    @param links: symbolic links are.
    @ivar problems: what is wrong with files of patterns, one sentence each.
    """

    def __init__(self, folder: Folder, links: bool = False) -> None:
        self.problems: dict[bytes, str] = {}
        self._folder = folder
        self._links = links
        self._rules: dict[bytes, _Rules] = {}
        self._lock = Lock()

    def __call__(self, path: bytes, type: FileType) -> bool:
        """
        Is this path left out?

        @param type: what is there, or shall be.
        """
        if type is FileType.SYMLINK and self._links:
            return True
        if type is FileType.DIRECTORY:
            # Mostly it was found out before, and would be forgotten if that had changed.
            known = self._rules.get(path)
            if known is not None:
                return known.ignored
        parent, name = split(path)
        return self._says(self._rules_of(parent), path, name, type is FileType.DIRECTORY)

    def listed(self, path: bytes, descriptor: int | None) -> None:
        """
        This directory was listed just now: its rules must be those of now.

        @param descriptor: of it; L{None}: no file of patterns is in it.
        """
        known = self._rules.get(path)
        if known is None:
            self._rules_of(path, bare=descriptor is None)
            return
        if known.ignored:
            return
        now = None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                now = self._folder.stat_in(descriptor, FILE_NAME)
        if now != known.own:
            self.refresh(path)

    def refresh(self, directory: bytes) -> None:
        """Its file of patterns has changed: forget the rules there and below."""
        prefix = directory + b"/"
        with self._lock:
            for path in list(self._rules):
                if not directory or path == directory or path.startswith(prefix):
                    del self._rules[path]

    def only_ignored(self, path: bytes) -> bool:
        """
        Is there nothing in this directory, at any depth, but what is ignored,
        and directories that are there for that?  If it is empty, or one in it
        is: no.

        @raise OSError: it cannot be read.
        """
        waiting = [path]
        while waiting:
            above = waiting.pop()
            entries = self._folder.listdir(above)
            if not entries:
                # It is about to go, or new: nothing ignored keeps it.
                return False
            for name, type in entries:
                below = above + b"/" + name
                if self(below, type):
                    continue
                if type is not FileType.DIRECTORY:
                    return False
                waiting.append(below)
        return True

    def _says(self, rules: _Rules, path: bytes, name: bytes, directory: bool) -> bool:
        if rules.ignored or (name == path and is_reserved(name)):
            return True
        if name == FILE_NAME:
            # It is for all who have the box.
            return False
        for offset, patterns in rules.files:
            says = patterns.says(os.fsdecode(path[offset:]), directory)
            if says is not None:
                return says
        return BUILT_IN.says(os.fsdecode(name), directory) is True

    def _rules_of(self, directory: bytes, bare: bool = False) -> _Rules:
        """@param bare: no file of patterns is in it."""
        rules = self._rules.get(directory)
        if rules is not None:
            return rules
        unknown: list[bytes] = []
        above = directory
        while rules is None:
            unknown.append(above)
            if not above:
                break
            above = split(above)[0]
            rules = self._rules.get(above)
        for path in reversed(unknown):
            if rules is not None and self._says(rules, path, split(path)[1], True):
                rules = _Rules(True)
            else:
                above_it = () if rules is None else rules.files
                if bare and path == directory:
                    self._tell(_file_in(path), "")
                    read = _Rules(False, above_it)
                else:
                    read = self._read(path, above_it)
                # Mostly a directory has no file of its own: one object for all of them.
                rules = rules if read == rules else read
            with self._lock:
                if len(self._rules) >= REMEMBERED:
                    self._rules.clear()
                self._rules[path] = rules
        assert rules is not None
        return rules

    def _read(self, directory: bytes, above: tuple[tuple[int, Patterns], ...]) -> _Rules:
        path = _file_in(directory)
        offset = len(path) - len(FILE_NAME)
        try:
            descriptor = self._folder.open(path)
        except OSError as error:
            if error.errno in _GONE:
                self._tell(path, "")
            else:
                self._tell(path, f"It cannot be read: {os.strerror(error.errno or 0)}.")
            return _Rules(False, above)
        try:
            stat = self._folder.fstat(descriptor)
            data = os.pread(descriptor, LONGEST_FILE + 1, 0)
        except OSError as error:
            self._tell(path, f"It cannot be read: {os.strerror(error.errno or 0)}.")
            return _Rules(False, above)
        finally:
            os.close(descriptor)
        patterns, trouble = parse(data)
        self._tell(path, trouble)
        return _Rules(False, ((offset, patterns), *above) if len(patterns) else above, stat)

    def _tell(self, path: bytes, trouble: str) -> None:
        if not trouble and path not in self.problems:
            return
        with self._lock:
            # In place of the dictionary: somebody may be reading it.
            problems = {key: value for key, value in self.problems.items() if key != path}
            if trouble and len(problems) < PROBLEMS:
                problems[path] = trouble
            self.problems = problems


def _file_in(directory: bytes) -> bytes:
    """The path of its file of patterns."""
    return directory + b"/" + FILE_NAME if directory else FILE_NAME
