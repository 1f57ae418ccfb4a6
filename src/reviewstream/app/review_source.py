# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""The source of the reviews: a file, its server, and a reader of the server."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from reviewstream.core.transport.ports import LineReader
from reviewstream.settings import SourceSettings

if TYPE_CHECKING:
    # Exported, so that callers can annotate the returned objects.
    from reviewstream.adapters.files.review_log import ReviewLog as ReviewLog  # noqa: PLC0414 - exported
    from reviewstream.adapters.tcp.log_server import LogServer as LogServer  # noqa: PLC0414
    from reviewstream.adapters.tcp.log_server import ServerAddress as ServerAddress  # noqa: PLC0414


def open_file(
    file: str,
    *,
    member: str | None = None,
    name: str | None = None,
    follow: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> "ReviewLog":
    """Return a review file as a log; see `adapters.files.review_files.open_log`."""
    from reviewstream.adapters.files.review_files import open_log

    return open_log(file, member=member, name=name, follow=follow, progress=progress)


def review_server(
    *,
    tls_cert: Path | None,
    tls_key: Path | None,
    token: SecretStr | None,
    **options: Any,  # noqa: ANN401 - the fields of `ServeOptions`, which checks them
) -> Callable[["ReviewLog"], "LogServer"]:
    """Return a factory of the log's review server; options are validated before it is called.

    Raises:
        ConfigError: An option is wrong; the message says how to correct it.
    """
    from reviewstream.adapters.tcp.access import ServerAuth
    from reviewstream.adapters.tcp.log_server import LogServer, ServeOptions

    auth = ServerAuth(tls_cert=tls_cert, tls_key=tls_key, token=token)
    return partial(LogServer, options=ServeOptions(auth=auth, **options))


def serving(file: Path) -> AbstractContextManager["ServerAddress"]:
    """Serve a file on loopback until the block ends."""
    from reviewstream.adapters.tcp.log_server import serving

    return serving(file)


def open_reader(settings: SourceSettings, *, timeout: float) -> LineReader:
    """Return a reader of the review server; it connects on first use."""
    from reviewstream.adapters.tcp.access import ClientAuth
    from reviewstream.adapters.tcp.client import ReviewClient

    access = ClientAuth(tls=settings.tls, ca_location=settings.ca_location, token=settings.token)
    return ReviewClient(settings.host, settings.port, timeout=timeout, access=access)
