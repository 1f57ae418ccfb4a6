"""One Spark session for the whole folder."""

import sys
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from reviewstream.settings import SparkSettings
from reviewstream.spark import register, spark_session


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    session = spark_session(SparkSettings(master="local[2]"), name=sys.argv[0])
    register(session)
    yield session
    session.stop()
