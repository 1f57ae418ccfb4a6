"""A certificate authority for one run; it signs the servers' certificates."""

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from reviewstream_testbed.installation.java_trust import java_trust_store
from reviewstream_testbed.processes.free_ports import LOOPBACK

STORE_PASSWORD: Final = "changeit"  # noqa: S105 - Java requires one; the file's mode protects it
_DAYS: Final = 7
_HOUR: Final = dt.timedelta(hours=1)  # tolerance for clock skew


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A server's certificate and key.

    Attributes:
        chain: PEM file of the certificate.
        key: PEM file of its key, not encrypted; only its owner can read it.
        store: PKCS 12 file with both, for Java; its password is `STORE_PASSWORD`.
    """

    chain: Path
    key: Path
    store: Path


class Authority:
    """A certificate authority.

    Args:
        folder: Folder of all files; only its owner can read it.
        name: Name of the authority.

    Attributes:
        certificates: PEM file of the authority's certificate, for clients.
        trust_store: The same as a JKS file for Java; its password is `STORE_PASSWORD`.
    """

    def __init__(self, folder: Path, *, name: str = "reviewstream testbed") -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._certificate = (
            _dated(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(_identity(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = self._certificate.public_bytes(serialization.Encoding.PEM)
        self.certificates = _kept(folder / "ca.pem", pem)
        self.trust_store = _kept(folder / "trust.jks", java_trust_store(pem.decode()))

    def issue(self, name: str, *hosts: str) -> Certificate:
        """Create a key and sign a certificate for it.

        Args:
            name: Name of its files.
            hosts: Host names and addresses that it covers; by default those of loopback.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_host(host) for host in hosts or (LOOPBACK, "localhost")]
        signed = (
            _dated(_named(name), self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(_identity(key.public_key()), critical=False)
            .add_extension(self._issuer(), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        password = serialization.BestAvailableEncryption(STORE_PASSWORD.encode())
        store = pkcs12.serialize_key_and_certificates(b"server", key, signed, None, password)
        return Certificate(
            chain=self._keep(f"{name}.pem", signed.public_bytes(serialization.Encoding.PEM)),
            key=self._keep(f"{name}.key", _private(key)),
            store=self._keep(f"{name}.p12", store),
        )

    def _keep(self, name: str, content: bytes) -> Path:
        return _kept(self._folder / name, content)

    def _issuer(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def _dated(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _HOUR)
        .not_valid_after(now + dt.timedelta(days=_DAYS))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _identity(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _kept(path: Path, content: bytes) -> Path:
    """Create a file with mode 600 before writing to it, so that only its owner can ever read it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    return path
