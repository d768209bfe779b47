# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.syscalls}.
"""

from __future__ import annotations

import ctypes
import errno
import os

from twisted.trial.unittest import SkipTest

from flocknode.box.disk import syscalls
from tests.box.folders import FolderCase


class WithoutTheFunction:
    """A C library that has C{syscall} but not C{renameat2}."""

    syscall = ctypes.CDLL(None, use_errno=True).syscall


class RenameTests(FolderCase):
    """C{renameat2}."""

    def setUp(self) -> None:
        super().setUp()
        if not (self.folder.capabilities.exchange and self.folder.capabilities.noreplace):
            raise SkipTest("the file system of this directory has no renameat2")
        self.write(b"a", b"1")
        self.write(b"d/b", b"2")
        self.fd = self.folder.root_fd

    def test_exchangesTwoNames(self) -> None:
        syscalls.rename(self.fd, b"a", self.fd, b"d/b", syscalls.EXCHANGE)
        self.assertEqual((self.read(b"a"), self.read(b"d/b")), (b"2", b"1"))

    def test_refusesToReplace(self) -> None:
        with self.assertRaises(FileExistsError):
            syscalls.rename(self.fd, b"a", self.fd, b"d/b", syscalls.NOREPLACE)
        syscalls.rename(self.fd, b"a", self.fd, b"d/c", syscalls.NOREPLACE)
        self.assertEqual((self.read(b"d/b"), self.read(b"d/c")), (b"2", b"1"))

    def test_aNameWithANulIsRefusedAndNotCut(self) -> None:
        with self.assertRaises(OSError) as caught:
            syscalls.rename(self.fd, b"a\0x", self.fd, b"c", syscalls.NOREPLACE)
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        self.assertEqual(self.read(b"a"), b"1")


class RenameByNumberTests(RenameTests):
    """The same with a C library that does not know it."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(syscalls, "_libc", WithoutTheFunction())


class RenameToNewTests(FolderCase):
    """Renaming that never replaces, where C{renameat2} is missing."""

    def setUp(self) -> None:
        super().setUp()

        def refuse(*args: object) -> None:
            raise OSError(errno.EINVAL, "no such flag")

        self.patch(syscalls, "rename", refuse)
        self.write(b"a", b"1")
        self.write(b"b", b"2")
        os.mkdir(self.at(b"d"))
        self.fd = self.folder.root_fd

    def rename(self, source: bytes, target: bytes) -> None:
        """In the box."""
        syscalls.rename_to_new(self.fd, source, self.fd, target)

    def test_movesFilesLinksAndDirectories(self) -> None:
        os.symlink(b"nowhere", self.at(b"l"))
        for source, target in ((b"a", b"A2"), (b"d", b"D2"), (b"l", b"L2")):
            self.rename(source, target)
            self.assertFalse(os.path.lexists(self.at(source)))
        self.assertEqual(self.read(b"A2"), b"1")
        self.assertTrue(os.path.isdir(self.at(b"D2")))
        self.assertEqual(os.readlink(self.at(b"L2")), b"nowhere")

    def test_refusesToReplace(self) -> None:
        for source in (b"a", b"d"):
            with self.assertRaises(FileExistsError):
                self.rename(source, b"b")
        self.assertEqual((self.read(b"a"), self.read(b"b")), (b"1", b"2"))

    def test_worksWithoutHardLinksToo(self) -> None:
        def refuse(*args: object, **named: object) -> None:
            raise OSError(errno.EPERM, "no links")

        self.patch(os, "link", refuse)
        with self.assertRaises(FileExistsError):
            self.rename(b"a", b"b")
        self.rename(b"a", b"c")
        self.assertEqual((self.read(b"b"), self.read(b"c")), (b"2", b"1"))


class BeginWritingTests(FolderCase):
    """C{sync_file_range}, where there is one."""

    def test_it_never_fails_and_changes_nothing(self) -> None:
        self.write(b"a", b"1")
        descriptor = os.open(self.at(b"a"), os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        before = os.stat(self.at(b"a"))
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        for each in (descriptor, write, -1):
            syscalls.begin_writing(each)
        self.assertEqual((os.stat(self.at(b"a")), self.read(b"a")), (before, b"1"))

    def test_without_it_nothing_is_done(self) -> None:
        self.patch(syscalls, "_sync_file_range", None)
        syscalls.begin_writing(-1)
