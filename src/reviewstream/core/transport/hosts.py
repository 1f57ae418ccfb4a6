"""Loopback names and addresses."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Say whether an address is a loopback address."""
    try:
        return ipaddress.ip_address(numeric(host)).is_loopback
    except ValueError:
        return False


def numeric(host: str) -> str:
    """Return one address for a host: `localhost` has two, and a port would be bound for each."""
    return "127.0.0.1" if host == "localhost" else host
