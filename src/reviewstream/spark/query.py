"""The pipeline's streaming query: start, counts, and orderly end."""

import json
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as every Spark user writes it
from pyspark.sql.streaming.query import StreamingQuery

from reviewstream import app, errors
from reviewstream.core.delivery.markers import writer_name
from reviewstream.errors import PermanentError, ReviewStreamError, TransientError
from reviewstream.settings import KafkaSettings, Settings, absolute, accounted
from reviewstream.spark.checkpoint import Checkpoint, resolved, use
from reviewstream.spark.labelling import label_reviews
from reviewstream.spark.options import SinkOptions, sink_options, source_options
from reviewstream.spark.session import register
from reviewstream.spark.sink import find_topics
from reviewstream.spark.source import DRAINED

METRICS: Final = "reviewstream"
POLL: Final = 0.1  # seconds
DRAIN_PATIENCE: Final = 300.0  # seconds for the micro-batch that runs
_OURS: Final = re.compile(r"^reviewstream\.[\w.]+: (.+)$", re.MULTILINE)
_OUR_CLASS: Final = re.compile(r"^reviewstream\.errors\.(\w+): ", re.MULTILINE)
_PYTHONS: Final = re.compile(r"^([\w.]+(?:Error|Exception): .+)$", re.MULTILINE)
_PREFIX: Final = re.compile(r"^\[STREAM_FAILED\].*? terminated with exception: ")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningQuery:
    """A query, its checkpoint, and the file that stops its source from starting micro-batches."""

    query: StreamingQuery
    drain_file: Path
    checkpoint: Checkpoint = field(default_factory=Checkpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCounts:
    """One finished micro-batch.

    Attributes:
        from_ledger: Number of the labelled reviews that were paid for before.
        tokens: Paid for now, in prompts and completions, including those of rejected reviews.
        cost_micro_usd: Cost of these tokens.
        offset: Bytes from the start of the file to the start of the next micro-batch.
        head: Bytes from the start of the file to its end; None if unknown.
        seconds: From the trigger to the commit.
    """

    batch_id: int
    labelled: int
    rejected: int
    from_ledger: int
    tokens: int = 0
    cost_micro_usd: int = 0
    offset: int
    head: int | None
    seconds: float = 0.0


def start_query(
    spark: SparkSession,
    settings: Settings,
    *,
    available_now: bool = False,
    from_start: bool = False,
) -> RunningQuery:
    """Start the query from the review server through labelling to Kafka.

    Args:
        spark: The session.
        settings: All sections but `connect` and `elasticsearch` are used.
        available_now: End when all data that the server has now is written.
        from_start: Discard the checkpoint's progress: all records are written again, as another
            stream, with labels from the ledger.

    Raises:
        ConfigError: The registry does not know our schemas; or the checkpoint belongs to another
            query, is an old copy, or is in use by another query.
        TransientError: The registry is unavailable.
    """
    register(spark)
    where = {"checkpoint": resolved(spark, settings.spark.checkpoint)}
    with ExitStack() as undo:
        checkpoint = use(where["checkpoint"])
        undo.callback(checkpoint.release)
        begin = checkpoint.begin_again if from_start else checkpoint.check
        kafka = begin(settings.kafka)
        on_spark = settings.spark.model_copy(update=where)
        settings = settings.model_copy(update={"kafka": kafka, "spark": on_spark})
        _check_past(kafka, checkpoint)
        running = _start(spark, settings, checkpoint, available_now=available_now)
        undo.callback(running.query.stop)
        checkpoint.started(kafka, running.query.id)
        undo.pop_all()
    return running


def _check_past(kafka: KafkaSettings, checkpoint: Checkpoint) -> None:
    """Refuse an old copy of the checkpoint before reading anything; the tasks check it again."""
    if kafka.delivery == "at_least_once":
        return
    first = writer_name(kafka.labelled_topic, kafka.stream_name or "", 0)
    with suppress(TransientError):  # the tasks wait for Kafka
        checkpoint.check_past(partial(app.find_marker, kafka, first))


def _start(
    spark: SparkSession, settings: Settings, checkpoint: Checkpoint, *, available_now: bool
) -> RunningQuery:
    drain_file = Path(tempfile.gettempdir()) / f"reviewstream-drain-{uuid4().hex}"
    reviews = (
        spark.readStream.format("reviews")
        .options(**source_options(settings.source), drainFile=str(drain_file))
        .load()
    )
    labelled = counted(reviews.transform(label_reviews(accounted(settings))))
    writer = (
        labelled.writeStream.format("reviews-kafka")
        .options(**_sink_options(settings))
        .option("checkpointLocation", settings.spark.checkpoint)
    )
    if available_now:
        writer = writer.trigger(availableNow=True)
    checkpoint.clear(settings.kafka)  # after every step that may fail
    query = writer.start()
    checkpoint.is_used = lambda: query.isActive
    return RunningQuery(query=query, drain_file=drain_file, checkpoint=checkpoint)


def counted(labelled: DataFrame) -> DataFrame:
    """Add metrics that count the rows of each micro-batch; `batch_counts` reads them."""
    is_rejected = F.col("rejection").isNotNull()
    has_labels = "provenance" in labelled.columns
    free = F.col("provenance.from_ledger") if has_labels else F.expr("false")

    def paid(name: str) -> Column:
        if not has_labels:
            return F.lit(0)
        bought = F.when(~free, F.col(f"provenance.{name}"))
        return F.coalesce(
            F.sum(F.when(is_rejected, F.col(f"rejection.{name}")).otherwise(bought)), F.lit(0)
        )

    return labelled.observe(
        METRICS,
        F.count(F.when(~is_rejected, 1)).alias("labelled"),
        F.count(F.when(is_rejected, 1)).alias("rejected"),
        F.count(F.when(free, 1)).alias("from_ledger"),
        (paid("prompt_tokens") + paid("completion_tokens")).alias("tokens"),
        paid("cost_micro_usd").alias("cost_micro_usd"),
    )


def batch_counts(query: StreamingQuery, *, after: int = -1) -> list[BatchCounts]:
    """Return the finished micro-batches of this start of the query, oldest first.

    Args:
        query: A query on the result of `counted`.
        after: Return only micro-batches with a higher id; the others are not parsed.
    """
    found: list[BatchCounts] = []
    # `query.recentProgress` would parse thousands of JSON texts, one by one, on every call.
    for progress in reversed(query._jsq.recentProgress()):  # noqa: SLF001 - see above
        counts = _counts(json.loads(progress.json()))
        if counts is None:
            continue
        if counts.batch_id <= after:
            break
        found.append(counts)
    return found[::-1]


def drain_and_stop(running: RunningQuery, *, timeout: float = DRAIN_PATIENCE) -> bool:
    """End the query between two micro-batches, so that no record is written again later.

    Args:
        running: The query; it may have ended already.
        timeout: Seconds to wait for the running micro-batch; then the query is stopped.

    Returns:
        Whether the last micro-batch was completed.
    """
    running.drain_file.touch()
    try:
        deadline = time.monotonic() + timeout
        while running.query.isActive and not _is_drained(running) and time.monotonic() < deadline:
            time.sleep(POLL)
        completed = _is_drained(running)
        running.query.stop()
    finally:
        running.drain_file.unlink(missing_ok=True)
        running.checkpoint.release()
    return completed


def await_tasks(running: RunningQuery, *, timeout: float = 60.0) -> bool:
    """Wait for the tasks of a failed query to end.

    They finish the requests that they have in flight, which are paid for.

    Args:
        running: The query.
        timeout: Seconds to wait; then the tasks are left running.

    Returns:
        Whether all tasks ended.
    """
    context = running.query._jsq.sparkSession().sparkContext()  # noqa: SLF001 - no other way to it
    deadline = time.monotonic() + timeout
    while any(each.numRunningTasks() for each in context.statusTracker().getExecutorInfos()):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def failure_sentence(error: BaseException) -> str:
    """Return the one relevant sentence of a failed query's exception.

    Spark wraps our exception in several layers of traces, from Python and from Java.
    """
    text = str(error)
    found: list[str] = _OURS.findall(text) or _PYTHONS.findall(text)
    if found:
        return found[-1].strip()  # the earlier ones are its causes
    lines = _PREFIX.sub("", text).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def failure(error: BaseException) -> ReviewStreamError:
    """Return the error of ours that a failed query's exception wraps, else `PermanentError`."""
    ours = _OUR_CLASS.findall(str(error))
    kind = getattr(errors, ours[-1], PermanentError) if ours else PermanentError
    sentence: ReviewStreamError = kind(failure_sentence(error))
    return sentence


def _is_drained(running: RunningQuery) -> bool:
    try:
        return running.drain_file.read_text() == DRAINED
    except FileNotFoundError:
        return False


def _sink_options(settings: Settings) -> dict[str, str]:
    """Return the sink's options with the schemas' ids, so that the registry is asked only once."""
    name = settings.kafka.stream_name or absolute(settings.spark.checkpoint)
    kafka = settings.kafka.model_copy(update={"stream_name": name})
    options = sink_options(kafka, settings.registry)
    topics = find_topics(SinkOptions.of(options), app.open_registry)
    ids = {"labelledSchemaId": topics.labelled_id, "rejectedSchemaId": topics.rejected_id}
    return options | {name: str(value) for name, value in ids.items()}


def _counts(progress: Mapping[str, Any]) -> BatchCounts | None:
    observed = progress.get("observedMetrics", {}).get(METRICS)
    if observed is None:
        return None
    source = progress["sources"][0]
    latest = source.get("latestOffset")
    return BatchCounts(
        batch_id=progress["batchId"],
        labelled=observed["labelled"],
        rejected=observed["rejected"],
        from_ledger=observed["from_ledger"],
        tokens=observed["tokens"],
        cost_micro_usd=observed["cost_micro_usd"],
        offset=source["endOffset"]["offset"],
        head=None if latest is None else latest["offset"],
        seconds=progress.get("batchDuration", 0) / 1_000,
    )
