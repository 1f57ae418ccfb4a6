import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reviewstream import app
from reviewstream.core.delivery.markers import Marker
from reviewstream.errors import (
    BudgetExceededError,
    ConfigError,
    FatalError,
    PermanentError,
    TransientError,
)
from reviewstream.settings import KafkaSettings, LimitsSettings, Settings, SparkSettings, accounted
from reviewstream.spark import query
from reviewstream.spark.checkpoint import use
from reviewstream.spark.query import (
    METRICS,
    RunningQuery,
    batch_counts,
    drain_and_stop,
    failure,
    failure_sentence,
    start_query,
)
from reviewstream.spark.source import DRAINED

TRACE = """[STREAM_FAILED] Query [id = 1] terminated with exception: [PYTHON_EXCEPTION] Traceback:
  File "labelling.py", line 85, in label_batches
    raise
reviewstream.errors.TransientError: only the cause

The above exception was the direct cause of the following exception:

reviewstream.errors.FatalError: http://127.0.0.1:1/v1 refuses the API key: set OPENAI_API_KEY
 SQLSTATE: 38000
=== Streaming Query ===
Identifier: [id = 1]
"""


def test_of_a_trace_only_our_own_sentence_is_left() -> None:
    assert failure_sentence(RuntimeError(TRACE)) == (
        "http://127.0.0.1:1/v1 refuses the API key: set OPENAI_API_KEY"
    )


def test_of_a_failure_in_python_the_last_line_is_left() -> None:
    trace = TRACE.replace("reviewstream.errors.FatalError", "openai.OtherError")
    trace = trace.replace("reviewstream.errors.TransientError", "KeyError")
    assert failure_sentence(RuntimeError(trace)) == (
        "openai.OtherError: http://127.0.0.1:1/v1 refuses the API key: set OPENAI_API_KEY"
    )


def test_of_any_other_failure_the_first_line_is_left() -> None:
    lost = "[STREAM_FAILED] Query [id = 1] terminated with exception: Job aborted.\n at x.y.z"
    assert failure_sentence(RuntimeError(lost)) == "Job aborted."
    assert failure_sentence(RuntimeError("\n  No space left on device \n at x.y.z")) == (
        "No space left on device"
    )
    assert failure_sentence(RuntimeError()) == "RuntimeError"


def test_a_failure_keeps_the_class_of_the_error_of_ours_that_caused_it() -> None:
    assert type(failure(RuntimeError(TRACE))) is FatalError
    assert (
        type(failure(RuntimeError(TRACE.replace("FatalError", "BudgetExceededError"))))
        is BudgetExceededError
    )
    assert type(failure(RuntimeError("no space left"))) is PermanentError


@dataclass
class Ended:
    """A query that ends, or says that it is drained, when it is asked so many times."""

    drain_file: Path
    asked: int = 0
    ends_after: int | None = None
    drains_after: int | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def isActive(self) -> bool:  # noqa: N802 - Spark's name
        self.asked += 1
        if self.asked == self.drains_after:
            assert self.drain_file.exists()
            self.drain_file.write_text(DRAINED)
        return self.ends_after is None or self.asked < self.ends_after

    def stop(self) -> None:
        self.stopped.set()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "POLL", 0.0)


def running(ended: Ended) -> RunningQuery:
    return RunningQuery(query=ended, drain_file=ended.drain_file)  # type: ignore[arg-type] # enough of it


def test_a_query_is_stopped_once_its_micro_batch_is_done(tmp_path: Path) -> None:
    ended = Ended(tmp_path / "drain", drains_after=5)
    assert drain_and_stop(running(ended))
    assert ended.stopped.is_set()
    assert not ended.drain_file.exists()


def test_a_query_that_has_ended_is_not_waited_for(tmp_path: Path) -> None:
    ended = Ended(tmp_path / "drain", ends_after=3)
    assert not drain_and_stop(running(ended))
    assert ended.asked == 3


