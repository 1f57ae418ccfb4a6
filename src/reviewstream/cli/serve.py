"""`reviewstream serve`: serves a file as a resumable stream of reviews."""

import asyncio
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reviewstream.cli.context import Context, verb
from reviewstream.cli.progress import stages
from reviewstream.cli.signals import finishing, in_loop
from reviewstream.cli.terminal import plain
from reviewstream.errors import SourceReplacedError

if TYPE_CHECKING:
    from reviewstream.app.review_source import LogServer, ReviewLog, ServerAddress

PORT = click.IntRange(0, 65535)
LOOKED_AT = 10_000  # lines that are checked for a review
PEM = click.Path(path_type=Path)


@click.command()
@click.argument("file")
@click.option("--member", metavar="NAME", help="Which file of a tar archive (or FILE.tar:NAME).")
@click.option("--name", help="The source's name in every record's origin (default: the file's).")
@click.option("--host", help="Address to listen on (default: setting source.host).")
@click.option("--port", type=PORT, help="0 takes a free one (default: setting source.port).")
@click.option("--plain-port", type=PORT, help="Serve plain lines here too, for `nc`.")
@click.option("--rate", type=float, metavar="N", help="Lines per second (default: no limit).")
@click.option("--chunk-bytes", type=int, default=256 << 10, show_default=True)
@click.option("--follow", is_flag=True, help="The file grows; wait for its new lines.")
@click.option("--tls-cert", type=PEM, help="Speak TLS: PEM file of the certificate chain.")
@click.option("--tls-key", type=PEM, help="PEM file of its key (default: in the same file).")
@click.option("--max-connections", type=int, default=1024, show_default=True)
@click.option("--max-per-client", type=int, default=256, show_default=True)
@click.option("--idle", type=float, default=600, show_default=True, metavar="SECONDS")
@verb
def command(  # noqa: PLR0913 - one for each option
    context: Context,
    *,
    file: str,
    member: str | None,
    name: str | None,
    host: str | None,
    port: int | None,
    plain_port: int | None,
    rate: float | None,
    chunk_bytes: int,
    follow: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    max_connections: int,
    max_per_client: int,
    idle: float,
) -> None:
    """Serve FILE (.json, .jsonl, also in .gz, .zst or tar) to any number of readers.

    The setting source.token (REVIEWSTREAM_SOURCE__TOKEN, or REVIEWSTREAM_SOURCE__TOKEN_FILE) is
    asked of every reader. An address that is not loopback needs it, and TLS.
    """
    from reviewstream.app import open_file, review_server

    source = context.settings.source
    server = review_server(
        host=source.host if host is None else host,
        port=source.port if port is None else port,
        plain_port=plain_port,
        rate=rate,
        chunk_bytes=chunk_bytes,
        tls_cert=tls_cert,
        tls_key=tls_key,
        token=source.token,
        max_connections=max_connections,
        max_per_client=max_per_client,
        idle=idle,
    )
    with stages(context.progress, context.console) as shown:
        log = open_file(
            file,
            member=member,
            name=name,
            follow=follow,
            progress=partial(shown.update, "unpack"),
        )
    with log:
        asyncio.run(_serve(context, log, server(log)))


def _warn_of_no_review(log: "ReviewLog") -> None:
    """Print a warning if no line at the beginning of the file is a review; it is still served."""
    from reviewstream.core.transport.inspection import Inspection

    seen = Inspection()
    with suppress(SourceReplacedError):  # readers get the error
        lines = islice(log.lines(lambda _done, _all: None), LOOKED_AT)
        if (log.size() or not log.follow) and not seen.has_review(lines):
            click.echo(plain(f"Warning: {seen.verdict(log.source)}"), err=True)


async def _serve(context: Context, log: "ReviewLog", server: "LogServer") -> None:
    stopped = asyncio.Event()
    with finishing(ask=in_loop(stopped.set)):
        _announce(context, log, await server.start())
        await asyncio.to_thread(_warn_of_no_review, log)
        await stopped.wait()
        await server.stop()


def _announce(context: Context, log: "ReviewLog", address: "ServerAddress") -> None:
    if context.json:
        context.emit(
            {
                "source": log.source,
                "size": log.head(),
                "fingerprint": log.fingerprint(),
                "host": address.host,
                "port": address.port,
                "plain_port": address.plain_port,
            }
        )
        return
    also = "" if address.plain_port is None else f", plain lines at port {address.plain_port}"
    where = f"{address.host}:{address.port}{also}"
    click.echo(f"Ready. {plain(log.source)} ({log.head()} bytes) at {where}")
