"""A Spark session with our formats, and with defaults for one machine."""

import hashlib
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final

import pyspark
from pyspark.sql import SparkSession

from reviewstream.settings import SparkSettings
from reviewstream.spark.sink import ReviewsKafkaDataSource
from reviewstream.spark.source import ReviewsDataSource

LOOPBACK: Final = "127.0.0.1"
LOG_SETTINGS: Final = Path(__file__).with_name("log4j2.properties")
SUBMITTED: Final = "PYSPARK_GATEWAY_PORT"  # set by `spark-submit` in the program that it starts
SPARK_HOME: Final = "SPARK_HOME"

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
    # A task that Spark cancels because another one failed has requests in flight that are paid for:
    # it may wait for them and record their labels in the ledger.
    "spark.python.task.killTimeout": "60s",
    # Spark hides options with such names in plans, logs and its UI; the first four are its default.
    "spark.redaction.regex": (
        "(?i)secret|password|token|access[.]?key|passphrase|jaas|user.info|key.pem"
    ),
    # The run's counts are summed from these.
    "spark.sql.streaming.numRecentProgressUpdates": "10000",
}

_SCRIPT: Final = """\
#!/bin/sh
# Runs Python without the zips of pyspark and py4j: the installed ones have bytecode.
set -f
IFS=:
kept=
for entry in $PYTHONPATH; do
  case $entry in
    {home}/*) ;;
    *) kept=$kept:$entry ;;
  esac
done
PYTHONPATH=${{kept#:}}
export PYTHONPATH
exec {python} "$@"
"""


def register(spark: SparkSession) -> None:
    """Register `format("reviews")` and `format("reviews-kafka")`; idempotent."""
    spark.dataSource.register(ReviewsDataSource)
    spark.dataSource.register(ReviewsKafkaDataSource)


def spark_session(settings: SparkSettings, *, name: str = "reviewstream") -> SparkSession:
    """Return a session; `settings.config` overrides every default.

    Sets `PYSPARK_PYTHON`, unless it is set: workers must run this Python, which has our packages.
    """
    prepare_python(settings)
    builder = SparkSession.builder.appName(name)
    for key, value in configuration(settings).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def prepare_python(settings: SparkSettings) -> None:
    """Set the workers' Python, unless the user has set it."""
    os.environ.setdefault("PYSPARK_PYTHON", python_for(settings))


def python_for(settings: SparkSettings) -> str:
    """Return the program that runs this Python; other machines do not have our wrapper script."""
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
    """Return the master; None where `spark-submit` sets it."""
    return settings.master or (None if SUBMITTED in os.environ else "local[*]")


def _local() -> dict[str, str]:
    return _LOCAL | {
        "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / "reviewstream-warehouse"),
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}",
    }


def interpreter() -> str:
    """Return the worker's program: this Python, without Spark's zips where possible.

    Spark puts a zip of pyspark before all other entries of `PYTHONPATH`. Python stores no bytecode
    for the content of a zip, so each of the dozen processes that a query starts, one after the
    other, would compile its imports of pyspark again: two thirds of its time.

    Not for a user's own Spark: its version may differ from the installed pyspark's.
    """
    if os.name != "posix" or SPARK_HOME in os.environ:
        return sys.executable
    try:
        program = _written()
    except (OSError, RuntimeError):  # the home folder is missing or not writable
        return sys.executable
    # The file system may be mounted without permission to execute files.
    return str(program) if os.access(program, os.X_OK) else sys.executable


def _written() -> Path:
    """Write the script into the user's cache folder, atomically."""
    home = str(Path(pyspark.__file__).parent)
    text = _SCRIPT.format(home=shlex.quote(home), python=shlex.quote(sys.executable))
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    program = _cache() / f"python-{digest}"
    if not program.is_file():
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_name(f"{program.name}.{os.getpid()}")
        fresh.write_text(text, encoding="UTF-8")
        fresh.chmod(0o755)
        fresh.replace(program)
    return program


def _cache() -> Path:
    """Return our folder in the user's cache folder (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reviewstream"
