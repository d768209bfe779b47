# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Every error that flocknode raises on purpose.  One root, so that an embedder
can catch them all; each message is one sentence that says what to do.
"""


class FlocknodeError(Exception):
    """The root of all errors of this package."""


class ConfigError(FlocknodeError):
    """The configuration (file or options) is wrong; names file, line and key."""


class KeyFileError(FlocknodeError):
    """A key file is missing, unreadable, too readable, or holds no valid key."""


class ProtocolError(FlocknodeError):
    """Bytes from outside (peer, port, control socket) do not parse."""


class PathError(ProtocolError):
    """A path from outside is not a safe path below a box."""


class BoxError(FlocknodeError):
    """A box cannot be used: its folder, marker, index or file system says no."""


class WireError(FlocknodeError):
    """The wire process cannot go on: an address or a lock is taken, a key is bad."""


class NeighbourError(FlocknodeError):
    """A Forban neighbour does not answer, or not as it should."""
