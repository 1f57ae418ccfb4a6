"""The vendor packages that a Spark task may need, loaded before it starts."""

from contextlib import suppress
from importlib import import_module
from typing import Final

VENDORS: Final = (
    "openai.chat_completions",
    "kafka.record_sink",
    "kafka.transactions",
    "sqlite.sqlite_ledger",
    "redis.redis_ledger",
    "sqlite.sqlite_limits",
    "redis.redis_limits",
)  # adapters that a Spark task may need
PANDAS: Final = "pandas"  # Arrow imports it with the first array: a second for each new worker


def preload() -> None:
    """Import every installed vendor package that a Spark task may need."""
    for name in (*(f"reviewstream.adapters.{vendor}" for vendor in VENDORS), PANDAS):
        with suppress(ImportError):
            import_module(name)
