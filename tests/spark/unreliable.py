"""A network that cuts connections."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def unreliable(port: int, *, seed: int, most_bytes: int) -> Iterator[tuple[int, list[int]]]:
    """Pass connections on to `port`, and cut each after a random number of bytes.

    Yields:
        The port to connect to, and the bytes after which each connection was cut so far.
    """
    dice = random.Random(seed)  # noqa: S311 - nothing secret
    cuts: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):  # the listener is closed at the end
                while True:
                    client, _ = listener.accept()
                    limit = dice.randrange(most_bytes)
                    threading.Thread(target=relay, args=(client, limit), daemon=True).start()

        def relay(client: socket.socket, limit: int) -> None:
            with client, socket.create_connection(("127.0.0.1", port)) as server:
                threading.Thread(target=pump, args=(client, server), daemon=True).start()
                if pump(server, client, limit):
                    cuts.append(limit)
                for end in (client, server):
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1], cuts
        listener.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, target: socket.socket, limit: int | None = None) -> bool:
    """Copy bytes; say whether that ended at the limit."""
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16 if limit is None else max(1, min(limit, 1 << 16))):
            if limit is not None:
                if limit <= 0:
                    return True
                limit -= len(data)
            target.sendall(data)
    return False
