"""Which certificates are trusted."""

import ssl

from reviewstream.errors import ConfigError


def trusting(ca_location: str | None, *, setting: str) -> ssl.SSLContext:
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
