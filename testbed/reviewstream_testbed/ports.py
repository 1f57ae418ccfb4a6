"""Free ports for servers that must know theirs before they start.

They are drawn from below the range that systems give to outgoing connections: there, a client
that keeps trying a server that is down may take its port, or connect to itself.
"""

import random
import socket

LOWEST, HIGHEST = 15_000, 32_000
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


def free_ports(count: int) -> list[int]:
    """Return different ports that are free now; another process may still be quicker."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(LOWEST, HIGHEST), HIGHEST - LOWEST):
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    return found
