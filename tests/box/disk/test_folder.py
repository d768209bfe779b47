# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.disk.folder}: with C{openat2}, and again without.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from flocknode.box.disk import folder, syscalls
from flocknode.box.disk.folder import FileType, Folder, Stat
from flocknode.errors import BoxError
from tests.box.folders import FolderCase

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


class FolderTests(FolderCase):
    """File operations below a root."""

    def test_saysWhatIsThere(self) -> None:
        self.write(b"d/file", b"12345")
        os.chmod(self.at(b"d/file"), 0o640)
        os.utime(self.at(b"d/file"), ns=(1, 1_234_567_890_123_456_789))
        os.symlink(b"nowhere\xff", self.at(b"d/link"))
        os.mkfifo(self.at(b"d/fifo"))
        file = self.folder.lstat(b"d/file")
        assert file is not None
        self.assertEqual(
            (file.type, file.size, file.mtime_ns, file.mode),
            (FileType.FILE, 5, 1_234_567_890_123_456_789, 0o640),
        )
        self.assertEqual(file.inode, os.stat(self.at(b"d/file")).st_ino)
        self.assertEqual(
            dict(self.folder.listdir(b"d")),
            {b"file": FileType.FILE, b"link": FileType.SYMLINK, b"fifo": FileType.OTHER},
        )
        self.assertEqual(self.folder.readlink(b"d/link"), b"nowhere\xff")
        self.assertEqual(dict(self.folder.listdir(b"")), {b"d": FileType.DIRECTORY})

    def test_theRootCanBeAsked(self) -> None:
        stat = self.folder.lstat(b"")
        assert stat is not None
        self.assertEqual(stat.type, FileType.DIRECTORY)
        self.assertEqual(stat.inode, os.stat(self.root).st_ino)

    def test_whatIsNotThereIsNone(self) -> None:
        self.write(b"file")
        os.symlink(self.outside, self.at(b"link"))
        for path in (b"missing", b"missing/x", b"file/x", b"link/x"):
            self.assertIsNone(self.folder.lstat(path), path)

    def test_noLinkIsFollowed(self) -> None:
        with open(self.outside + b"/secret", "wb") as file:
            file.write(b"secret")
        os.symlink(self.outside, self.at(b"out"))
        os.symlink(self.outside + b"/secret", self.at(b"file"))
        os.symlink(b"d", self.at(b"inner"))
        self.write(b"d/x")
        for call, path in (
            (self.folder.open, b"out/secret"),
            (self.folder.open, b"file"),
            (self.folder.open, b"inner/x"),
            (self.folder.open_directory, b"out"),
            (self.folder.listdir, b"out"),
            (self.folder.readlink, b"out/secret"),
        ):
            with self.assertRaises(OSError, msg=path):
                call(path)

    def test_nothingLeadsAboveTheRoot(self) -> None:
        for path in (b"..", b"../outside", b"d/../../outside", b"/etc", b"a\0b"):
            with self.assertRaises(OSError, msg=path):
                self.folder.open_directory(path)

    def test_onlyRegularFilesAreOpenedAndNobodyWaitsForAFifo(self) -> None:
        os.mkfifo(self.at(b"fifo"))
        os.mkdir(self.at(b"d"))
        for path in (b"fifo", b"d"):
            with self.assertRaises(OSError) as caught:
                self.folder.open(path)
            self.assertEqual(caught.exception.errno, errno.EINVAL)

    def test_pathsMayBeAsLongAsTheSystemTakes(self) -> None:
        path = b"/".join([b"n" * 250] * 15)
        at = self.folder.root_fd
        for component in path.split(b"/"):
            os.mkdir(component, dir_fd=at)
            at = os.open(component, os.O_RDONLY, dir_fd=at)
            self.addCleanup(os.close, at)
        stat = self.folder.lstat(path)
        assert stat is not None
        self.assertEqual(stat.type, FileType.DIRECTORY)

    def test_aMountedDirectoryIsNoPartOfTheBox(self) -> None:
        there = os.stat(self.root)
        reduced: Any = there.__reduce__()
        fields, extra = reduced[1]
        extra = {name: getattr(there, name) for name in extra}
        mounted = os.stat_result((*fields[:2], there.st_dev + 1, *fields[3:]), extra)
        self.assertEqual(self.folder.stat_of(there).type, FileType.DIRECTORY)
        self.assertEqual(self.folder.stat_of(mounted).type, FileType.OTHER)

    def test_theRootThatWasReplacedIsNotInPlace(self) -> None:
        self.assertTrue(self.folder.in_place())
        os.rename(self.root, self.root + b".old")
        self.assertFalse(self.folder.in_place())
        os.mkdir(self.root)
        self.assertFalse(self.folder.in_place())

    def test_aRootThatIsNoDirectoryIsOneSentence(self) -> None:
        self.write(b"file")
        for path in (self.at(b"missing"), self.at(b"file")):
            with self.assertRaises(BoxError):
                Folder(path)


