"""What runs in the Python processes that Spark starts."""

from collections.abc import Iterator

import pyarrow as pa
import pyspark
from pyspark.sql import SparkSession


def where(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Say where this process has pyspark from."""
    for _ in batches:
        yield pa.RecordBatch.from_pydict({"file": [pyspark.__file__]})


def test_the_pyspark_of_a_worker_is_the_one_that_is_installed(spark: SparkSession) -> None:
    (found,) = spark.range(1).mapInArrow(where, "file string").collect()
    assert found.file == pyspark.__file__
