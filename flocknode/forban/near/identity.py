# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
By which uuid the neighbours know this node: made at the first start, and kept.

The original does so, too.  (goforban is another one after each start.)
"""

from __future__ import annotations

import os
import stat
import tempfile
import uuid
from collections.abc import Callable

from twisted.logger import Logger

from flocknode.errors import ConfigError

NAME = "uuid"
"""Of the file."""

_LONGEST = 64
# Bytes of the file: a uuid of 36, and what an editor may put behind it.

_log = Logger()


def own_uuid(folder: str, make: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """
    The node's own uuid.  Waits for the disk.

    @param folder: where it is kept, in the file L{NAME}; made, open to its owner
        alone, if it does not exist.
    @param make: a uuid of version 4.
    @return: in lower case.
    @raise ConfigError: it cannot be kept.
    """
    path = os.path.join(folder, NAME)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        text = _read(path)
        kept = None if text is None else _parse(text)
        if kept is None:
            kept = str(make())
            _write(folder, path, kept.encode("ascii") + b"\n")
            if text is not None:
                _log.warn("{path} held no uuid; this node is known as {uuid} from now on",
                    path=path, uuid=kept)  # fmt: skip
        return kept
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a file that this node can write: {error.strerror}"
        ) from None


def _read(path: str) -> bytes | None:
    """
    @return: what is there; C{None}: nothing.
    """
    try:
        # Whoever opens a FIFO would wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)


def _parse(text: bytes) -> str | None:
    try:
        written = text.decode("ascii").strip().lower()
        found = uuid.UUID(written)
    except ValueError:
        return None
    # UUID takes braces, URNs and digits without hyphens as well.
    return written if found.version == 4 and str(found) == written else None


def _write(folder: str, path: str, text: bytes) -> None:
    """All or nothing: a file beside it that takes its place when it is on disk."""
    # mkstemp makes it 0600
    descriptor, beside = tempfile.mkstemp(prefix=".uuid-", dir=folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
