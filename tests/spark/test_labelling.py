from pathlib import Path

import pytest
from pydantic import SecretStr
from pyspark.errors import AnalysisException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as every Spark user writes it

from reviewstream.adapters.tcp.log_server import serving
from reviewstream.errors import ConfigError
from reviewstream.settings import LedgerSettings, OpenAISettings, Settings
from reviewstream.spark import counted, failure_sentence, label_reviews
from reviewstream.spark.columns import LABELLED
from reviewstream.spark.query import batch_counts
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.spark.conftest import finish, sample, start


@pytest.fixture
def settings(openai_endpoint: OpenAIEndpoint) -> Settings:
    openai_endpoint.reset()
    key = SecretStr(openai_endpoint.api_key)
    return Settings(openai=OpenAISettings(base_url=openai_endpoint.base_url, api_key=key))


def reviews(spark: SparkSession, port: int) -> DataFrame:
    return spark.read.format("reviews").option("port", port).load()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = sample(60, seed=6)
    lines[10:10] = [b"{bad", b"", b"[]"]
    path = tmp_path / "reviews.json"
    path.write_bytes(b"\n".join(lines))
    return path


def test_rows_keep_their_order_and_their_rejections_and_get_labels(
    spark: SparkSession, settings: Settings, file: Path
) -> None:
    spark.conf.set("spark.sql.session.timeZone", "America/New_York")
    try:
        with serving(file) as server:
            source = reviews(spark, server.port).withColumn("words", F.size(F.split("text", " ")))
            labelled = source.transform(label_reviews(settings)).cache()
            assert [f.name for f in labelled.schema] == [*LABELLED.names, "words"]
            rows = labelled.collect()
            again = labelled.selectExpr("sentiment", "unix_seconds(written_at) as at").collect()
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert [row.origin.offset for row in rows] == sorted(row.origin.offset for row in rows)
    good = [row for row in rows if row.rejection is None]
    assert [row.rejection.reason for row in rows if row.rejection] == ["NOT_JSON", "NOT_AN_OBJECT"]
    assert len(good) == 60
    assert {row.sentiment for row in good} == {"POSITIVE", "NEUTRAL", "NEGATIVE"}
    assert all(row.provenance.attempts == 1 and row.words > 0 for row in good)
    assert all(row.sentiment is None for row in rows if row.rejection)
    assert [row.at for row in again if row.at] == [int(row.written_at.timestamp()) for row in good]


def test_a_review_that_cannot_be_labelled_is_rejected_and_the_stream_goes_on(
    spark: SparkSession,
    settings: Settings,
    file: Path,
    openai_endpoint: OpenAIEndpoint,
    tmp_path: Path,
) -> None:
    # A review alone is asked about twice: one of four refused, whatever the order of the requests.
    openai_endpoint.fault(rate=0.5, faults=["refusal"], seed=1)
    alone = settings.model_copy(update={"openai": settings.openai.model_copy(update={"pack": 1})})
    with serving(file) as server:
        stream = spark.readStream.format("reviews").option("port", server.port).load()
        query = start(counted(stream.transform(label_reviews(alone))), tmp_path, available_now=True)
        finish(query)
    all_rows = spark.read.parquet(str(tmp_path / "rows"))
    rows = all_rows.where("rejection.stage = 'LABEL'").collect()
    assert rows
    assert {row.rejection.reason for row in rows} == {"MODEL_REFUSED"}
    assert all(row.review_id and row.sentiment is None for row in rows)
    [batch] = batch_counts(query)
    assert (batch.labelled, batch.rejected) == (60 - len(rows), 2 + len(rows))
    paid = [row.rejection or row.provenance for row in all_rows.collect()]
    assert batch.tokens == sum(one.prompt_tokens + one.completion_tokens for one in paid) > 0
    assert batch.cost_micro_usd == sum(one.cost_micro_usd for one in paid)
    assert batch.seconds > 0


def test_a_second_run_over_the_same_reviews_asks_about_none(
    spark: SparkSession,
    settings: Settings,
    openai_endpoint: OpenAIEndpoint,
    tmp_path: Path,
) -> None:
    lines = sample(60, seed=8)
    (file := tmp_path / "reviews.json").write_bytes(b"\n".join([*lines, *lines]))
    ledger = LedgerSettings(file=str(tmp_path / "ledger.sqlite3"))
    mine = settings.model_copy(update={"ledger": ledger})
    counts, asked = [], dict[str, int]()
    for run in ("first", "second"):
        with serving(file) as server:
            stream = spark.readStream.format("reviews").option("port", server.port).load()
            labelled = counted(stream.transform(label_reviews(mine)))
            finish(query := start(labelled, tmp_path / run, available_now=True))
        asked = of_users(openai_endpoint.requests()["reviews"])
        counts.append([(batch.labelled, batch.from_ledger) for batch in batch_counts(query)])
        assert set(asked.values()) == {1}, "a text was asked about twice"
    texts = len(asked)
    assert counts == [[(120, 120 - texts)], [(120, 120)]]
    rows = spark.read.parquet(str(tmp_path / "second" / "rows")).collect()
    assert {row.sentiment for row in rows} == {"POSITIVE", "NEUTRAL", "NEGATIVE"}
    assert {row.provenance.from_ledger for row in rows} == {True}


def test_a_refused_key_ends_the_query_with_one_sentence_and_no_row(
    spark: SparkSession,
    settings: Settings,
    file: Path,
    openai_endpoint: OpenAIEndpoint,
    tmp_path: Path,
) -> None:
    openai_endpoint.fault(rate=1.0, faults=["401"])
    with serving(file) as server:
        stream = spark.readStream.format("reviews").option("port", server.port).load()
        query = start(stream.transform(label_reviews(settings)), tmp_path)
        with pytest.raises(StreamingQueryException) as caught:
            query.awaitTermination(60)
    sentence = failure_sentence(caught.value)
    assert "\n" not in sentence
    assert "set OPENAI_API_KEY" in sentence
    assert openai_endpoint.api_key not in str(caught.value)
    assert not (tmp_path / "checkpoint" / "commits" / "0").exists()


def test_a_dataframe_without_the_sources_columns_is_refused_at_once(
    spark: SparkSession, settings: Settings
) -> None:
    with pytest.raises(ConfigError, match="label_reviews: no column review_id, user_id"):
        spark.range(3).transform(label_reviews(settings))


def test_only_labelled_rows_are_taken_by_the_kafka_sink(
    spark: SparkSession, file: Path, tmp_path: Path
) -> None:
    with serving(file) as server:
        stream = spark.readStream.format("reviews").option("port", server.port).load()
        sink = stream.writeStream.format("reviews-kafka")
        sink = sink.option("checkpointLocation", str(tmp_path / "checkpoint"))
        with pytest.raises((AnalysisException, StreamingQueryException)) as caught:
            sink.option("kafka.bootstrap.servers", "127.0.0.1:1").start().awaitTermination(60)
    assert failure_sentence(caught.value).endswith(
        "label first: reviews.transform(label_reviews(settings))"
    )
