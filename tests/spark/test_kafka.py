import os
import runpy
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession

from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.adapters.tcp.log_server import ServeOptions, serving
from reviewstream.app import open_registry, topic_names
from reviewstream.core.delivery.avro import AvroCodec
from reviewstream.core.schemas.registered import register_schemas
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.errors import ConfigError
from reviewstream.settings import (
    KafkaSettings,
    OpenAISettings,
    RegistrySettings,
    Settings,
    SourceSettings,
    SparkSettings,
)
from reviewstream.spark import drain_and_stop, failure_sentence, label_reviews, start_query
from reviewstream.spark.checkpoint import Checkpoint, resolved
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.schema_registry import SchemaRegistry
from tests.spark.conftest import await_condition, sample

EXAMPLE = Path(__file__).parents[2] / "examples" / "label_stream.py"
BAD = [b"{bad", b"[]"]


@pytest.fixture
def settings(
    kafka: Kafka,
    schema_registry: SchemaRegistry,
    openai_endpoint: OpenAIEndpoint,
    topic: str,
    tmp_path: Path,
) -> Settings:
    openai_endpoint.reset()
    found = Settings(
        source=SourceSettings(max_rows_per_trigger=40),
        openai=OpenAISettings(
            base_url=openai_endpoint.base_url, api_key=SecretStr(openai_endpoint.api_key)
        ),
        kafka=KafkaSettings(
            bootstrap_servers=kafka.bootstrap_servers,
            labelled_topic=f"{topic}-labelled",
            rejected_topic=f"{topic}-rejected",
        ),
        registry=RegistrySettings(url=schema_registry.url),
        spark=SparkSettings(checkpoint=str(tmp_path / "checkpoint")),
    )
    KafkaLog(found.kafka).ensure([found.kafka.labelled_topic, found.kafka.rejected_topic])
    return found


def served_at(settings: Settings, port: int) -> Settings:
    return settings.model_copy(update={"source": settings.source.model_copy(update={"port": port})})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.json"
    path.write_bytes(b"\n".join([*sample(100, seed=7), *BAD, *sample(100, seed=8)]))
    return path


def keys(settings: Settings, topic: str) -> Counter[bytes]:
    return Counter(record.key or b"" for record in KafkaLog(settings.kafka).read_all(topic))


def expected(file: Path) -> Counter[bytes]:
    codec = (line.split(b'"review_id":', 1)[1].split(b'"')[1] for line in good_lines(file))
    return Counter(codec)


def good_lines(file: Path) -> Iterator[bytes]:
    return (line for line in file.read_bytes().split(b"\n") if b'"review_id":' in line)


def test_a_query_that_is_drained_and_started_again_writes_every_row_once(
    spark: SparkSession, settings: Settings, file: Path
) -> None:
    register_schemas(open_registry(settings.registry), topic_names(settings.kafka))
    labelled, rejected = settings.kafka.labelled_topic, settings.kafka.rejected_topic
    with serving(file, ServeOptions(rate=60)) as server:
        running = start_query(spark, served_at(settings, server.port))
        await_condition("records", lambda: keys(settings, labelled).total() > 20, timeout=120)
        assert drain_and_stop(running)
    before = keys(settings, labelled)
    assert before.total() < 200
    with serving(file) as server:
        running = start_query(spark, served_at(settings, server.port), available_now=True)
        assert running.query.awaitTermination(120)
    assert keys(settings, labelled) == expected(file)
    assert keys(settings, rejected).total() == len(BAD)
    codec = AvroCodec(schema_text("labelled_review"))
    for record in KafkaLog(settings.kafka).read_all(labelled):
        _, review = codec.decode(record.value or b"")
        version = int(review["written_at"].timestamp()) * 1000
        assert record.headers == (("reviewstream.version", str(version).encode()),)
        assert record.key == review["review_id"].encode()


