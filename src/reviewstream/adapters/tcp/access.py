"""Access control of a review server: loopback addresses, TLS, and a token."""

import hmac
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from reviewstream.adapters.tls import ssl_context, untrusted
from reviewstream.core.transport.hosts import is_loopback
from reviewstream.errors import ConfigError
from reviewstream.settings import secret_value

MIN_TOKEN: Final = 16  # characters: too long to guess
MAX_TOKEN: Final = 1024  # characters: it must fit into a request

_NETWORK: Final = len("2001:0db8:0000:0000")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAuth:
    """TLS and token of a client.

    Attributes:
        tls: Use TLS, and verify the server's certificate.
        ca_location: File of the trusted certificates; None: those of the system.
        token: Token that the server requires.
    """

    tls: bool = False
    ca_location: str | None = None
    token: SecretStr | None = None

    @property
    def secret_value(self) -> str | None:
        """The token as text."""
        return secret_value(self.token)

    def open(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect to a server.

        Args:
            host: Host of the server; its certificate must be for this name.
            port: Port of the server.
            timeout: Seconds.

        Raises:
            ConfigError: The server is not trusted, or does not speak TLS.
            OSError: It is unavailable.
        """
        if self.token is not None and not self.tls and not is_loopback(host):
            raise ConfigError(
                f"the token would travel to {host} for everyone to read: set source.tls = true"
            )
        context = ssl_context(self.ca_location, setting="source.ca_location") if self.tls else None
        connected = socket.create_connection((host, port), timeout)
        if context is None:
            return connected
        try:
            return context.wrap_socket(connected, server_hostname=host)
        except ssl.SSLEOFError:  # the server closed the connection
            raise
        except ssl.SSLCertVerificationError as err:
            raise untrusted(err, f"{host}:{port}", setting="source.ca_location") from err
        except ssl.SSLError as err:
            raise ConfigError(
                f"{host}:{port} does not speak TLS as we do ({err.reason}): start it with"
                " --tls-cert and --tls-key, or set source.tls = false"
            ) from err


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAuth:
    """TLS and token of a server.

    Attributes:
        tls_cert: File of the certificate and its intermediates; None: no TLS.
        tls_key: File of its key; None: it is in the same file.
        token: Token that clients must send; None: none is required.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    token: SecretStr | None = None

    def __post_init__(self) -> None:
        if self.tls_key and not self.tls_cert:
            raise ConfigError("--tls-key is of no use without --tls-cert")
        if self.token is not None and not _is_strong(self.token.get_secret_value()):
            raise ConfigError(
                f"the token must have {MIN_TOKEN} to {MAX_TOKEN} visible characters of ASCII:"
                ' python -c "import secrets; print(secrets.token_urlsafe(32))" makes one'
            )

    @property
    def is_secured(self) -> bool:
        """Whether it may accept other machines: connections are encrypted and need a token."""
        return self.tls_cert is not None and self.token is not None

    def authorize(self, token: str | None) -> bool:
        """Compare a token in constant time."""
        if self.token is None:
            return True
        return hmac.compare_digest((token or "").encode(), self.token.get_secret_value().encode())

    def context(self) -> ssl.SSLContext | None:
        """Return the TLS context; None without TLS.

        Raises:
            ConfigError: The certificate or the key cannot be used.
        """
        return server_context(self.tls_cert, self.tls_key) if self.tls_cert else None


def server_context(cert: Path, key: Path | None) -> ssl.SSLContext:
    """Return a TLS context with a certificate.

    Raises:
        ConfigError: The files cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # TLS 1.2 at least
    names = f"--tls-cert {cert}" + (f", --tls-key {key}" if key else "")
    try:
        # Without this callback OpenSSL would prompt for a password on the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as err:
        raise ConfigError(
            f"{names}: no PEM certificate with its key, not encrypted ({err.reason or err})"
        ) from err
    except OSError as err:
        raise ConfigError(f"{names}: {err.strerror}") from err
    return context


def _is_strong(token: str) -> bool:
    return MIN_TOKEN <= len(token) <= MAX_TOKEN and token.isascii() and token.isprintable()


def client_key(address: str) -> str:
    """Return the key of a client: its address, or its network if it is a public one of IPv6.

    The owner of a public IPv6 address has its whole network. Not so in private networks.
    """
    found = ip_address(address.split("%", maxsplit=1)[0])
    if found.version == 4 or not found.is_global:
        return address
    return f"{found.exploded[:_NETWORK]}::/64"
