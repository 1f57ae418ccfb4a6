"""Compares `reviewstream serve` with a bare loop of `sendall`, side by side.

    python benchmarks/tcp.py [--megabytes 512] [--rounds 5] [--json]

Each round sends the same file to the same receiver (which counts bytes) in both ways, in turn;
the ratio is that of the medians. Both senders are processes of their own.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.command import run
from reviewstream.core.transport import protocol

PIECE: Final = 1 << 20  # bytes
LINE: Final = b'{"review_id": "%08d", "text": "' + b"a fine place to eat " * 38 + b'"}\n'

BARE: Final = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    with client, open(sys.argv[1], "rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            client.sendall(piece)
"""


@contextmanager
def running(*command: str) -> Iterator[str]:
    """Run a sender and give its first line."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield process.stdout.readline()
        finally:
            process.terminate()


def receive(port: int, request: bytes, size: int) -> float:
    """Return megabytes per second."""
    buffer = bytearray(PIECE)
    with socket.create_connection(("127.0.0.1", port)) as sender:
        started = time.perf_counter()
        sender.sendall(request)
        received = 0
        while received < size:
            if not (count := sender.recv_into(buffer)):
                raise ConnectionError(f"{received} of {size} bytes came")
            received += count
        return size / 1e6 / (time.perf_counter() - started)


def measure(path: Path, rounds: int) -> dict[str, float]:
    """Measure all senders on one file."""
    size = path.stat().st_size
    ask = protocol.HelloRequest().encode() + protocol.ReadRequest(start=0, end=size).encode()
    cli = "from reviewstream.cli import main; main()"
    serve = (sys.executable, "-c", cli, "serve", str(path), "--port", "0", "--json")
    speeds: dict[str, list[float]] = {"bare": [], "read": [], "plain": []}
    with (
        running(sys.executable, "-c", BARE, str(path)) as bare,
        running(*serve, "--plain-port", "0") as served,
    ):
        address = json.loads(served)
        for _ in range(rounds):
            speeds["bare"].append(receive(int(bare), b"", size))
            speeds["read"].append(receive(address["port"], ask, size))
            speeds["plain"].append(receive(address["plain_port"], b"", size))
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    ratios = {f"{name}_ratio": medians[name] / medians["bare"] for name in ("read", "plain")}
    return {f"{name}_mb_per_s": speed for name, speed in medians.items()} | ratios


def _measured(options: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reviews.jsonl")
        lines = options.megabytes * 1_000_000 // len(LINE)
        path.write_bytes(b"".join(LINE % number for number in range(lines)))
        return {name: round(value, 2) for name, value in measure(path, options.rounds).items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    run(parser, _measured)


if __name__ == "__main__":
    main()