def run_to_the_end(spark: SparkSession, settings: Settings, file: Path) -> None:
    with serving(file) as server:
        running = start_query(spark, served_at(settings, server.port), available_now=True)
        assert running.query.awaitTermination(120)


def is_refused(spark: SparkSession, settings: Settings, file: Path, why: str) -> None:
    """See that the query is not started, and that it fails where nobody looked at the start."""
    with pytest.raises(ConfigError) as refused:
        run_to_the_end(spark, settings, file)
    assert why in str(refused.value)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Checkpoint, "check_past", lambda *_: None)
        with pytest.raises(StreamingQueryException) as caught:
            run_to_the_end(spark, settings, file)
    assert why in failure_sentence(caught.value)


@pytest.fixture
def elsewhere(spark: SparkSession, tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is `/checkpoints` of Spark's default file system, as with HDFS."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = "fs.viewfs.mounttable.c.link./checkpoints"
    spark.conf.set("fs.defaultFS", "viewfs://c/")
    spark.conf.set(link, folder.as_uri())
    yield folder
    spark.conf.unset("fs.defaultFS")
    spark.conf.unset(link)


def test_a_checkpoint_without_a_scheme_is_where_spark_has_it(
    spark: SparkSession, elsewhere: Path, settings: Settings, file: Path
) -> None:
    register_schemas(open_registry(settings.registry), topic_names(settings.kafka))
    file.write_bytes(b"\n".join(sample(10, seed=7)))
    on_spark = SparkSettings(checkpoint="/checkpoints/cp")
    settings = settings.model_copy(update={"spark": on_spark})
    for _ in range(2):
        run_to_the_end(spark, settings, file)
    assert keys(settings, settings.kafka.labelled_topic) == expected(file)
    assert (elsewhere / "cp" / "metadata").exists()
    assert not Path("/checkpoints").exists()
    assert resolved(spark, "cp").startswith("viewfs://c/")
    assert resolved(spark, "file:/cp") == "file:/cp"


def test_a_checkpoint_without_a_scheme_is_in_this_folder_where_spark_is_on_this_machine(
    spark: SparkSession,
) -> None:
    assert resolved(spark, "cp") == str(Path("cp").absolute())


def forget_the_last_commit(settings: Settings) -> None:
    """Make the last micro-batch one whose end did not reach the checkpoint: a crash."""
    commits = Path(settings.spark.checkpoint) / "commits"
    last = max(int(each.name) for each in commits.iterdir() if each.name.isdigit())
    for name in (f"{last}", f".{last}.crc"):
        (commits / name).unlink()


def test_a_micro_batch_that_is_run_again_after_a_crash_is_not_written_again(
    spark: SparkSession, settings: Settings, file: Path
) -> None:
    register_schemas(open_registry(settings.registry), topic_names(settings.kafka))
    run_to_the_end(spark, settings, file)
    forget_the_last_commit(settings)
    run_to_the_end(spark, settings, file)
    assert keys(settings, settings.kafka.labelled_topic) == expected(file)
    assert keys(settings, settings.kafka.rejected_topic).total() == len(BAD)


def test_a_lost_checkpoint_is_noticed_and_a_name_of_its_own_writes_all_once_more(
    spark: SparkSession, settings: Settings, file: Path
) -> None:
    register_schemas(open_registry(settings.registry), topic_names(settings.kafka))
    run_to_the_end(spark, settings, file)
    shutil.rmtree(settings.spark.checkpoint)
    is_refused(spark, settings, file, "was its checkpoint lost?")
    labelled = settings.kafka.labelled_topic
    assert keys(settings, labelled) == expected(file)
    shutil.rmtree(settings.spark.checkpoint)
    kafka = settings.kafka.model_copy(update={"stream_name": "once more"})
    run_to_the_end(spark, settings.model_copy(update={"kafka": kafka}), file)
    assert keys(settings, labelled) == expected(file) + expected(file)


def test_a_checkpoint_of_another_topic_or_in_use_is_refused_before_anything_is_read(
    spark: SparkSession, settings: Settings, file: Path, openai_endpoint: OpenAIEndpoint
) -> None:
    register_schemas(open_registry(settings.registry), topic_names(settings.kafka))
    with serving(file) as server:
        mine = served_at(settings, server.port)
        running = start_query(spark, mine)
        with pytest.raises(ConfigError, match="another query uses checkpoint"):
            start_query(spark, mine)
        await_condition("records", lambda: expected(file) == keys(mine, mine.kafka.labelled_topic))
        assert drain_and_stop(running)
        asked = openai_endpoint.requests()["requests"]
        kafka = mine.kafka.model_copy(update={"rejected_topic": mine.kafka.labelled_topic})
        with pytest.raises(ConfigError, match="its rejected_topic is"):
            start_query(spark, mine.model_copy(update={"kafka": kafka}))
    assert openai_endpoint.requests()["requests"] == asked


def test_an_old_copy_of_the_checkpoint_is_noticed(
    spark: SparkSession, settings: Settings, file: Path, tmp_path: Path
) -> None:
    register_schemas(open_registry(settings.registry), topic_names(settings.kafka))
    lines = file.read_bytes()
    file.write_bytes(lines[: len(lines) // 2])
    run_to_the_end(spark, settings, file)
    shutil.copytree(settings.spark.checkpoint, tmp_path / "copy")
    file.write_bytes(lines)
    run_to_the_end(spark, settings, file)
    shutil.rmtree(settings.spark.checkpoint)
    shutil.copytree(tmp_path / "copy", settings.spark.checkpoint)
    is_refused(spark, settings, file, "comes too late")
    assert keys(settings, settings.kafka.labelled_topic) == expected(file)


def test_a_schema_that_the_registry_lacks_is_named_before_a_row_is_labelled(
    spark: SparkSession, settings: Settings, file: Path, openai_endpoint: OpenAIEndpoint
) -> None:
    sentence = r"registry at .* does not have our schema .*: run `reviewstream schemas register`"
    with serving(file) as server:
        with pytest.raises(ConfigError, match=sentence):
            start_query(spark, served_at(settings, server.port))
        source = spark.readStream.format("reviews").option("port", server.port).load()
        sink = source.transform(label_reviews(settings)).writeStream.format("reviews-kafka")
        query = sink.options(
            **{"kafka.bootstrap.servers": settings.kafka.bootstrap_servers},
            schemaRegistryUrl=settings.registry.url,
            labelledTopic=settings.kafka.labelled_topic,
            rejectedTopic=settings.kafka.rejected_topic,
            checkpointLocation=settings.spark.checkpoint,
        ).start()
        with pytest.raises(StreamingQueryException) as caught:
            query.awaitTermination(60)
    assert "does not have our schema" in failure_sentence(caught.value)
    assert openai_endpoint.requests()["requests"] == 0


@pytest.mark.usefixtures("spark")
def test_the_example_of_the_readme_runs(
    settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = settings.kafka.model_copy(
        update={"labelled_topic": "reviews.labelled", "rejected_topic": "reviews.rejected"}
    )
    KafkaLog(kafka).ensure([kafka.labelled_topic, kafka.rejected_topic])
    before = keys(settings, "reviews.labelled")
    key = settings.openai.api_key
    assert key is not None
    environment = {
        "REVIEWSTREAM_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "REVIEWSTREAM_REGISTRY__URL": settings.registry.url,
        "REVIEWSTREAM_SPARK__CHECKPOINT": settings.spark.checkpoint,
        "OPENAI_BASE_URL": settings.openai.base_url,
        "OPENAI_API_KEY": key.get_secret_value(),
    }
    with serving(file) as server:
        environment["REVIEWSTREAM_SOURCE__PORT"] = str(server.port)
        for name, value in environment.items():
            monkeypatch.setitem(os.environ, name, value)
        runpy.run_path(str(EXAMPLE))
    assert keys(settings, "reviews.labelled") - before == expected(file)
