# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
System calls that Python does not have: C{renameat2} (rename without replacing,
and exchange) and C{openat2} (open below a directory without ever following a
link).  Where they are missing, L{OSError} with C{ENOSYS}.  And one that is only
a hint, C{sync_file_range}, without which everything is the same but slower.

All names are bytes and relative to directory descriptors.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

TYPE_CHECKING = False
# Nor is this module to import what it does not need: see L{flocknode.box.survey.hashprogram}.
if TYPE_CHECKING:
    from typing import Any

NOREPLACE = 1
"""C{RENAME_NOREPLACE} of C{linux/fs.h}: C{EEXIST} if the target exists."""

EXCHANGE = 2
"""C{RENAME_EXCHANGE} of C{linux/fs.h}: swap two names atomically."""

_OPENAT2 = 437
"""The same number on all architectures (C{asm-generic/unistd.h})."""

_RENAMEAT2 = {
    "x86_64": 316,
    "i386": 353,
    "i686": 353,
    "aarch64": 276,
    "riscv64": 276,
    "loongarch64": 276,
    "armv6l": 382,
    "armv7l": 382,
    "ppc64le": 357,
    "s390x": 347,
}
"""For C libraries without the function; from the kernel's syscall tables."""

_RESOLVE = 0x01 | 0x02 | 0x04 | 0x08
"""C{RESOLVE_NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH} of
C{linux/openat2.h}."""

UNSUPPORTED = frozenset((errno.EINVAL, errno.ENOSYS, errno.EPERM))
"""What L{rename} says where it cannot do it: file system, kernel, sandbox."""

_NO_LINKS = frozenset((errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK))
"""What C{linkat} says of directories and where there are no hard links."""

_WRITE = 2
"""C{SYNC_FILE_RANGE_WRITE} of C{linux/fs.h}: begin, and do not wait."""

_AGAIN = 8
"""C{openat2} says C{EAGAIN} when a rename elsewhere disturbed it."""


class _OpenHow(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


def _library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    return ctypes.CDLL(None, use_errno=True)


_libc = _library()


def _system_call() -> Any:
    """C{syscall(2)} with the arguments of C{openat2}."""
    if _libc is None:
        return None
    call = _libc["syscall"]
    call.argtypes = (
        ctypes.c_long,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_void_p,
        ctypes.c_size_t,
    )
    call.restype = ctypes.c_long
    return call


_openat2 = _system_call()

_HOW_SIZE = ctypes.sizeof(_OpenHow)

def _range_call() -> Any:
    """C{sync_file_range} of the C library; L{None}: it has none."""
    call = getattr(_libc, "sync_file_range", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call


_sync_file_range = _range_call()

_hows: dict[int, tuple[_OpenHow, int]] = {}
# By flags, of which there are few, with their addresses: made once, only read after that.


def _fail(number: int, name: bytes) -> OSError:
    return OSError(number, os.strerror(number), name)


def rename(
    source_fd: int, source: bytes, target_fd: int, target: bytes, flags: int
) -> None:
    """
    C{renameat2(2)}.

    @param flags: L{NOREPLACE} or L{EXCHANGE}.
    @raise OSError: C{EINVAL} if the file system does not know the flag,
        C{ENOSYS} if the system does not know the call.
    """
    if _libc is None:
        raise _fail(errno.ENOSYS, source)
    if b"\0" in source or b"\0" in target:
        raise _fail(errno.EINVAL, source)
    if hasattr(_libc, "renameat2"):
        result = _libc.renameat2(source_fd, source, target_fd, target, flags)
    elif os.uname().machine in _RENAMEAT2:
        result = _libc.syscall(
            ctypes.c_long(_RENAMEAT2[os.uname().machine]),
            ctypes.c_int(source_fd),
            ctypes.c_char_p(source),
            ctypes.c_int(target_fd),
            ctypes.c_char_p(target),
            ctypes.c_uint(flags),
        )
    else:
        raise _fail(errno.ENOSYS, source)
    if result != 0:
        raise _fail(ctypes.get_errno(), source)


def rename_to_new(
    source_fd: int, source: bytes, target_fd: int, target: bytes
) -> None:
    """
    Rename without replacing anything.  Without C{renameat2}, a file is linked
    and unlinked, which cannot replace either; what cannot be linked is
    renamed after a look.

    @raise FileExistsError: if the target exists.
    """
    try:
        return rename(source_fd, source, target_fd, target, NOREPLACE)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    try:
        os.link(
            source,
            target,
            src_dir_fd=source_fd,
            dst_dir_fd=target_fd,
            follow_symlinks=False,
        )
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return os.unlink(source, dir_fd=source_fd)
    try:
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        return os.rename(
            source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd
        )
    raise _fail(errno.EEXIST, target)


def open_beneath(root_fd: int, path: bytes, flags: int) -> int:
    """
    C{openat2(2)}: open what lies below C{root_fd} on the same mount, through
    directories only.

    @param path: relative, below 4096 bytes.
    @raise OSError: C{ELOOP} if any component is a symbolic link, C{EXDEV} if
        the path leaves the directory or its mount, C{ENOSYS} or C{EPERM} if
        the system does not have the call or a sandbox forbids it.
    """
    if _openat2 is None:
        raise _fail(errno.ENOSYS, path)
    if b"\0" in path:
        raise _fail(errno.EINVAL, path)
    known = _hows.get(flags)
    if known is None:
        how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE)
        known = _hows[flags] = how, ctypes.addressof(how)
    address = known[1]
    for _ in range(_AGAIN):
        descriptor: int = _openat2(_OPENAT2, root_fd, path, address, _HOW_SIZE)
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise _fail(number, path)


def rewind(directory: int) -> None:
    """
    To be called before a directory is listed that was not opened just now.
    Btrfs shows what was there when the descriptor was opened, or last set back to its
    beginning; and CPython sets it back after it has listed it, not before.
    """
    os.lseek(directory, 0, os.SEEK_SET)


def names_in(directory: int) -> list[bytes]:
    """The names in a directory that is held open, in no order, as they are now."""
    rewind(directory)
    return [os.fsencode(name) for name in os.listdir(directory)]


def begin_writing(descriptor: int) -> None:
    """
    Ask the system to begin writing all of a file to the disk.  Says nothing and
    promises nothing: C{fsync} still has to be called, has less left to do then,
    and tells of all errors.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, 0, 0, _WRITE)
