"""A check which servers of the settings accept connections."""

import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from reviewstream.settings import Settings

TIMEOUT: Final = 2.0  # seconds
PORTS: Final = {"http": 80, "https": 443}
URLS: Final = (
    ("registry", "url"),
    ("connect", "url"),
    ("elasticsearch", "url"),
    ("openai", "base_url"),
)

Address = tuple[str, str, int]  # name of the setting, host, port


def failures(settings: "Settings") -> Iterator[tuple[Address, str]]:
    """Connect to all servers concurrently; yield each with its error, or an empty text."""
    found = [*addresses(settings)]
    with ThreadPoolExecutor(len(found)) as pool:
        yield from zip(found, pool.map(_failure, found), strict=True)


def addresses(settings: "Settings") -> Iterator[Address]:
    """Yield the address of every server that is used without a proxy."""
    yield "source.port", settings.source.host, settings.source.port
    for server in settings.kafka.bootstrap_servers.split(","):
        yield from _address("kafka.bootstrap_servers", f"kafka://{server.strip()}", 9092)
    for section, name in URLS:
        urls: Sequence[str] = str(getattr(getattr(settings, section), name)).split(",")
        for url in urls:
            if not _has_proxy(url):
                yield from _address(f"{section}.{name}", url, PORTS.get(urlsplit(url).scheme, 0))


def _has_proxy(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in getproxies() and not proxy_bypass(parts.netloc.rpartition("@")[2])


def _address(setting: str, url: str, port: int) -> Iterator[Address]:
    try:
        parts = urlsplit(url)
        yield setting, parts.hostname or "", parts.port or port
    except ValueError:  # an invalid port
        yield setting, url, 0


def _failure(address: Address) -> str:
    _, host, port = address
    try:
        socket.create_connection((host, port), TIMEOUT).close()
    except (OSError, UnicodeError) as err:
        return str(getattr(err, "strerror", None) or err) or type(err).__name__
    return ""
