# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests of L{flocknode.media.mountinfo}.
"""

from __future__ import annotations

import contextlib
import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from flocknode.errors import ProtocolError
from flocknode.media.devices import TABLE
from flocknode.media.mountinfo import Mount, parse, unescape
from tests.media.tables import written

NAMES = st.binary(min_size=1, max_size=30).filter(lambda name: b"\0" not in name)

MOUNTS = st.builds(
    Mount,
    st.integers(0, 1 << 31),
    st.integers(0, 1 << 31),
    st.tuples(st.integers(0, 4095), st.integers(0, 1 << 20)),
    NAMES.map(lambda name: b"/" + name),
    NAMES.map(lambda name: b"/" + name),
    st.sampled_from(["ext4", "vfat", "fuse.sshfs", "-"]),
    NAMES,
    st.booleans(),
)

OPTIONAL = st.lists(st.sampled_from([b"shared:1", b"master:22", b"unbindable"]), max_size=3)


class MountInfoTests(SynchronousTestCase):
    def test_a_line_of_the_manual_is_read(self) -> None:
        line = (
            rb"36 35 98:0 /mnt1 /mnt/my\040stick\134 rw,noatime master:1 shared:7 - ext3"
            rb" /dev/root rw,errors=continue"
        )
        self.assertEqual(
            parse(line + b"\n"),
            (Mount(36, 35, (98, 0), b"/mnt1", b"/mnt/my stick\\", "ext3", b"/dev/root"),),
        )

    def test_read_only_is_seen_of_the_mount_and_of_the_file_system(self) -> None:
        for mount, file_system in ((b"ro", b"rw"), (b"rw,nosuid", b"ro,x"), (b"nosuid,ro", b"ro")):
            line = b"1 1 8:1 / /m %s - vfat /dev/sda1 %s" % (mount, file_system)
            self.assertTrue(parse(line)[0].read_only)

    @given(st.lists(st.tuples(MOUNTS, OPTIONAL), max_size=5))
    def test_what_the_kernel_writes_is_read_again(
        self, lines: list[tuple[Mount, list[bytes]]]
    ) -> None:
        table = b"".join(written(mount, tuple(more)) + b"\n" for mount, more in lines)
        self.assertEqual(parse(table), tuple(mount for mount, _ in lines))

    @given(st.binary(max_size=200))
    def test_anything_else_is_one_kind_of_error(self, table: bytes) -> None:
        with contextlib.suppress(ProtocolError):
            parse(table)

    @given(MOUNTS, st.integers(0, 200), st.binary(max_size=3))
    def test_a_damaged_line_is_one_kind_of_error(
        self, mount: Mount, at: int, damage: bytes
    ) -> None:
        line = written(mount)
        with contextlib.suppress(ProtocolError):
            parse(line[:at] + damage + line[at + 1 :])

    def test_what_is_cut_off_is_an_error(self) -> None:
        line = written(Mount(1, 2, (3, 4), b"/", b"/m", "ext4", b"/dev/x"))
        for broken in (line.split(b" - ")[0], b"x", line.replace(b"3:4", b"34"), b"- - - -"):
            self.assertRaises(ProtocolError, parse, broken)

    def test_a_backslash_that_escapes_nothing_stays(self) -> None:
        self.assertEqual(unescape(rb"\9\04\040\\"), rb"\9\04 \\")

    def test_the_table_of_this_system_is_read(self) -> None:
        if not os.path.exists(TABLE):
            raise SkipTest("this system has no table of mounts")
        with open(TABLE, "rb") as file:
            self.assertIn(b"/", [mount.point for mount in parse(file.read())])
