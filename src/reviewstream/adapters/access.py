"""Who may talk to a review server: loopback addresses, TLS, and a token."""

import hmac
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from reviewstream.adapters.trust import ssl_context, untrusted
from reviewstream.core.transport.hosts import is_loopback
from reviewstream.errors import ConfigError
from reviewstream.settings import secret_value

MIN_TOKEN: Final = 16  # characters: what nobody guesses
MAX_TOKEN: Final = 1024  # characters: it must fit into a request


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAuth:
    """How a client gets in.

    Attributes:
        tls: Speak TLS, and check the server's certificate.
        ca_location: File of the certificates that are trusted; None: those of the system.
        token: What the server asks for.
    """

    tls: bool = False
    ca_location: str | None = None
    token: SecretStr | None = None

    @property
    def secret_value(self) -> str | None:
        """The token as it is sent."""
        return secret_value(self.token)

    def open(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect.

        Args:
            host: Of the server; its certificate must be for this name.
            port: Of the server.
            timeout: Seconds.

        Raises:
            ConfigError: the server is not the one that we trust, or speaks no TLS.
            OSError: it is away.
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
        except ssl.SSLEOFError:  # it hung up
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
    """Whom a server lets in.

    Attributes:
        tls_cert: File of the certificate, and of those between it and the authority; None: no TLS.
        tls_key: File of its key; None: it is in the same file.
        token: What a client must know; None: nothing.
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
    def is_locked(self) -> bool:
        """Whether it may be seen from outside: nobody listens in, and nobody unknown gets in."""
        return self.tls_cert is not None and self.token is not None

    def authorize(self, token: str | None) -> bool:
        """Compare a token; how long it takes does not tell how much of it was right."""
        if self.token is None:
            return True
        return hmac.compare_digest((token or "").encode(), self.token.get_secret_value().encode())

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS is spoken with, if it is.

        Raises:
            ConfigError: certificate and key cannot be used.
        """
        return server_context(self.tls_cert, self.tls_key) if self.tls_cert else None


def server_context(cert: Path, key: Path | None) -> ssl.SSLContext:
    """Return what shows a certificate.

    Raises:
        ConfigError: the files cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)  # TLS 1.2 at least
    names = f"--tls-cert {cert}" + (f", --tls-key {key}" if key else "")
    try:
        # Without a password of ours, OpenSSL would ask for one at the terminal.
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
