"""Runs the endpoint until it is stopped: `python -m reviewstream_testbed.mock_openai`."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from reviewstream_testbed.testbed_extras import needed_packages

with needed_packages("reviewstream_testbed.mock_openai"):
    from aiohttp import web

    from reviewstream_testbed.mock_openai import mock_options as options_
    from reviewstream_testbed.mock_openai.answering import JUDGES
    from reviewstream_testbed.mock_openai.dialect_table import DIALECTS
    from reviewstream_testbed.mock_openai.http_server import MockEndpoint
    from reviewstream_testbed.mock_openai.mock_options import EFFORT, Options, Recording
    from reviewstream_testbed.mock_openai.rate_limits import Limits

MAX_LATENCY = 3_600_000.0  # milliseconds
MAX_PORT = 65_535
SHUTDOWN = 0.5  # seconds for answers in progress


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    it = argparse.ArgumentParser(
        prog="python -m reviewstream_testbed.mock_openai",
        description="A mock of OpenAI's chat completions, for tests: it answers, refuses and fails"
        " like the real one. It prints its address when it is ready, and runs until Ctrl-C.",
        epilog="Any OpenAI client takes the address as its base URL, with any key that begins with"
        " sk-. How it misbehaves is told by POST /_mock/fault, what it was asked by GET"
        " /_mock/requests.",
    )
    it.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    it.add_argument("--port", type=int, default=0, help="0 (the default) takes any free port")
    it.add_argument("--latency", type=float, default=0, metavar="MS", help="before every answer")
    it.add_argument("--api-key", help="the only key accepted; without it, all that begin with sk-")
    it.add_argument(
        "--judge",
        choices=JUDGES,
        default=Options().judge,
        help="source of the opinions: a sentiment lexicon (the default), a"
        " checksum, which costs nothing, or an obedient judge that does what a review orders",
    )
    _add_limits(it)
    _add_model(it)
    _add_recording(it)
    return it


def _add_limits(it: argparse.ArgumentParser) -> None:
    for what in ("requests", "tokens"):
        it.add_argument(
            f"--{what}-per-minute", type=int, metavar="N", help="more are refused with HTTP 429"
        )
    it.add_argument(
        "--window-seconds",
        type=float,
        default=Limits().window_seconds,
        metavar="S",
        help="how long an empty allowance takes to fill: the largest burst (%(default)g)",
    )
    it.add_argument(
        "--tell-limits",
        action="store_true",
        help="headers tell 10,000 requests and 2,000,000 tokens where no limit is enforced",
    )


def _add_model(it: argparse.ArgumentParser) -> None:
    it.add_argument(
        "--dialect",
        choices=DIALECTS,
        default=Options().dialect,
        help="the endpoint to be like (%(default)s)",
    )
    it.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="one more model that there is; in a dialect other than openai there is any",
    )
    it.add_argument(
        "--hidden-tokens",
        type=int,
        default=0,
        metavar="N",
        help="what a model that reasons thinks for a review, under medium effort (%(default)d)",
    )
    it.add_argument(
        "--effort",
        choices=EFFORT,
        default=Options().effort,
        help="whether the request's effort changes that (%(default)s)",
    )
    it.add_argument(
        "--cached-share",
        default="0",
        metavar="X",
        help="share of the prompt's tokens that is cached, 0 to 1 (%(default)s)",
    )
    it.add_argument(
        "--prices",
        metavar="PROMPT,CACHED,COMPLETION",
        help="US dollars for a million tokens, for the bill; flex costs half",
    )


def _add_recording(it: argparse.ArgumentParser) -> None:
    it.add_argument("--cassette", type=Path, metavar="DIR", help="folder of recorded answers")
    it.add_argument(
        "--record", metavar="URL", help="ask this endpoint, and record it onto the cassette"
    )
    it.add_argument("--replay", action="store_true", help="answer from the cassette alone")


def options(given: argparse.Namespace) -> Options:
    """Return the options given on the command line.

    Raises:
        ValueError: An option is invalid.
    """
    if not 0 <= given.port <= MAX_PORT:
        raise ValueError(f"--port is {given.port} (0 to {MAX_PORT})")
    if not 0 <= given.latency < MAX_LATENCY:
        raise ValueError(f"--latency is {given.latency:g} ms (0 to {MAX_LATENCY:g})")
    limits = Limits(given.requests_per_minute, given.tokens_per_minute, given.window_seconds)
    complaint = limits.complaint()
    if complaint:
        raise ValueError(complaint)
    return Options(
        latency=given.latency / 1000,
        api_key=given.api_key,
        judge=given.judge,
        limits=limits,
        dialect=given.dialect,
        models=tuple(given.model),
        hidden_tokens=options_.read_hidden(given.hidden_tokens),
        effort=given.effort,
        cached_share=options_.read_share(given.cached_share),
        prices=options_.read_prices(given.prices),
        tell_limits=given.tell_limits,
        recording=_recording(given),
    )


def _recording(given: argparse.Namespace) -> Recording | None:
    if given.cassette is None:
        if given.record or given.replay:
            raise ValueError("--record and --replay need a --cassette DIR")
        return None
    if bool(given.record) == given.replay:
        raise ValueError("--cassette needs one of --record URL and --replay")
    if given.record and not given.record.startswith(("http://", "https://")):
        raise ValueError(f"--record is {given.record} (an address, such as https://HOST/v1)")
    return Recording(given.cassette, given.record or "")


async def serve(host: str, port: int, endpoint: MockEndpoint) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        endpoint.application(),
        access_log=None,
        shutdown_timeout=SHUTDOWN,
        handler_cancellation=True,  # cancel a request when its client disconnects
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        name, taken = runner.addresses[0][:2]
        shown = f"[{name}]" if ":" in name else name
        sys.stdout.write(f"Ready. http://{shown}:{taken}/v1\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Read the command line and serve."""
    it = parser()
    given = it.parse_args()
    try:
        endpoint = MockEndpoint(options(given))
    except (ValueError, OSError) as err:  # OSError: the cassette's folder
        it.error(str(err))
    try:
        asyncio.run(serve(given.host, given.port, endpoint))
    except OSError as err:
        sys.exit(f"cannot listen on {given.host}:{given.port}: {err.strerror}; try --port 0")


if __name__ == "__main__":
    main()
