"""Runs the endpoint until it is stopped: `python -m reviewstream_testbed.openai_endpoint`."""

import argparse
import asyncio
import signal
import sys

from aiohttp import web

from reviewstream_testbed.openai_endpoint.server import Endpoint, Options

MAX_LATENCY = 3_600_000.0  # milliseconds
SHUTDOWN = 0.5  # seconds for answers that are under way


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    it = argparse.ArgumentParser(
        prog="python -m reviewstream_testbed.openai_endpoint",
        description="A mock of OpenAI's chat completions, for tests.",
    )
    it.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    it.add_argument("--port", type=int, default=0, help="0 (the default) takes any free port")
    it.add_argument("--latency", type=float, default=0, metavar="MS", help="before every answer")
    it.add_argument("--api-key", help="the only key accepted; without it, all that begin with sk-")
    return it


async def serve(host: str, port: int, options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        Endpoint(options).application(),
        access_log=None,
        shutdown_timeout=SHUTDOWN,
        handler_cancellation=True,  # a client that goes away ends its request here too
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        name, taken = runner.addresses[0][:2]
        sys.stdout.write(f"Ready. http://{name}:{taken}/v1\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Read the command line and serve."""
    it = parser()
    given = it.parse_args()
    if not 0 <= given.latency < MAX_LATENCY:
        it.error(f"--latency is {given.latency:g} ms (0 to {MAX_LATENCY:g})")
    options = Options(latency=given.latency / 1000, api_key=given.api_key)
    try:
        asyncio.run(serve(given.host, given.port, options))
    except OSError as err:
        sys.exit(f"cannot listen on {given.host}:{given.port}: {err.strerror}; try --port 0")


if __name__ == "__main__":
    main()
