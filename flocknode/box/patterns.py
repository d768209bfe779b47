# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Patterns in the syntax of gitignore, read from a C{.flockignore}.  Pure.

A pattern says something of the very path that it matches.  That what lies
below an ignored directory is ignored, too, is up to whoever asks for the
directories first.

Files with patterns come from others: they are bounded, and a pattern whose
matching could take long is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from pathspec import GitIgnoreSpec

FILE_NAME = b".flockignore"
"""In any directory of a box, as C{.gitignore} in one of git."""

LONGEST_FILE = 64 * 1024
"""Bytes of a file with patterns that are read."""

MOST_PATTERNS = 1000
"""Patterns of a file that count."""

LONGEST_PATTERN = 1024
"""Characters."""

_STARS = 3
"""C{*} in a pattern, where it is only a part of a name: matching may take as
many steps as the power of a name's length."""

_WAYS = 2
"""C{**} between slashes in a pattern, for the same reason."""

_ANYWHERE = "^(?:.+/)?"
"""How pathspec begins the expression of a pattern without a slash."""

_SLASH = "ps_d"
"""pathspec's name for the group of the slash behind what a pattern matches."""


@attrs.frozen
class _Pattern:
    """
    @ivar include: it ignores; else it takes back.
    @ivar marked: its expression has the group L{_SLASH}.
    """

    include: bool
    regex: re.Pattern[str]
    marked: bool

    def matches(self, text: str, directory: bool) -> bool:
        """
        @param text: a path below the pattern's directory, or its last name.
        """
        if not self.marked:
            return self.regex.search(text) is not None
        if directory:
            text += "/"
        found = self.regex.search(text)
        # A slash in the middle: it matches something above, not this.
        return found is not None and found.end(_SLASH) in (-1, len(text))


class Patterns:
    """
    The patterns of one file.

    """

    def __init__(self, patterns: Sequence[tuple[str, re.Pattern[str], bool]]) -> None:
        self._patterns: list[tuple[bool, _Pattern]] = []
        names: list[str] = []
        paths: list[str] = []
        for line, regex, include in patterns:
            by_name = "/" not in line.lstrip("!").rstrip()[:-1]
            source = regex.pattern
            if by_name and source.startswith(_ANYWHERE):
                source = "^" + source[len(_ANYWHERE) :]
            marked = _SLASH in regex.groupindex
            pattern = _Pattern(include, re.compile(source, regex.flags), marked)
            self._patterns.append((by_name, pattern))
            (names if by_name else paths).append(source.replace(f"(?P<{_SLASH}>", "(?:"))
        self._patterns.reverse()
        self._names = _any_of(names)
        self._paths = _any_of(paths)

    def __len__(self) -> int:
        return len(self._patterns)

    def says(self, path: str, directory: bool) -> bool | None:
        """
        @param path: relative to the directory of the file.
        @return: true: ignored; false: not, whatever others say; L{None}: nothing.
        """
        name = path.rpartition("/")[2]
        slash = "/" if directory else ""
        # Most paths match nothing at all, which one expression tells.
        if (self._names is None or self._names.search(name + slash) is None) and (
            self._paths is None or self._paths.search(path + slash) is None
        ):
            return None
        for by_name, pattern in self._patterns:
            if pattern.matches(name if by_name else path, directory):
                return pattern.include
        return None


def _any_of(sources: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{source})" for source in sources)) if sources else None


def parse(data: bytes) -> tuple[Patterns, str]:
    """
    @param data: of the file; more than L{LONGEST_FILE} bytes: its beginning.
    @return: its valid patterns; and what does not count, as one sentence, or
        an empty string.
    """
    trouble = ""
    if len(data) > LONGEST_FILE:
        data = data[:LONGEST_FILE].rpartition(b"\n")[0]
        trouble = f"Only its first {LONGEST_FILE // 1024} KiB count: make it shorter."
    found: list[tuple[str, re.Pattern[str], bool]] = []
    wrong: list[int] = []
    text = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf"))
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        compiled = _compile(line)
        if compiled is None:
            wrong.append(number)
        elif len(found) == MOST_PATTERNS:
            trouble = f"Only its first {MOST_PATTERNS} patterns count: use fewer."
            break
        else:
            found.append((line, *compiled))
    if wrong:
        lines = ", ".join(map(str, wrong[:3])) + (" and more" if wrong[3:] else "")
        which = f"Line {lines} is" if len(wrong) == 1 else f"Lines {lines} are"
        trouble = f"{which} no pattern that can be used: correct it."
    return Patterns(found), trouble


def _compile(line: str) -> tuple[re.Pattern[str], bool] | None:
    """One pattern; L{None} if it is none, or could take long to match."""
    if len(line) > LONGEST_PATTERN or "\0" in line or "[[" in line or _is_slow(line):
        return None
    if line.rstrip(" ").endswith("/**/"):
        # To pathspec that would be the directory itself; to git it is not.
        line = line.rstrip(" ") + "*/"
    try:
        patterns: Iterable[Any] = GitIgnoreSpec.from_lines([line]).patterns
    except (ValueError, re.error):
        return None
    for pattern in patterns:
        if pattern.regex is not None and pattern.include is not None:
            return pattern.regex, bool(pattern.include)
    return None


def _is_slow(line: str) -> bool:
    components = line.strip().removeprefix("!").strip("/").split("/")
    stars = sum(each.count("*") for each in components if each not in ("*", "**"))
    return stars > _STARS or components[:-1].count("**") > _WAYS


BUILT_IN = parse(
    b"""
# editors: swap, backup and lock files
*.sw[a-p]
\\#*#
.#*
.~lock.*#
~$*
# downloads that are not complete
*.part
*.partial
*.crdownload
# what systems keep in folders of their own accord
.DS_Store
._*
[Tt]humbs.db
[Dd]esktop.ini
$RECYCLE.BIN/
System Volume Information/
.fuse_hidden*
.nfs[0-9a-f]*
.flocknode
"""
)[0]
"""What is ignored in every box, unless a C{!pattern} takes it back."""
