import socket
from collections import Counter
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as every Spark user writes it

from reviewstream.adapters.tcp.log_server import ServeOptions, serving
from reviewstream.spark import failure_sentence
from reviewstream.spark.query import RunningQuery, batch_counts, counted, drain_and_stop
from tests.e2e.hostile import hostile_file
from tests.spark.conftest import await_condition, finish, sample, start
from tests.spark.unreliable import unreliable


def reviews(spark: SparkSession, port: int, **options: object) -> DataFrame:
    source = spark.readStream.format("reviews").option("port", port)
    return source.options(**{name: str(value) for name, value in options.items()}).load()


def offsets(spark: SparkSession, folder: Path) -> list[int]:
    """Return the offsets of the rows written so far, sorted."""
    if not (folder / "rows" / "_spark_metadata").exists():
        return []
    rows = spark.read.schema("origin struct<offset: long>").parquet(str(folder / "rows"))
    return sorted(row[0] for row in rows.select("origin.offset").collect())


def batches_in(folder: Path) -> int:
    """Return how many micro-batches are committed, without asking Spark."""
    return len(list((folder / "checkpoint" / "commits").glob("[0-9]*")))


def starts(data: bytes) -> list[int]:
    """Return where each line starts, blank ones left out."""
    found, position = [], 0
    for line in data.split(b"\n"):
        if line.strip():
            found.append(position)
        position += len(line) + 1
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.json"
    path.write_bytes(b"\n".join(sample(300, seed=1)))
    return path


