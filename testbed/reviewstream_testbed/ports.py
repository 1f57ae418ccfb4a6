"""Free ports for servers that must know theirs before they start.

They are drawn from below the range that systems give to outgoing connections: there, a client
that keeps trying a server that is down may take its port, or connect to itself.
"""

import itertools
import random
import socket

from reviewstream_testbed.errors import TestbedError

CANDIDATES = range(15_000, 32_000)
LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int, candidates: range = CANDIDATES) -> list[int]:
    """Return different ports that are free now; another process may still be quicker.

    Raises:
        TestbedError: So many are not free.
    """
    shuffled = random.SystemRandom().sample(candidates, len(candidates))
    found = [*itertools.islice(filter(is_free, shuffled), count)]
    if len(found) < count:
        raise TestbedError(f"{count} free ports wanted, {len(found)} found in {candidates}")
    return found
