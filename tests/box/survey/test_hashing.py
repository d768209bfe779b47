# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.box.survey.hashing}.
"""

from __future__ import annotations

import os
import shutil

from blake3 import blake3

from flocknode.box.content import block_hash, content_hash
from flocknode.box.disk.folder import FileType
from flocknode.box.index.columns import Disk, disk_tuple
from flocknode.box.survey import blocks, hashing
from flocknode.box.survey.hashing import Changed, Listing, Scanner
from flocknode.box.survey.spread import Spread
from flocknode.box.values import Path
from tests.box.folders import FolderCase

KIB = 1024


def names(listing: Listing) -> list[bytes]:
    """Of its entries."""
    return [name for name, _ in listing.entries]


class WalkTests(FolderCase):
    """What is in a folder."""

    def setUp(self) -> None:
        super().setUp()
        self.scanner = Scanner(self.folder)

    def walk(self, below: bytes = b"") -> dict[bytes, list[bytes]]:
        """Path of each directory -> names in it."""
        return {each.path: names(each) for each in self.scanner.walk(below)}

    def test_listsDirectoriesOneByOneParentsFirstAndSorted(self) -> None:
        for path in (b"b/y/1", b"b/x/2", b"a", b"\xff"):
            self.write(path)
        listings = list(self.scanner.walk())
        self.assertEqual([each.path for each in listings], [b"", b"b", b"b/x", b"b/y"])
        self.assertEqual(names(listings[0]), [b"a", b"b", b"\xff"])

    def test_leavesOutThePrivateDirectoryAtTheTopOnly(self) -> None:
        self.write(b"d/.flocknode/x")
        self.write(b".FLOCKNODE/x")
        self.assertEqual(self.walk(), {b"": [b"d"], b"d": [b".flocknode"], b"d/.flocknode": [b"x"]})

    def test_canBeginBelowTheTop(self) -> None:
        self.write(b"d/e/x")
        self.write(b"f")
        self.assertEqual(self.walk(b"d"), {b"d": [b"e"], b"d/e": [b"x"]})

    def test_reportsWhatABoxDoesNotHoldAsOther(self) -> None:
        os.mkfifo(self.at(b"fifo"))
        os.symlink(self.outside, self.at(b"link"))
        (listing,) = self.scanner.walk()
        types = {name: stat.type for name, stat in listing.entries}
        self.assertEqual(types, {b"fifo": FileType.OTHER, b"link": FileType.SYMLINK})

    def test_isLazy(self) -> None:
        for path in (b"a/x", b"b/x"):
            self.write(path)
        walk = self.scanner.walk()
        next(walk)
        self.write(b"b/new")
        self.assertIn(b"new", [name for each in walk for name in names(each)])

    def test_aDirectoryThatVanishesIsNotListed(self) -> None:
        for path in (b"a/x", b"b/x", b"c/x"):
            self.write(path)
        walk = self.scanner.walk()
        next(walk)
        shutil.rmtree(self.at(b"a"))
        shutil.rmtree(self.at(b"b"))
        self.write(b"b")
        self.assertEqual([each.path for each in walk], [b"c"])

    def test_aDirectoryThatBecomesALinkIsNotEntered(self) -> None:
        self.write(b"a/x")
        with open(self.outside + b"/secret", "wb"):
            pass
        walk = self.scanner.walk()
        next(walk)
        shutil.rmtree(self.at(b"a"))
        os.symlink(self.outside, self.at(b"a"))
        self.assertEqual(list(walk), [])

    def test_aNameThatVanishesWhileItsDirectoryIsReadIsLeftOut(self) -> None:
        for path in (b"a", b"b"):
            self.write(path)
        scandir = os.scandir

        def vanishing(directory: int) -> object:
            found = scandir(directory)
            entries = list(found)
            os.unlink(self.at(b"a"))
            return _Entries(entries)

        self.patch(os, "scandir", vanishing)
        self.assertEqual(self.walk(), {b"": [b"b"]})

    def test_anUnreadableDirectoryIsAProblemAndNotEmpty(self) -> None:
        for path in (b"bad/x", b"good/x", b"odd/x"):
            self.write(path)
        self.unprivileged()
        os.chmod(self.at(b"bad"), 0)
        os.chmod(self.at(b"odd"), 0o400)
        listings = {each.path: each for each in self.scanner.walk()}
        for path in (b"bad", b"odd"):
            self.assertEqual(listings[Path(path)].entries, ())
            self.assertIsNotNone(listings[Path(path)].problem)
        self.assertEqual(names(listings[Path(b"good")]), [b"x"])
        self.assertIsNone(listings[Path(b"good")].problem)

    def test_aRootThatIsGoneIsAProblemAndNotEmpty(self) -> None:
        self.folder.close()
        (listing,) = self.scanner.walk()
        self.assertIsNotNone(listing.problem)

    def test_whatIsIgnoredIsNeitherListedNorEntered(self) -> None:
        for path in (b"keep/x.tmp", b"keep/y", b"skip/z"):
            self.write(path)
        asked = []

        def ignored(path: Path, type: FileType) -> bool:
            asked.append((path, type))
            return path == b"skip" or path.endswith(b".tmp")

        self.scanner = Scanner(self.folder, ignored)
        self.assertEqual(self.walk(), {b"": [b"keep"], b"keep": [b"y"]})
        self.assertIn((b"skip", FileType.DIRECTORY), asked)
        self.assertIn((b"keep/x.tmp", FileType.FILE), asked)

    def known(self, path: Path) -> dict[bytes, Disk]:
        """As if the index knew all that is there."""
        listing = self.scanner.list(path)
        assert listing is not None
        return {name: disk_tuple(stat) for name, stat in listing.entries}

    def test_whatIsAsItIsKnownToBeIsNotListedButEntered(self) -> None:
        self.write(b"d/e/x")
        self.write(b"y")
        os.symlink(b"y", self.at(b"link"))
        listings = list(self.scanner.walk(known=self.known))
        self.assertEqual([each.path for each in listings], [b"", b"d", b"d/e"])
        self.assertEqual([each.entries for each in listings], [(), (), ()])
        self.assertEqual([each.looked for each in listings], [3, 1, 1])

    def test_whatDiffersInAnyWayIsListed(self) -> None:
        for path in (b"file", b"same"):
            self.write(path, b"data")
        os.mkdir(self.at(b"d"), 0o700)
        known = self.known(Path(b""))
        for position in range(6):
            changed = [*known[b"file"]]
            changed[position] += 1
            type, size, mtime, ctime, mode, inode = changed
            seen = {**known, b"file": (type, size, mtime, ctime, mode, inode)}
            listing = self.scanner.list(b"", seen)
            assert listing is not None
            self.assertEqual(names(listing), [b"file"])
            # What is left of it is what is listed, or gone.
            self.assertEqual(set(seen), {b"file"})
        os.chmod(self.at(b"d"), 0o750)
        listing = self.scanner.list(b"", known)
        assert listing is not None
        self.assertEqual((names(listing), listing.directories), ([b"d"], (b"d",)))

    def test_whatIsKnownAndGoneIsLeft(self) -> None:
        self.write(b"file")
        known = self.known(Path(b""))
        known[b"gone"] = known[b"file"]
        self.scanner.list(b"", known)
        self.assertEqual(set(known), {b"gone"})

    def test_eachDirectoryIsEnteredBeforeItIsListed(self) -> None:
        self.write(b"d/x")

        def entering(path: Path, descriptor: int) -> None:
            os.close(os.open(b"late", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))

        self.scanner = Scanner(self.folder, entering=entering)
        self.assertEqual(self.walk(), {b"": [b"d", b"late"], b"d": [b"late", b"x"]})

    def test_pathsThatCouldNotBeAnnouncedAreLeftOut(self) -> None:
        at, path = self.folder.root_fd, []
        for _ in range(17):
            os.mkdir(b"n" * 250, dir_fd=at)
            at = os.open(b"n" * 250, os.O_RDONLY, dir_fd=at)
            self.addCleanup(os.close, at)
            path.append(b"n" * 250)
        deepest = list(self.scanner.walk())[-1]
        self.assertEqual(deepest.path, b"/".join(path[:16]))
        self.assertEqual(deepest.entries, ())
        self.assertIsNone(deepest.problem)


class _Entries:
    """What C{os.scandir} returns, made of a list."""

    def __init__(self, entries: list[os.DirEntry[str]]) -> None:
        self.entries = entries

    def __enter__(self) -> list[os.DirEntry[str]]:
        return self.entries

    def __exit__(self, *reason: object) -> None:
        return None


class HashFileTests(FolderCase):
    """The content of one file."""

    def setUp(self) -> None:
        super().setUp()
        self.scanner = Scanner(self.folder)

    def test_cutsItIntoBlocks(self) -> None:
        blocks = [b"1" * 128 * KIB, b"2" * 128 * KIB, b"3"]
        self.write(b"file", b"".join(blocks))
        hashed = self.scanner.hash_file(b"file")
        hashes = tuple(map(block_hash, blocks))
        self.assertEqual(hashed.blocks, hashes)
        self.assertEqual(hashed.block_size, 128 * KIB)
        self.assertEqual(hashed.size, 256 * KIB + 1)
        self.assertEqual(hashed.content, content_hash(hashed.size, 128 * KIB, hashes))
        self.assertEqual(hashed.stat, self.folder.lstat(b"file"))

    def test_smallAndEmptyFilesAreTheHashOfTheirBytes(self) -> None:
        self.write(b"small", b"data")
        self.write(b"empty")
        small, empty = map(self.scanner.hash_file, (b"small", b"empty"))
        data = block_hash(b"data")
        self.assertEqual((small.content, small.blocks), (data, (data,)))
        self.assertEqual((empty.content, empty.blocks), (block_hash(b""), ()))

    def test_theBlockSizeCanBeGiven(self) -> None:
        self.write(b"file", b"x" * 300 * KIB)
        self.assertEqual(len(self.scanner.hash_file(b"file", block_size=256 * KIB).blocks), 2)

    def test_severalThreadsFindTheSame(self) -> None:
        self.patch(hashing, "PIECE", 256 * KIB)
        self.write(b"file", os.urandom(5 * 256 * KIB + 7))
        spread = Spread(2)
        self.addCleanup(spread.close)
        shared = self.scanner.hash_file(b"file", spread=spread)
        self.assertEqual(shared, self.scanner.hash_file(b"file"))
        self.assertEqual(len(shared.blocks), 11)

    def test_aShortReadIsNoShortFile(self) -> None:
        self.write(b"file", b"some data")
        read = os.pread
        self.patch(os, "pread", lambda at, size, offset: read(at, size // 2, offset))
        self.assertEqual(self.scanner.hash_file(b"file").content, block_hash(b"some data"))

    def test_itIsTheSameWhetherItIsReadAtOnceOrInBlocks(self) -> None:
        self.write(b"file", os.urandom(300 * KIB))
        whole = self.scanner.hash_file(b"file")
        self.patch(blocks, "WHOLE", 128 * KIB)
        self.assertEqual(self.scanner.hash_file(b"file"), whole)

    def test_refusesAFileThatIsNotWhatItShouldBe(self) -> None:
        self.write(b"file", b"old")
        stat = self.folder.lstat(b"file")
        self.write(b"file", b"newer")
        with self.assertRaises(Changed):
            self.scanner.hash_file(b"file", stat)

    def test_refusesAFileThatChangesWhileItIsRead(self) -> None:
        for change in (b"", b"x" * 200 * KIB, b"x" * 300 * KIB):
            self.write(b"file", b"y" * 200 * KIB)

            def hash(data: memoryview, change: bytes = change) -> blake3:
                self.write(b"file", change)
                return blake3(data)

            self.patch(blocks, "blake3", hash)
            with self.assertRaises(Changed):
                self.scanner.hash_file(b"file")

    def test_canBeCancelledBetweenBlocks(self) -> None:
        self.patch(blocks, "WHOLE", 128 * KIB)
        self.write(b"file", b"y" * 300 * KIB)
        answers = [False, True]
        with self.assertRaises(Changed):
            self.scanner.hash_file(b"file", cancelled=lambda: answers.pop(0))
        self.assertEqual(answers, [])

    def test_followsNoLinkAndOpensNothingElse(self) -> None:
        os.symlink(b"file", self.at(b"link"))
        self.write(b"file")
        for path in (b"link", b"missing", b""):
            with self.assertRaises(OSError):
                self.scanner.hash_file(path)


class HashLinkTests(FolderCase):
    """The content of a symbolic link."""

    def test_isItsTarget(self) -> None:
        target = b"../\xffwhere/ever"
        os.symlink(target, self.at(b"link"))
        hashed = Scanner(self.folder).hash_link(b"link")
        self.assertEqual(hashed.content, block_hash(target))
        self.assertEqual(hashed.blocks, (hashed.content,))
        self.assertEqual(hashed.size, len(target))
        self.assertEqual(hashed.stat.type, FileType.SYMLINK)

    def test_refusesALinkThatIsReplacedMeanwhile(self) -> None:
        os.symlink(b"one", self.at(b"link"))
        os.symlink(b"two", self.at(b"link2"))
        readlink = self.folder.readlink

        def replaced(path: bytes) -> bytes:
            os.rename(self.at(b"link2"), self.at(b"link"))
            return readlink(path)

        self.patch(self.folder, "readlink", replaced)
        with self.assertRaises(Changed):
            Scanner(self.folder).hash_link(b"link")

    def test_refusesAFile(self) -> None:
        self.write(b"file")
        with self.assertRaises(OSError):
            Scanner(self.folder).hash_link(b"file")
