"""TLS for a run: an authority of its own, and the server's certificate that it has signed.

Who takes part needs the authority's certificate, `ca.pem`, and so can tell the server from any other. They
stay as they are when the run is started again.
"""

from __future__ import annotations

import datetime
import os
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

DAYS = 365  # that a certificate is good for


@dataclass(frozen=True)
class Certificates:
    """The files of a server's TLS.

    Attributes:
        folder: that they are in.
    """

    folder: Path

    @property
    def authority(self) -> Path:
        """The certificate by which the server's is checked: the one file that others need."""
        return self.folder / "ca.pem"

    @property
    def server(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """The server's private key, which nobody else needs."""
        return self.folder / "server.key"

    def make(self, host: str) -> None:
        """Makes the files, unless they are there for this host.

        Args:
            host: name or address at which the server is reached.

        Raises:
            OSError: the folder cannot be written to.
        """
        hosts = self.folder / "hosts"
        names = sorted({host, socket.gethostname(), "localhost", "127.0.0.1"} - {"0.0.0.0", "::"})
        if hosts.exists() and hosts.read_text().split() == names:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        root_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = _signed("gdl-parity federated run", root_key, root_key, None, [])
        server = _signed("gdl-parity server", server_key, root_key, root, names)
        self.authority.write_bytes(root.public_bytes(Encoding.PEM))
        self.server.write_bytes(server.public_bytes(Encoding.PEM))
        descriptor = os.open(self.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        hosts.write_text("\n".join(names))


def _signed(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    hosts: list[str],
) -> x509.Certificate:
    """A certificate for a key: an authority's own without an issuer, else a server's."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(_usage(is_authority=issuer is None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False
        )
    return builder.sign(signer, SHA256())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