class FolderWithoutOpenat2Tests(FolderTests):
    """The same where the kernel or a sandbox refuses C{openat2}."""

    def setUp(self) -> None:
        def refuse(root_fd: int, path: bytes, flags: int) -> int:
            raise OSError(errno.ENOSYS, "no such call")

        self.patch(syscalls, "open_beneath", refuse)
        super().setUp()


class AnyNameTests(FolderCase):
    """Names are bytes."""

    @given(st.lists(names, min_size=1, max_size=3))
    @settings(max_examples=40, deadline=None)
    def test_anyNameCanBeReadAndListed(self, components: list[bytes]) -> None:
        self.examples = getattr(self, "examples", 0) + 1
        path = b"/".join([b"%d" % self.examples, *components])
        self.write(path, path)
        descriptor = self.folder.open(path)
        try:
            self.assertEqual(os.read(descriptor, 5000), path)
        finally:
            os.close(descriptor)
        parent, _, name = path.rpartition(b"/")
        self.assertEqual(self.folder.listdir(parent), [(name, FileType.FILE)])


class UnnumberedTests(FolderCase):
    """A file system that makes up the numbers of inodes."""

    def test_numbers_that_do_not_last_are_not_told(self) -> None:
        self.write(b"file", b"12345")
        for type in ("vfat", "exfat"):
            self.patch(folder, "type_of", lambda descriptor, type=type: type)
            fat = Folder(self.root)
            self.addCleanup(fat.close)
            stat = fat.lstat(b"file")
            assert stat is not None
            self.assertEqual((stat.inode, stat.size), (0, 5))
            self.assertTrue(fat.in_place())
        self.assertNotEqual(self.folder.lstat(b"file"), stat)


class StatTests(SynchronousTestCase):
    """When two stats are of the same content."""

    file = Stat(FileType.FILE, 5, 10, 20, 0o644, 7)

    def test_aRenameChangesNothingButTheCtime(self) -> None:
        renamed = replace(self.file, ctime_ns=21)
        self.assertTrue(self.file.alike(renamed))
        self.assertFalse(self.file.matches(renamed))
        self.assertTrue(self.file.matches(replace(self.file, links=2)))

    def test_everythingElseMakesADifference(self) -> None:
        for other in (
            replace(self.file, size=6),
            replace(self.file, mtime_ns=11),
            replace(self.file, mode=0o600),
            replace(self.file, inode=8),
            replace(self.file, type=FileType.SYMLINK),
            None,
        ):
            self.assertFalse(self.file.alike(other))
            self.assertFalse(self.file.matches(other))

    def test_ofADirectoryOnlyTypeAndModeCount(self) -> None:
        directory = Stat(FileType.DIRECTORY, 4096, 10, 20, 0o755, 7)
        other = Stat(FileType.DIRECTORY, 8192, 11, 21, 0o755, 8)
        self.assertTrue(directory.matches(other))
        self.assertFalse(directory.alike(replace(other, mode=0o700)))
