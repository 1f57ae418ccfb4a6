# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""The stores that all tasks share (ledger and limits), and temporary ones of this process."""

from contextlib import closing
from pathlib import Path

from reviewstream.core.labelling.null_objects import NoLedger
from reviewstream.core.labelling.ports import LabelLedger, LedgerArchive, LimitStore
from reviewstream.core.records.ports import Sorter
from reviewstream.core.relabel.ports import NewestVersions
from reviewstream.errors import ConfigError
from reviewstream.settings import LedgerSettings, LimitsSettings


def absolute(
    ledger: LedgerSettings, limits: LimitsSettings
) -> tuple[LedgerSettings, LimitsSettings]:
    """Return settings that name the same ledger and limits in every process of this machine."""
    if ledger.url is not None:  # no file is used
        return ledger, limits
    if ledger.file is None:
        from reviewstream.adapters.sqlite.sqlite_ledger import default_file

        file = str(default_file())
    else:
        file = _absolute(ledger.file)
    shared = f"{file}-limits" if limits.file is None else _absolute(limits.file)
    return ledger.model_copy(update={"file": file}), limits.model_copy(update={"file": shared})


def _absolute(file: str) -> str:
    try:
        return str(Path(file).expanduser().absolute())
    except (OSError, RuntimeError) as err:
        raise ConfigError(
            f"{file}: there is no such home folder: write the path without ~ (ledger.file,"
            " limits.file)"
        ) from err


def open_ledger(settings: LedgerSettings) -> LabelLedger:
    """Return the ledger, or an empty one that stores nothing if the ledger is disabled."""
    return open_archive(settings) if settings.enabled else NoLedger()


def open_archive(settings: LedgerSettings) -> LedgerArchive:
    """Return the ledger, for reading all of its entries.

    Raises:
        ConfigError: The ledger is disabled.
    """
    if not settings.enabled:
        raise ConfigError(
            "the ledger is switched off: ledger.enabled (REVIEWSTREAM_LEDGER__ENABLED)"
        )
    if settings.url is not None:
        from reviewstream.adapters.redis.redis_ledger import RedisLedger

        return RedisLedger(
            settings.url.get_secret_value(), timeout=settings.timeout, lease=settings.lease
        )
    from reviewstream.adapters.sqlite.sqlite_ledger import SqliteLedger

    ledger, _ = absolute(settings, LimitsSettings())
    return SqliteLedger(Path(str(ledger.file)), timeout=settings.timeout)


def eviction(settings: LedgerSettings) -> str:
    """Return a warning if the Redis of ledger and limits may evict keys; empty: it does not.

    Raises:
        ReviewStreamError: Redis is unavailable, or refuses the request.
    """
    if settings.url is None:
        return ""
    from reviewstream.adapters.redis.connection import RedisClient

    asked = RedisClient(settings.url.get_secret_value(), timeout=settings.timeout)
    with closing(asked.client):
        return asked.eviction()


def open_limits(limits: LimitsSettings, ledger: LedgerSettings) -> LimitStore:
    """Return the store of the rate limits of each model and the budget of each account."""
    if ledger.url is not None:
        from reviewstream.adapters.redis.redis_limits import RedisLimits

        return RedisLimits(ledger.url.get_secret_value(), timeout=ledger.timeout)
    from reviewstream.adapters.sqlite.sqlite_limits import SqliteLimits

    _, shared = absolute(ledger, limits)
    return SqliteLimits(Path(str(shared.file)), timeout=ledger.timeout)


def open_versions() -> NewestVersions:
    """Return a temporary store of the newest versions; it ends with this process."""
    from reviewstream.adapters.sqlite.sqlite_versions import SqliteVersions

    return SqliteVersions()


def open_sorter(width: int) -> Sorter:
    """Return a temporary sorter of rows of `width` values; it ends with this process."""
    from reviewstream.adapters.sqlite.sqlite_sorter import SqliteSorter

    return SqliteSorter(width)
