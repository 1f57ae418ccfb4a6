"""A Spark session with our formats, and with defaults that suit one machine."""

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
SUBMITTED: Final = "PYSPARK_GATEWAY_PORT"  # set in a program that `spark-submit` has started
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
    """Make `format("reviews")` and `format("reviews-kafka")` known; twice is fine."""
    spark.dataSource.register(ReviewsDataSource)
    spark.dataSource.register(ReviewsKafkaDataSource)


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


def interpreter() -> str:
    """Return the program to start: this Python, and where that can be had without Spark's zips.

    Spark puts a zip of pyspark before everything else in `PYTHONPATH`. Python keeps no bytecode for
    what is in a zip, so each process of the dozen that a query starts, one after the other, would
    compile again all that it imports of pyspark: two thirds of its time.

    Not with a Spark of the user's own, which may be another version than the pyspark installed.
    """
    if os.name != "posix" or SPARK_HOME in os.environ:
        return sys.executable
    try:
        program = _written()
    except (OSError, RuntimeError):  # there is no home, or it cannot be written
        return sys.executable
    # A file system may be mounted without the permission to run anything.
    return str(program) if os.access(program, os.X_OK) else sys.executable


def _written() -> Path:
    """Write the script into the user's cache folder, whole or not at all."""
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
