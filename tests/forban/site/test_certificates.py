# Copyright (C) the flocknode authors.  GPL-3.0-or-later, see LICENSE.
"""
Tests for L{flocknode.forban.site.certificates}.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import _parse
from twisted.trial.unittest import SynchronousTestCase

from flocknode.errors import ConfigError
from flocknode.forban.protocol.remote import Tls
from flocknode.forban.site.certificates import normal, served, split
from tests.certificates import write_certificate


class Endpoints(SynchronousTestCase):
    """What is in an endpoint string."""

    @given(st.text("ab:=\\ ", max_size=20))
    def test_it_is_taken_apart_as_twisted_does_it(self, text: str) -> None:
        # A backslash at the very end would have nothing to be for.
        endpoint = text + "x"
        self.assertEqual(split(endpoint), tuple(_parse(endpoint)))

    def test_paths_of_files_are_relative_to_the_folder(self) -> None:
        for given_, expected in (
            ("ssl:12557:privateKey=key.pem", "ssl:12557:privateKey=/etc/flock/key.pem"),
            ("ssl:1:privateKey=/k:certKey=c", "ssl:1:privateKey=/k:certKey=/etc/flock/c"),
            ("ssl:port=1:privateKey=k", "ssl:1:privateKey=/etc/flock/k"),
            (
                r"ssl:1:interface=\:\::privateKey=a\:b\=",
                r"ssl:1:interface=\:\::privateKey=/etc/flock/a\:b=",
            ),
            ("tcp:12557:interface=127.0.0.1", "tcp:12557:interface=127.0.0.1"),
        ):
            self.assertEqual(normal(given_, "/etc/flock"), expected)

    def test_what_is_missing_is_said(self) -> None:
        for endpoint, sentence in (
            ("ssl:0:privateKey=key.pem", "expected a port"),
            ("ssl:65536:privateKey=key.pem", "expected a port"),
            ("ssl:x:privateKey=key.pem", "expected a port"),
            ("ssl:privateKey=key.pem", "expected a port"),
            ("ssl:12557", "expected a file with a private key"),
        ):
            with self.assertRaises(ValueError) as caught:
                normal(endpoint, "/")
            self.assertIn(sentence, str(caught.exception))


class Files(SynchronousTestCase):
    """Keys and certificates."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.pem = self.folder / "both.pem"
        self.fingerprint = write_certificate(self.pem)

    def refused(self, endpoint: str) -> str:
        """@return: the sentence."""
        with self.assertRaises(ConfigError) as caught:
            served([endpoint], {endpoint: "node1, line 7"})
        sentence = str(caught.exception)
        self.assertTrue(sentence.startswith(f"node1, line 7: listen = {endpoint}: "))
        return sentence

    def test_the_first_that_is_served_by_tls_is_told_of(self) -> None:
        others = self.folder / "other.pem"
        write_certificate(others)
        endpoints = ["tcp:1", f"ssl:2:privateKey={self.pem}", f"ssl:3:privateKey={others}"]
        self.assertEqual(served(endpoints, {}), Tls(2, self.fingerprint))
        self.assertIsNone(served(["tcp:1"], {}))

    def test_key_and_certificate_may_be_two_files(self) -> None:
        text = self.pem.read_text()
        begin = text.index("-----BEGIN PRIVATE KEY")
        key, certificate = self.folder / "key", self.folder / "certificate"
        certificate.write_text(text[:begin])
        key.write_text(text[begin:])
        endpoint = f"ssl:2:privateKey={key}:certKey={certificate}"
        self.assertEqual(served([endpoint], {}), Tls(2, self.fingerprint))
        self.assertIn("a certificate (PEM)", self.refused(f"ssl:2:privateKey={key}"))
        self.assertIn("a private key", self.refused(f"ssl:2:privateKey={certificate}"))

    def test_a_file_that_cannot_be_read_is_said_so(self) -> None:
        missing = self.folder / "missing"
        self.assertIn(
            f"{missing} cannot be read: No such file", self.refused(f"ssl:2:privateKey={missing}")
        )
        self.assertIn(
            f"{self.folder} cannot be read", self.refused(f"ssl:2:privateKey={self.folder}")
        )

    def test_a_key_of_another_certificate_is_said_so(self) -> None:
        other = self.folder / "other.pem"
        write_certificate(other)
        sentence = self.refused(f"ssl:2:privateKey={other}:certKey={self.pem}")
        self.assertIn("expected the private key of the certificate", sentence)

    def test_a_key_with_a_passphrase_is_said_so(self) -> None:
        data = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
        locked = self.folder / "locked"
        locked.write_bytes(data)
        sentence = self.refused(f"ssl:2:privateKey={locked}:certKey={self.pem}")
        self.assertIn("without a passphrase", sentence)

    def test_anything_that_is_no_certificate_is_said_so(self) -> None:
        for data in (b"", os.urandom(100), b"-----BEGIN CERTIFICATE-----\nAAAA\n"):
            self.pem.write_bytes(data)
            self.assertIn("expected a certificate", self.refused(f"ssl:2:privateKey={self.pem}"))
