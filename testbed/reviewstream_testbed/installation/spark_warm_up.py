"""A small streaming query, so that Spark's JVM loads the classes that a pipeline needs.

It runs as a script, and ends when the JVM has ended.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, SimpleDataSourceStreamReader


class _Numbers(SimpleDataSourceStreamReader):
    """A stream of two rows."""

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's name
        """Return the first offset."""
        return {"at": 0}

    def read(self, start: dict[str, int]) -> tuple[Iterator[tuple[int]], dict[str, int]]:
        """Return the rows after an offset, and the next offset."""
        rows = [(0,), (1,)] if start["at"] == 0 else []
        return iter(rows), {"at": 2}

    def readBetweenOffsets(  # noqa: N802 - Spark's name
        self, start: dict[str, int], end: dict[str, int]
    ) -> Iterator[tuple[int]]:
        """Return rows again."""
        return iter([(number,) for number in range(start["at"], end["at"])])


class _Source(DataSource):
    """A data source in Python."""

    @classmethod
    def name(cls) -> str:
        """Return the name of its format."""
        return "numbers"

    def schema(self) -> str:
        """Return its columns."""
        return "id bigint"

    def simpleStreamReader(self, schema: Any) -> SimpleDataSourceStreamReader:  # noqa: ANN401, ARG002, N802 - Spark's
        """Return a reader."""
        return _Numbers()


def _as_text(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield pa.RecordBatch.from_pylist([{"text": str(row["id"])} for row in batch.to_pylist()])


def _count(rows: DataFrame, _: int) -> None:
    rows.groupBy("text").count().collect()


def main() -> None:
    """Run the query, and wait until the JVM has ended."""
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.getOrCreate()
    spark.dataSource.register(_Source)
    rows = spark.readStream.format("numbers").load().mapInArrow(_as_text, "text string")
    with tempfile.TemporaryDirectory() as folder:
        writer = rows.writeStream.option("checkpointLocation", folder).trigger(availableNow=True)
        writer.foreachBatch(_count).start().awaitTermination()
    spark.stop()
    gateway: Any = SparkContext._gateway  # noqa: SLF001 - no public API
    process: subprocess.Popen[bytes] = gateway.proc
    gateway.shutdown()
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    process.stdin.close()
    process.wait()


if __name__ == "__main__":
    main()
