"""Java gets the certificates and the proxy that the user's other programs have."""

import base64
import hashlib
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from reviewstream_testbed.installation.java_trust import java_trust_store, network_options

DIGEST = 20  # bytes


def pem(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"


def read_store(store: bytes) -> list[bytes]:
    """Read a store as the JDK does (sun.security.provider.JavaKeyStore)."""
    body, digest = store[:-DIGEST], store[-DIGEST:]
    password = "changeit".encode("utf-16-be")
    assert digest == hashlib.sha1(password + b"Mighty Aphrodite" + body).digest()  # noqa: S324 - the format's
    magic, version, count = struct.unpack_from(">III", body)
    assert (magic, version) == (0xFEEDFEED, 2)
    at, found = 12, []
    for _ in range(count):
        tag, length = struct.unpack_from(">IH", body, at)
        assert tag == 2  # a trusted certificate
        at += 6 + length + 8  # the alias, the date
        assert body[at + 2 : at + 7] == b"X.509"
        (size,) = struct.unpack_from(">I", body, at + 7)
        found.append(body[at + 11 : at + 11 + size])
        at += 11 + size
    assert at == len(body)
    return found


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_every_certificate_of_the_bundle_is_in_the_store(certificates: list[bytes]) -> None:
    bundle = "# a comment\n".join(map(pem, certificates))
    assert read_store(java_trust_store(bundle)) == certificates


def test_the_users_bundle_becomes_javas_trust_store(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text(pem(b"certificate"))
    options = network_options({"SSL_CERT_FILE": str(bundle)}, tmp_path)
    assert f"-Djavax.net.ssl.trustStore={tmp_path / 'trust.jks'}" in options
    assert read_store((tmp_path / "trust.jks").read_bytes()) == [b"certificate"]


def test_a_trust_store_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text(pem(b"certificate"))
    own = "-Djavax.net.ssl.trustStore=/mine"
    assert network_options({"SSL_CERT_FILE": str(bundle), "JAVA_TOOL_OPTIONS": own}, tmp_path) == []


def test_proxies_are_handed_on(tmp_path: Path) -> None:
    environ = {"HTTPS_PROXY": "http://proxy.example:3128", "http_proxy": "http://other.example"}
    assert network_options(environ, tmp_path) == [
        "-Dhttp.proxyHost=other.example",
        "-Dhttp.proxyPort=80",
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
    ]
