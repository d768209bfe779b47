# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What a Forban node says of itself, in one datagram of UTF-8::

    forban;name;<name>;uuid;<uuid>;hmac;<40 hexadecimal digits>

goforban counts the fields by their position and knows no others: exactly these
are sent.  Others may send them in any order, with other pairs in between, in
upper case, with a C{;} at the end, and without an hmac.  Pure.
"""

from __future__ import annotations

import re

import attrs

from flocknode.errors import ProtocolError

LONGEST = 1024
"""Bytes of a datagram that is sent: what both other programs read at once."""

LONGEST_HEARD = 4096
"""Bytes of a datagram that is looked at."""

LONGEST_NAME = 64
"""Characters of a name that are kept."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HMAC = re.compile(r"[0-9a-f]{40}")


@attrs.frozen
class Announcement:
    """
    @ivar uuid: of the node, in lower case.
    @ivar name: what it calls itself: printable, without C{;}, at most
        L{LONGEST_NAME} characters; may be empty.
    @ivar hmac: of its index (L{flocknode.forban.protocol.items.index_hmac}); empty: it says
        none.
    """

    uuid: str
    name: str = ""
    hmac: str = ""


def clean_name(name: str) -> str:
    """A name as it can be announced and shown."""
    kept = "".join(c for c in name if c.isprintable() and c != ";")
    return kept.strip()[:LONGEST_NAME].rstrip()


def encode(announcement: Announcement) -> bytes:
    """The datagram, of at most L{LONGEST} bytes."""
    name = clean_name(announcement.name)
    text = f"forban;name;{name};uuid;{announcement.uuid};hmac;{announcement.hmac}"
    return text.encode("utf-8")


def parse(datagram: bytes) -> Announcement:
    """
    @param datagram: anything at all.
    @raise ProtocolError: it is no announcement.
    """
    if len(datagram) > LONGEST_HEARD:
        raise ProtocolError("An announcement that is too long.")
    try:
        head, *fields = datagram.decode("utf-8").split(";")
    except UnicodeDecodeError:
        raise ProtocolError("An announcement that is not UTF-8.") from None
    if head != "forban":
        raise ProtocolError("A datagram that is no announcement.")
    # The first of each counts; what stands alone at the end does not.
    pairs = dict(reversed(list(zip(fields[::2], fields[1::2], strict=False))))
    uuid = pairs.get("uuid", "").strip().lower()
    if _UUID.fullmatch(uuid) is None:
        raise ProtocolError("An announcement without a UUID.")
    hmac = pairs.get("hmac", "").strip().lower()
    if _HMAC.fullmatch(hmac) is None:
        hmac = ""
    return Announcement(uuid, clean_name(pairs.get("name", "")), hmac)
