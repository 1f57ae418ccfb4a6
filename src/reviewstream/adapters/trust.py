"""Which certificates are trusted, and what is said of the others."""

import ssl
from typing import Final

from reviewstream.errors import ConfigError

VARIABLES: Final = (  # of the environment, that HTTP clients read when they are made
    "ALL_PROXY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)


def ssl_context(ca_location: str | None, *, setting: str) -> ssl.SSLContext:
    """Return what checks a server's certificate and name.

    Args:
        ca_location: File of the authorities; None: those of the system.
        setting: That named it.

    Raises:
        ConfigError: the file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_location)  # TLS 1.2 at least
    except ssl.SSLError as err:
        raise ConfigError(f"{setting}: {ca_location} holds no certificate in PEM") from err
    except OSError as err:
        raise ConfigError(f"{setting}: {ca_location}: {err.strerror}") from err


def client_failure(error: Exception, *, setting: str) -> ConfigError:
    """Return our error for an HTTP client that cannot be made, as of a proxy that it cannot use.

    Args:
        error: What the client raised.
        setting: That names the address, or all of them.
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
    """Return our error if TLS is why a connection failed: waiting does not help against that.

    Args:
        error: What the client raised, with its causes.
        who: The server, with its address.
        section: Of the settings.
        url: The setting in it that has the server's address.
        authority: The setting in it that names whom to trust.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or isinstance(cause, ssl.SSLEOFError):  # the latter hung up
        return None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return untrusted(cause, who, setting=f"{section}.{authority}")
    return ConfigError(f"{who} does not speak TLS as we do ({cause.reason}): see {section}.{url}")


def untrusted(error: ssl.SSLCertVerificationError, who: str, *, setting: str) -> ConfigError:
    """Return our error for a certificate that nobody vouches for; see `tls_failure`."""
    return ConfigError(
        f"the certificate of {who} is not trusted ({error.verify_message}):"
        f" {setting} names the file of the authority that signed it"
    )
