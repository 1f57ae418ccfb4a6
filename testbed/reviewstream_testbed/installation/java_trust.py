"""Applies the user's certificate and proxy settings to Java.

The wheel's Java trusts only public certificate authorities, and no Java reads `HTTPS_PROXY`.
"""

import hashlib
import re
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

PASSWORD = "changeit"  # noqa: S105 - Java's default for stores without secrets
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_MAGIC, _VERSION, _TRUSTED = 0xFEEDFEED, 2, 2


def java_trust_store(pem: str) -> bytes:
    """Return a Java key store with every certificate of a PEM bundle.

    Source: OpenJDK, sun.security.provider.JavaKeyStore.
    """
    certificates = [ssl.PEM_cert_to_DER_cert(found) for found in _CERTIFICATE.findall(pem)]
    entries = (_entry(f"ca-{n}", der) for n, der in enumerate(certificates))
    body = struct.pack(">III", _MAGIC, _VERSION, len(certificates)) + b"".join(entries)
    salted = PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + body
    return body + hashlib.sha1(salted).digest()  # noqa: S324 - the format requires SHA-1


def _entry(alias: str, der: bytes) -> bytes:
    head = struct.pack(">I", _TRUSTED) + _text(alias) + struct.pack(">Q", 0)
    return head + _text("X.509") + struct.pack(">I", len(der)) + der


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


def network_options(environ: Mapping[str, str], folder: Path) -> list[str]:
    """Return Java options for `SSL_CERT_FILE` and `HTTPS_PROXY`; may write a store to `folder`."""
    return [*_trust_options(environ, folder), *_proxy_options(environ)]


def _trust_options(environ: Mapping[str, str], folder: Path) -> list[str]:
    bundle = Path(environ.get("SSL_CERT_FILE", ""))
    if "javax.net.ssl.trustStore" in environ.get("JAVA_TOOL_OPTIONS", "") or not bundle.is_file():
        return []
    store = folder / "trust.jks"
    store.write_bytes(java_trust_store(bundle.read_text(errors="replace")))
    return [
        f"-Djavax.net.ssl.trustStore={store}",
        "-Djavax.net.ssl.trustStoreType=JKS",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
    ]


def _proxy_options(environ: Mapping[str, str]) -> list[str]:
    options = []
    for scheme in ("http", "https"):
        name = f"{scheme}_proxy"
        proxy = urlsplit(environ.get(name) or environ.get(name.upper()) or "")
        if proxy.hostname:
            options += [f"-D{scheme}.proxyHost={proxy.hostname}"]
            options += [f"-D{scheme}.proxyPort={proxy.port or 80}"]
    return options
