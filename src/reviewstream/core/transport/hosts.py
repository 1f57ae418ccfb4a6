"""Which names and addresses are of this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Say whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(numeric(host)).is_loopback
    except ValueError:
        return False


def numeric(host: str) -> str:
    """Return the one address that is meant: `localhost` has two, and so two ports."""
    return "127.0.0.1" if host == "localhost" else host