def test_a_micro_batch_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    ended = Ended(tmp_path / "drain")
    assert not drain_and_stop(running(ended), timeout=0.01)
    assert ended.stopped.is_set()


def test_a_query_that_cannot_be_stopped_leaves_no_file(tmp_path: Path) -> None:
    class Gone(Ended):
        def stop(self) -> None:
            raise ConnectionRefusedError

    gone = Gone(tmp_path / "drain", drains_after=1)
    with pytest.raises(ConnectionRefusedError):
        drain_and_stop(running(gone))
    assert not gone.drain_file.exists()


@pytest.mark.parametrize(
    ("checkpoint", "given", "account"),
    [
        ("here", None, str(Path("here").resolve())),
        ("/data/checkpoint", None, "/data/checkpoint"),
        ("hdfs://name/checkpoint", None, "hdfs://name/checkpoint"),
        ("dbfs:/checkpoint", None, "dbfs:/checkpoint"),
        ("here", "team", "team"),
    ],
)
def test_a_query_pays_from_the_account_of_its_checkpoint_unless_told_otherwise(
    checkpoint: str, given: str | None, account: str
) -> None:
    settings = Settings(
        spark=SparkSettings(checkpoint=checkpoint), limits=LimitsSettings(account=given)
    )
    assert accounted(settings).limits.account == account


class NoSpark:
    """A session in which nothing can be started."""

    dataSource = SimpleNamespace(register=lambda _: None)  # noqa: N815 - Spark's name

    @property
    def readStream(self) -> Any:  # noqa: N802 - Spark's name
        raise TransientError("something was read")


def start(checkpoint: Path, **kafka: str) -> None:
    """Start a query where nothing can be read."""
    settings = Settings(
        spark=SparkSettings(checkpoint=checkpoint.as_uri()),
        kafka=KafkaSettings.model_validate(kafka),
    )
    start_query(NoSpark(), settings)  # type: ignore[arg-type] # enough of it


@pytest.fixture
def marker(monkeypatch: pytest.MonkeyPatch) -> list[Marker]:
    """Return what the first task of every stream left, if anything."""
    left: list[Marker] = []
    monkeypatch.setattr(app, "find_marker", lambda *_: left[0] if left else None)
    return left


def test_an_old_copy_of_a_checkpoint_is_refused_before_anything_is_read(
    tmp_path: Path, marker: list[Marker]
) -> None:
    with pytest.raises(TransientError, match="something was read"):
        start(tmp_path)
    marker.append(Marker(query="another", batch=7, count=1, checksum=1))
    with pytest.raises(ConfigError, match=r"another query \(another, up to its micro-batch 7\)"):
        start(tmp_path)
    with pytest.raises(TransientError, match="something was read"):
        start(tmp_path, delivery="at_least_once")


@pytest.mark.usefixtures("marker")
def test_a_checkpoint_is_free_again_when_a_start_fails(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match="something was read"):
        start(tmp_path)
    use(str(tmp_path)).release()


def progress(batch: int) -> Any:
    """Return what Spark says of a micro-batch."""
    counts = {"labelled": batch, "rejected": 0, "from_ledger": 0, "tokens": 9, "cost_micro_usd": 1}
    source = {"endOffset": {"offset": 10 * batch}, "latestOffset": None}
    told = {"batchId": batch, "observedMetrics": {METRICS: counts}, "sources": [source]}
    return SimpleNamespace(json=lambda: json.dumps(told))


def test_micro_batches_are_counted_oldest_first_and_those_that_are_known_are_left_out() -> None:
    told = SimpleNamespace(recentProgress=lambda: [progress(batch) for batch in range(5)])
    running: Any = SimpleNamespace(_jsq=told)
    assert [counts.batch_id for counts in batch_counts(running)] == [0, 1, 2, 3, 4]
    assert [counts.offset for counts in batch_counts(running, after=2)] == [30, 40]
