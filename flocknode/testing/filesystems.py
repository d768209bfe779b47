# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Twins of file systems that treat names otherwise than those of Linux: a real
folder, between which and the box's disk modules names are mapped, refused and
found as such a system does it::

    twin = Twin.windows(root)
    twin.install(self.patch)        # of a trial TestCase, which undoes it

Only names are looked after, and what is missing besides (links, exchanging two
names).  What a test itself writes into the folder must have names as that
system shows them: L{Twin.shown}.
"""

from __future__ import annotations

import errno
import os
import sys
import unicodedata
from collections.abc import Callable
from types import ModuleType
from typing import Any

import attrs

from flocknode.box.disk import folder, syscalls
from flocknode.box.disk.naming import DOUBTFUL, Naming

Patch = Callable[[Any, str, Any], Any]
"""C{TestCase.patch}."""

_OF_ONE_NAME = ("stat", "unlink", "rmdir", "readlink", "utime", "chmod")


@attrs.frozen
class Twin:
    """
    A folder that seems to lie on another file system.

    @ivar root: everything in it is mapped.
    @ivar names: which names it cannot tell apart, and which it refuses.
    @ivar decomposes: it shows names decomposed, however they were given.
    @ivar exchange: two names can be exchanged, and renaming refuse to replace.
    @ivar symlinks: there are symbolic links.
    """

    root: bytes
    names: Naming
    decomposes: bool = False
    exchange: bool = True
    symlinks: bool = True

    @classmethod
    def case_insensitive(cls, root: bytes) -> Twin:
        """Like ext4 with C{casefold}, but for accents."""
        return cls(os.path.realpath(root), Naming(case_sensitive=False))

    @classmethod
    def windows(cls, root: bytes) -> Twin:
        """Like NTFS under Windows."""
        naming = Naming(
            case_sensitive=False,
            text_only=True,
            refused=DOUBTFUL,
            any_end=False,
            devices=False,
        )
        return cls(os.path.realpath(root), naming, exchange=False, symlinks=False)

    @classmethod
    def macos(cls, root: bytes) -> Twin:
        """Like HFS+: accents are decomposed, and case does not matter."""
        naming = Naming(case_sensitive=False, normalizing=True, text_only=True)
        return cls(os.path.realpath(root), naming, decomposes=True)

    def install(self, patch: Patch) -> None:
        """From now on the box's disk modules see the folder as it seems to be."""
        for name, module in list(sys.modules.items()):
            if name.startswith("flocknode.box.disk.") and hasattr(module, "os"):
                patch(module, "os", _System(self, module.os))
        has_openat2 = folder._has_openat2
        rename = syscalls.rename

        def walking(directory: int) -> bool:
            # Names are mapped one by one.
            return not self._holds(directory) and has_openat2(directory)

        def renaming(
            source_fd: int, source: bytes, target_fd: int, target: bytes, flags: int
        ) -> None:
            if self._holds(target_fd) and not self.exchange:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            target = self.name_in(target_fd, target, flags == syscalls.NOREPLACE)
            rename(source_fd, self.name_in(source_fd, source), target_fd, target, flags)

        patch(folder, "_has_openat2", walking)
        patch(syscalls, "rename", renaming)

    def shown(self, name: bytes) -> bytes:
        """How the system shows what was made under this name."""
        if not self.names.any_end:
            name = name.rstrip(b". ") or name
        if self.decomposes:
            text = name.decode("utf-8", "surrogateescape")
            name = unicodedata.normalize("NFD", text).encode("utf-8", "surrogateescape")
        return name

    def name_in(self, directory: int, name: Any, making: bool = False) -> Any:
        """
        The name that the folder really has for this one.

        @param directory: a descriptor.
        @param making: if there is none, it will be made.
        @raise OSError: C{EINVAL}: it cannot be made.
        """
        if not self._holds(directory):
            return name
        given = self.shown(os.fsencode(name))
        if given in (b".", b".."):
            return name
        wanted = self.names.key(given)
        for there in os.listdir(f"/proc/self/fd/{directory}"):
            if self.names.key(os.fsencode(there)) == wanted:
                return os.fsencode(there)
        if making and self.names.why_not(given):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
        return given

    def _holds(self, directory: int) -> bool:
        path = os.readlink(os.fsencode(f"/proc/self/fd/{directory}"))
        return path == self.root or path.startswith(self.root + b"/")


class _System:
    """
    The module C{os} as it would be there.

    @param real: what it is here.
    """

    def __init__(self, twin: Twin, real: ModuleType) -> None:
        self._twin = twin
        self._real: Any = real
        for function in _OF_ONE_NAME:
            setattr(self, function, self._of_one_name(getattr(real, function)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _name(self, name: Any, directory: int | None, making: bool = False) -> Any:
        if directory is None or isinstance(name, int):
            return name
        return self._twin.name_in(directory, name, making)

    def _of_one_name(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(
            name: Any, *arguments: Any, dir_fd: int | None = None, **others: Any
        ) -> Any:
            name = self._name(name, dir_fd)
            if dir_fd is not None:
                others["dir_fd"] = dir_fd
            return function(name, *arguments, **others)

        return call

    def open(
        self, name: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        name = self._name(name, dir_fd, bool(flags & os.O_CREAT))
        descriptor: int = self._real.open(name, flags, mode, dir_fd=dir_fd)
        return descriptor

    def mkdir(self, name: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._real.mkdir(self._name(name, dir_fd, True), mode, dir_fd=dir_fd)

    def symlink(self, target: Any, name: Any, *, dir_fd: int | None = None) -> None:
        if dir_fd is not None and not self._twin.symlinks and self._twin._holds(dir_fd):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), name)
        self._real.symlink(target, self._name(name, dir_fd, True), dir_fd=dir_fd)

    def link(
        self, source: Any, target: Any, *, src_dir_fd: int, dst_dir_fd: int, **others: Any
    ) -> None:
        self._real.link(
            self._name(source, src_dir_fd),
            self._name(target, dst_dir_fd, True),
            src_dir_fd=src_dir_fd,
            dst_dir_fd=dst_dir_fd,
            **others,
        )

    def rename(self, source: Any, target: Any, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        self._real.rename(
            self._name(source, src_dir_fd),
            self._name(target, dst_dir_fd, True),
            src_dir_fd=src_dir_fd,
            dst_dir_fd=dst_dir_fd,
        )
