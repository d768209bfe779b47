# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
ZeroMQ endpoints as people write them, and their one normal form, by which the
configuration, the key files and the wire process find each other's entries:

 - C{tcp://192.0.2.10:5671}, C{tcp://[2001:db8::1]:5671}, C{tcp://name:5671};
   as in flocksy C{tcp://} may be left out;
 - C{ipc:///absolute/path}, C{ipc://path/relative/to/the/file}.
"""

from __future__ import annotations

import ipaddress
import os
import re

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_NUMBERS = re.compile(r"[0-9.]+\Z")
_FORMS = "expected tcp://<address>:<port> or ipc://<path>"


def expand(path: str, folder: str) -> str:
    """
    @param path: a path as written; C{~} is the home folder.
    @param folder: what a relative path is relative to; absolute.
    @return: the absolute path, without C{..}; links are not followed.
    @raise ValueError: one clause that says what was expected.
    """
    if not path:
        raise ValueError("expected a path")
    if any(ord(c) < 32 or ord(c) == 127 for c in path):
        raise ValueError("expected a path without control characters")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError("expected a path, and this is no text") from None
    if path.startswith("~"):
        expanded = os.path.expanduser(path)
        if expanded.startswith("~"):
            user = path.partition("/")[0]
            raise ValueError(f"expected a path, and there is no user {user!r}")
        path = expanded
    return os.path.normpath(os.path.join(folder, path))


def normal(text: str, folder: str) -> str:
    """
    @param text: an endpoint as written.
    @param folder: what a relative ipc path is relative to; absolute.
    @return: the normal form: two endpoints that mean the same are equal text.
    @raise ValueError: one clause that says what was expected.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme == "ipc":
        return "ipc://" + expand(rest, folder)
    if scheme != "tcp":
        raise ValueError(_FORMS)
    host, separator, port = rest.rpartition(":")
    if not separator or not host:
        raise ValueError(_FORMS)
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{_FORMS}, the port from 1 to 65535")
    return f"tcp://{_host(host)}:{int(port)}"


def _host(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1])}]"
        except ValueError:
            raise ValueError(f"{_FORMS}, with an IPv6 address in the brackets") from None
    if text == "*":
        return "0.0.0.0"
    if _NUMBERS.match(text):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueError(f"{_FORMS}, and {text} is no IPv4 address") from None
    if not _HOST.match(text) or len(text) > 253:
        raise ValueError(_FORMS)
    return text.lower()


def host_of(endpoint: str) -> str:
    """
    @param endpoint: in normal form, tcp.
    @return: the address or name, without brackets.
    """
    return endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def is_local(endpoint: str) -> bool:
    """
    Can the endpoint only be reached from this machine: ipc or a loopback
    address?  A name never counts, whatever it resolves to now.

    @param endpoint: in normal form.
    """
    if endpoint.startswith("ipc://"):
        return True
    try:
        return ipaddress.ip_address(host_of(endpoint)).is_loopback
    except ValueError:
        return False


def check_listen(endpoint: str) -> None:
    """
    ZeroMQ listens on addresses and interface names, and resolves no names.

    @param endpoint: in normal form.
    @raise ValueError: one clause that says what was expected.
    """
    if endpoint.startswith("ipc://"):
        return
    host = host_of(endpoint)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host == "localhost" or "." in host:
            raise ValueError(
                "expected an IP address of this machine or the name of a network"
                " interface, since ZeroMQ cannot listen on a host name"
            ) from None