def test_every_kind_of_line_becomes_the_right_row_within_the_limits(
    spark: SparkSession, tmp_path: Path
) -> None:
    hostile = hostile_file(sample(100, seed=2))
    (path := tmp_path / "hostile.json").write_bytes(hostile.data)
    with serving(path) as server:
        rows = reviews(spark, server.port, maxRowsPerTrigger=60, partitions=3)
        query = start(counted(rows), tmp_path, available_now=True)
        finish(query)
    written = spark.read.parquet(str(tmp_path / "rows"))
    found = written.select("origin.offset", "origin.source", "rejection.reason", "review_id")
    all_rows = found.collect()
    assert sorted(row.offset for row in all_rows) == starts(hostile.data)
    assert {row.source for row in all_rows} == {"hostile.json"}
    assert {row.offset: row.reason for row in all_rows if row.reason} == hostile.offsets
    assert all((row.review_id is None) == (row.reason is not None) for row in all_rows)
    years = written.where("review_id like 'year%'").select(F.col("written_at").cast("string"))
    assert {row[0] for row in years.collect()} == {"0001-01-01 00:00:00", "9999-12-31 23:59:59"}
    batches = batch_counts(query)
    assert [batch.batch_id for batch in batches] == list(range(hostile.data.count(b"\n") // 60 + 1))
    assert batch_counts(query, after=1) == batches[2:]
    assert all(batch.labelled + batch.rejected <= 60 for batch in batches)
    assert sum(batch.rejected for batch in batches) == len(hostile.offsets)
    assert (batches[-1].offset, batches[-1].head) == (len(hostile.data), len(hostile.data))


def test_a_batch_query_reads_the_same_rows(spark: SparkSession, file: Path) -> None:
    with serving(file) as server:
        rows = spark.read.format("reviews").option("port", server.port).load()
        found = [row[0] for row in rows.select("origin.offset").collect()]
    assert sorted(found) == starts(file.read_bytes())


def test_a_network_that_cuts_connections_loses_and_doubles_no_line(
    spark: SparkSession, tmp_path: Path
) -> None:
    data = b"\n".join(sample(2000, seed=3))
    (path := tmp_path / "reviews.json").write_bytes(data)
    with (
        serving(path) as server,
        unreliable(server.port, seed=4, most_bytes=600_000) as (port, cuts),
    ):
        finish(start(reviews(spark, port, maxRowsPerTrigger=800), tmp_path, available_now=True))
    assert len(cuts) >= 3
    assert offsets(spark, tmp_path) == starts(data)


def test_a_server_that_is_away_for_a_while_and_a_restart_lose_and_double_no_line(
    spark: SparkSession, tmp_path: Path, file: Path
) -> None:
    # Tasks that wait for the server keep all cores: nothing here may need Spark while it is away.
    with serving(file, ServeOptions(rate=50)) as server:
        query = start(reviews(spark, server.port, maxRowsPerTrigger=40), tmp_path)
        await_condition("a first micro-batch", lambda: batches_in(tmp_path) > 0)
    with socket.create_server(("127.0.0.1", server.port)) as dead:
        dead.settimeout(60)
        for _ in range(2):  # the query tries, and tries again
            dead.accept()[0].close()
    assert query.isActive
    before = batches_in(tmp_path)
    with serving(file, ServeOptions(port=server.port, rate=200)):
        await_condition("more micro-batches", lambda: batches_in(tmp_path) > before)
        query.stop()
    assert len(offsets(spark, tmp_path)) < len(starts(file.read_bytes()))
    with serving(file) as server:
        finish(start(reviews(spark, server.port), tmp_path, available_now=True))
    assert offsets(spark, tmp_path) == starts(file.read_bytes())


def test_another_file_behind_the_server_ends_the_query_with_a_clear_sentence(
    spark: SparkSession, tmp_path: Path, file: Path
) -> None:
    with serving(file) as server:
        finish(start(reviews(spark, server.port), tmp_path, available_now=True))
    (other := tmp_path / "other.json").write_bytes(b"\n".join(reversed(sample(400, seed=1))))
    before = offsets(spark, tmp_path)
    with serving(other) as server:
        query = start(reviews(spark, server.port), tmp_path)
        with pytest.raises(StreamingQueryException) as caught:
            query.awaitTermination(60)
    assert "other.json is not the file" in failure_sentence(caught.value)
    assert offsets(spark, tmp_path) == before


def test_a_server_that_never_comes_ends_the_query_after_the_limit(
    spark: SparkSession, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    query = start(reviews(spark, port, retryTimeout=0.5), tmp_path)
    with pytest.raises(StreamingQueryException) as caught:
        query.awaitTermination(60)
    sentence = failure_sentence(caught.value)
    assert sentence.startswith(f"the review server at 127.0.0.1:{port} has been away for")
    assert sentence.endswith("start it and then the query, which resumes from its checkpoint")


def test_a_drained_query_ends_between_micro_batches_and_resumes(
    spark: SparkSession, tmp_path: Path, file: Path
) -> None:
    drain_file = tmp_path / "drain"
    options = {"maxRowsPerTrigger": 20, "drainFile": drain_file}
    with serving(file) as server:
        query = start(reviews(spark, server.port, **options), tmp_path)
        await_condition("a first micro-batch", lambda: batches_in(tmp_path) > 0)
        assert drain_and_stop(RunningQuery(query=query, drain_file=drain_file))
        begun = len(list((tmp_path / "checkpoint" / "offsets").glob("[0-9]*")))
        assert begun == batches_in(tmp_path)
        assert offsets(spark, tmp_path) == starts(file.read_bytes())[: 20 * begun]
        assert not drain_file.exists()
        finish(start(reviews(spark, server.port, **options), tmp_path, available_now=True))
    assert offsets(spark, tmp_path) == starts(file.read_bytes())


def test_a_query_may_start_at_an_offset(spark: SparkSession, tmp_path: Path, file: Path) -> None:
    lines = starts(file.read_bytes())
    with serving(file) as server:
        rows = reviews(spark, server.port, startingOffset=lines[290])
        finish(start(rows, tmp_path, available_now=True))
    assert offsets(spark, tmp_path) == lines[290:]


def test_an_unknown_option_is_refused_at_once(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException) as caught:
        reviews(spark, 1, maxRowPerTrigger=1)
    assert failure_sentence(caught.value).startswith('reviews: unknown option "maxrowpertrigger"')


def test_sparks_own_socket_source_reads_the_plain_port(spark: SparkSession, file: Path) -> None:
    with serving(file, ServeOptions(plain_port=0)) as server:
        source = spark.readStream.format("socket").option("host", "127.0.0.1")
        query = (
            source.option("port", str(server.plain_port))
            .load()
            .writeStream.format("memory")
            .queryName("plain")
            .start()
        )
        try:
            await_condition("lines", lambda: spark.table("plain").count() == 300)
        finally:
            query.stop()
    found = Counter(row.value for row in spark.table("plain").collect())
    assert found == Counter(file.read_text(encoding="utf-8").split("\n"))
