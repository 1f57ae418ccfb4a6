import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reviewstream.errors import LimitError, PermanentError, StopError
from reviewstream.settings import LimitsSettings, Settings, SparkSettings, accounted
from reviewstream.spark import query
from reviewstream.spark.query import (
    RunningQuery,
    drain_and_stop,
    failure,
    failure_sentence,
)
from reviewstream.spark.source import DRAINED

TRACE = """[STREAM_FAILED] Query [id = 1] terminated with exception: [PYTHON_EXCEPTION] Traceback:
  File "labelling.py", line 85, in label_batches
    raise
reviewstream.errors.TransientError: only the cause

The above exception was the direct cause of the following exception:

reviewstream.errors.StopError: http://127.0.0.1:1/v1 refuses the API key: set OPENAI_API_KEY
 SQLSTATE: 38000
=== Streaming Query ===
Identifier: [id = 1]
"""


def test_of_a_trace_only_our_own_sentence_is_left() -> None:
    assert failure_sentence(RuntimeError(TRACE)) == (
        "http://127.0.0.1:1/v1 refuses the API key: set OPENAI_API_KEY"
    )


def test_of_a_failure_in_python_the_last_line_is_left() -> None:
    trace = TRACE.replace("reviewstream.errors.StopError", "openai.OtherError")
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
    assert type(failure(RuntimeError(TRACE))) is StopError
    assert type(failure(RuntimeError(TRACE.replace("StopError", "LimitError")))) is LimitError
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
        ("here", "", ""),
    ],
)
def test_a_query_pays_from_the_account_of_its_checkpoint_unless_told_otherwise(
    checkpoint: str, given: str | None, account: str
) -> None:
    settings = Settings(
        spark=SparkSettings(checkpoint=checkpoint), limits=LimitsSettings(account=given)
    )
    assert accounted(settings).limits.account == account
