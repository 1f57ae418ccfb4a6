"""A local Spark session for tests, in this process."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest.mock import patch

from pyspark.sql import SparkSession

from reviewstream_testbed.installation.java import spark_java_home
from reviewstream_testbed.processes.free_ports import LOOPBACK

DRIVER = {
    "spark.driver.host": LOOPBACK,
    "spark.driver.bindAddress": LOOPBACK,
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
}
LOCAL = {
    **DRIVER,
    "spark.master": "local[2]",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "2",
}


@contextmanager
def spark_session(config: Mapping[str, str]) -> Iterator[SparkSession]:
    """Run a session with a suitable Java, and with this Python or that of `PYSPARK_PYTHON`.

    Raises:
        TestbedError: No suitable Java is available.
    """
    python = os.environ.get("PYSPARK_PYTHON", sys.executable)
    with patch.dict(os.environ, JAVA_HOME=str(spark_java_home()), PYSPARK_PYTHON=python):
        builder = SparkSession.builder.appName("testbed")
        for name, value in config.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        try:
            yield session
        finally:
            session.stop()
