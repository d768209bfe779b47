# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
The marker of a box: C{.flocknode/box} holds a random folder id in hexadecimal,
and on a removable medium a second line, C{name } and the name of the box.

A folder whose marker is missing or names another id is not the box that the
index knows (not mounted, another medium, restored, moved): nothing in it is
read as deleted, nothing is placed.
"""

from __future__ import annotations

import errno
import os
import re

from flocknode.box.disk import syscalls
from flocknode.box.disk.folder import PRIVATE, Folder
from flocknode.errors import BoxError

ID_SIZE = 16
"""Bytes of a folder id."""

_NAME = b"box"

_TEXT = re.compile(rb"([0-9a-f]{32})(?:\n|\nname ([^\0-\x1f]{1,255})\n)?")

_LONGEST = 2 * ID_SIZE + 264
"""Bytes of a marker, and one more."""

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def read(folder: Folder) -> bytes | None:
    """
    @return: the 16 bytes of the folder id; None if there is no marker.
    @raise BoxError: if there is something else in its place, or it cannot be
        read.
    """
    found = _read(folder)
    return None if found is None else bytes.fromhex(found[1].decode("ascii"))


def read_name(folder: Folder) -> str | None:
    """
    @return: the name of the box, if there is a marker and it says so.
    @raise BoxError: as L{read}.
    """
    found = _read(folder)
    if found is None or found[2] is None:
        return None
    return found[2].decode("utf-8", "surrogateescape")


def _read(folder: Folder) -> re.Match[bytes] | None:
    try:
        descriptor = folder.open(PRIVATE + b"/" + _NAME)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise _unusable(folder, error) from None
    try:
        text = os.read(descriptor, _LONGEST)
    except OSError as error:
        raise _unusable(folder, error) from None
    finally:
        os.close(descriptor)
    match = _TEXT.fullmatch(text)
    if match is None:
        raise BoxError(
            f"{os.fsdecode(folder.root)}/.flocknode/box is not a marker of flocknode: "
            "restore it, or remove it to make this folder a new box."
        )
    return match


def write(folder: Folder, folder_id: bytes | None = None, name: str = "") -> bytes:
    """
    Make this folder a box, durably: C{.flocknode} (0700) and in it the
    marker.  An existing marker is kept and its id returned.

    @param folder_id: 16 bytes; by default random.
    @param name: of the box, if the marker is to say it.
    @return: the folder id.
    @raise BoxError: if it cannot be written.
    """
    present = read(folder)
    if present is not None:
        return present
    folder_id = os.urandom(ID_SIZE) if folder_id is None else folder_id
    try:
        _make_directory(folder.root_fd, PRIVATE)
        directory = folder.open_directory(PRIVATE)
        try:
            text = folder_id.hex().encode("ascii") + b"\n"
            if name:
                text += b"name " + name.encode("utf-8", "surrogateescape") + b"\n"
            _write_marker(directory, text)
        finally:
            os.close(directory)
        os.fsync(folder.root_fd)
    except OSError as error:
        raise _unusable(folder, error) from None
    return folder_id


def open_private(folder: Folder, name: bytes) -> int:
    """
    A descriptor of the private directory C{.flocknode/<name>}, which is made
    (0700) if it is missing; C{.flocknode} itself must be there.

    @return: a new descriptor, for the caller to close.
    @raise BoxError: if there is no such directory and it cannot be made.
    """
    try:
        directory = folder.open_directory(PRIVATE)
        try:
            _make_directory(directory, name)
        finally:
            os.close(directory)
        return folder.open_directory(PRIVATE + b"/" + name)
    except OSError as error:
        raise _unusable(folder, error) from None


def _unusable(folder: Folder, error: OSError) -> BoxError:
    return BoxError(
        f"{os.fsdecode(folder.root)}/.flocknode cannot be used: "
        f"{os.strerror(error.errno or 0)}; make it a directory that this user can write to."
    )


def _make_directory(parent: int, name: bytes) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return
    os.fsync(parent)


def _write_marker(directory: int, text: bytes) -> None:
    temporary = _NAME + b".new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        os.write(descriptor, text)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    syscalls.rename_to_new(directory, temporary, directory, _NAME)
    os.fsync(directory)
