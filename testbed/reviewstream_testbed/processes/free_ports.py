"""Free ports for servers that must know their port before they start.

The ports are below the ephemeral range. A port within that range may be taken by a client that
keeps reconnecting to a stopped server, and the client may even connect to itself.
"""

import itertools
import random
import socket

from reviewstream_testbed.testbed_error import TestbedError

CANDIDATES = range(15_000, 32_000)
LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Report whether a server could listen on this loopback port now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int, candidates: range = CANDIDATES) -> list[int]:
    """Return distinct ports that are free now; another process may still take one first.

    Raises:
        TestbedError: Fewer ports than requested are free.
    """
    shuffled = random.SystemRandom().sample(candidates, len(candidates))
    found = [*itertools.islice(filter(is_free, shuffled), count)]
    if len(found) < count:
        raise TestbedError(f"{count} free ports wanted, {len(found)} found in {candidates}")
    return found
