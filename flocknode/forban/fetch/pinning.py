# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Connections by TLS to somebody of whom only the certificate is known: it is
taken if it is that one, and for no other reason.  Who signed it, for which
name and until when does not matter, since the index says which it is.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer


@implementer(IOpenSSLClientConnectionCreator)
class Pinned:
    """
    Makes connections.

    @ivar refused: another certificate was shown.
    """

    def __init__(self, fingerprint: bytes) -> None:
        """
        @param fingerprint: SHA-256 of the certificate (DER).
        """
        self.refused = False
        self._fingerprint = fingerprint

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See L{IOpenSSLClientConnectionCreator}."""
        # Twisted's own choice of versions and ciphers, but not of whom to trust.
        context = CertificateOptions().getContext()
        context.set_verify(SSL.VERIFY_PEER, self._verify)
        connection = SSL.Connection(context, None)
        connection.set_app_data(tlsProtocol)
        return connection

    def _verify(
        self, _connection: object, certificate: Any, _error: int, depth: int, _ok: int
    ) -> bool:
        """
        OpenSSL asks about each certificate of the chain, at last about the one
        at depth 0, which the other side has the key of; and about each thing
        that it finds wrong with one.
        """
        if depth:
            return True
        shown = certificate.to_cryptography().fingerprint(SHA256())
        self.refused = self.refused or shown != self._fingerprint
        return not self.refused
