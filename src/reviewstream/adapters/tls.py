"""Trusted certificates, and the errors for untrusted ones."""

import ssl
from typing import Final

from reviewstream.errors import ConfigError

VARIABLES: Final = (  # of the environment, which HTTP clients read when created
    "ALL_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


def ssl_context(ca_location: str | None, *, setting: str) -> ssl.SSLContext:
    """Return a TLS context that verifies a server's certificate and name.

    Args:
        ca_location: File of the authorities; None: those of the system.
        setting: Setting that names the file.

    Raises:
        ConfigError: The file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_location)  # TLS 1.2 at least
    except ssl.SSLError as err:
        raise ConfigError(f"{setting}: {ca_location} holds no certificate in PEM") from err
    except OSError as err:
        raise ConfigError(f"{setting}: {ca_location}: {err.strerror}") from err


def client_failure(error: Exception, *, setting: str) -> ConfigError:
    """Return our error for an HTTP client that cannot be created, for instance due to a bad proxy.

    Args:
        error: Exception of the client.
        setting: Setting with the address, or a section.
    """
    return ConfigError(
        f"the HTTP client of {setting} cannot be made: {error}; look at {', '.join(VARIABLES)}"
    )


def tls_failure(
    error: BaseException,
    who: str,
    *,
    section: str,
    url: str = "url",
    authority: str = "ca_location",
) -> ConfigError | None:
    """Return our error if a connection failed because of TLS, which waiting does not correct.

    Args:
        error: Exception of the client, with its causes.
        who: The server, with its address.
        section: Section of the settings.
        url: Its setting with the server's address.
        authority: Its setting with the trusted certificates.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or isinstance(cause, ssl.SSLEOFError):  # SSLEOFError: the server disconnected
        return None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return untrusted(cause, who, setting=f"{section}.{authority}")
    return ConfigError(f"{who} does not speak TLS as we do ({cause.reason}): see {section}.{url}")


def untrusted(error: ssl.SSLCertVerificationError, who: str, *, setting: str) -> ConfigError:
    """Return our error for a certificate without a trusted authority; see `tls_failure`."""
    return ConfigError(
        f"the certificate of {who} is not trusted ({error.verify_message}):"
        f" {setting} names the file of the authority that signed it"
    )
