# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
What the endpoints C{ssl:} of the site say, and the certificates that they
answer with.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from twisted.internet.endpoints import quoteStringArgument

from flocknode.errors import ConfigError
from flocknode.forban.protocol.remote import Tls

LARGEST = 1 << 20
"""Bytes of a key or a certificate that are read."""

_KEY, _CERTIFICATE = "privateKey", "certKey"
_FILES = (_KEY, _CERTIFICATE, "extraCertChain", "dhParameters")


def split(endpoint: str) -> tuple[list[str], dict[str, str]]:
    """
    @param endpoint: as Twisted writes them: C{kind:a:key=value}; a backslash
        takes the next character for what it is.
    @return: what has no key, the kind first; and what has one.
    """
    plain: list[str] = []
    named: dict[str, str] = {}
    key, text = None, ""
    characters = iter(endpoint + ":")
    for character in characters:
        if character == "\\":
            text += next(characters, "")
        elif character == "=" and key is None:
            key, text = text, ""
        elif character == ":":
            if key is None:
                plain.append(text)
            else:
                named[key] = text
            key, text = None, ""
        else:
            text += character
    return plain, named


def normal(endpoint: str, folder: str) -> str:
    """
    An endpoint C{ssl:} with absolute paths; any other as it is.

    @param folder: to which its paths are relative.
    @raise ValueError: one clause on what was expected.
    """
    plain, named = split(endpoint)
    if plain[0] != "ssl":
        return endpoint
    port = plain[1] if len(plain) == 2 else named.pop("port", "")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise ValueError("expected a port from 1 to 65535 behind ssl:")
    if _KEY not in named:
        raise ValueError(f"expected a file with a private key, such as {_KEY}=key.pem")
    for key in _FILES:
        if key in named:
            named[key] = os.path.join(folder, os.path.expanduser(named[key]))
    fields = [f"{key}={quoteStringArgument(value)}" for key, value in named.items()]
    return ":".join(["ssl", port, *fields])


def served(endpoints: Iterable[str], places: Mapping[str, str]) -> Tls | None:
    """
    Look at the keys and certificates of all endpoints C{ssl:}.  Waits for the
    disk.

    @param places: where endpoints were configured, for errors.
    @return: of the first; L{None}: there is none.
    @raise ConfigError: one sentence on what cannot be used.
    """
    found = []
    for endpoint in endpoints:
        plain, named = split(endpoint)
        if plain[0] != "ssl":
            continue
        try:
            port = int(plain[1] if len(plain) > 1 else named.get("port", ""))
            found.append(Tls(port, _fingerprint(named)))
        except ValueError as error:
            where = places.get(endpoint, "[forban]")
            raise ConfigError(f"{where}: listen = {endpoint}: {error}") from None
    return found[0] if found else None


def _fingerprint(named: Mapping[str, str]) -> bytes:
    key_file = named.get(_KEY, "server.pem")
    certificate_file = named.get(_CERTIFICATE, key_file)
    key_data, certificate_data = _read(key_file), _read(certificate_file)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_data)
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"expected a certificate (PEM) in {certificate_file}") from None
    try:
        key = load_pem_private_key(key_data, None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ValueError(
            f"expected a private key (PEM) without a passphrase in {key_file}"
        ) from None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != public.public_bytes(*form):
        raise ValueError(
            f"expected the private key of the certificate {certificate_file} in {key_file}"
        )
    return certificate.fingerprint(SHA256())


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
