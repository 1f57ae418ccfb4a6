"""A Spark session with defaults that suit one machine."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession

from reviewstream.settings import SparkSettings
from reviewstream.spark.interpreter import interpreter

LOOPBACK: Final = "127.0.0.1"
LOG_SETTINGS: Final = Path(__file__).with_name("log4j2.properties")
SUBMITTED: Final = "PYSPARK_GATEWAY_PORT"  # set in a program that `spark-submit` has started

_HERE: Final = ("local", f"spark://{LOOPBACK}:", "spark://localhost:")
_LOCAL: Final = {
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "UTC",
}
_EVERYWHERE: Final = {
    # A batch of the largest texts (64 KiB each) still fits into a worker.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    "spark.python.daemon.module": "reviewstream.spark.daemon",
    # A task that is given up because another one failed has requests in flight: they are paid for,
    # so that it may wait for them and put their labels into the ledger.
    "spark.python.task.killTimeout": "60s",
    # Spark hides options of such names in plans, logs and its page; the first four are its own.
    "spark.redaction.regex": (
        "(?i)secret|password|token|access[.]?key|passphrase|jaas|user.info|key.pem"
    ),
    # What the counts of a run are summed from.
    "spark.sql.streaming.numRecentProgressUpdates": "10000",
}


def spark_session(settings: SparkSettings, *, name: str = "reviewstream") -> SparkSession:
    """Return a session; `settings.config` wins over every default.

    Sets `PYSPARK_PYTHON`, unless it is set: workers must run this Python, which has our packages.
    """
    prepare_python(settings)
    builder = SparkSession.builder.appName(name)
    for key, value in configuration(settings).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def prepare_python(settings: SparkSettings) -> None:
    """Say which Python the workers run; the user may have said it before."""
    os.environ.setdefault("PYSPARK_PYTHON", python_for(settings))


def python_for(settings: SparkSettings) -> str:
    """Return the program that runs this Python; on other machines there is no file of ours."""
    return interpreter() if _is_here(settings) else sys.executable


def configuration(settings: SparkSettings) -> dict[str, str]:
    """Return Spark's settings."""
    local = _local() if _is_here(settings) else {}
    master = _master(settings)
    named = {"spark.master": master} if master else {}
    return _EVERYWHERE | local | named | settings.config


def _is_here(settings: SparkSettings) -> bool:
    """Say whether all of Spark runs on this machine."""
    return (_master(settings) or "").startswith(_HERE)


def _master(settings: SparkSettings) -> str | None:
    """Return the master; None where `spark-submit` knows it."""
    return settings.master or (None if SUBMITTED in os.environ else "local[*]")


def _local() -> dict[str, str]:
    return _LOCAL | {
        "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / "reviewstream-warehouse"),
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}",
    }
