# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Certificates that nobody has signed but themselves, for tests of TLS.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def write_certificate(
    path: str | os.PathLike[str],
    name: str = "localhost",
    issuer: str = "",
    days: int = 1,
) -> bytes:
    """
    Make a key and a certificate for it.

    @param path: of the file, PEM, that will hold both: as C{privateKey} and
        C{certKey} of an endpoint C{ssl:} want it.
    @param name: whose it is.
    @param issuer: who has signed it, as it says; in truth it did so itself.
    @param days: until then it is good; if it is negative, it was.
    @return: its SHA-256, 32 bytes.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject, issued_by = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)])
        for each in (name, issuer or name)
    )
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    with open(path, "wb") as file:
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return certificate.fingerprint(hashes.SHA256())
