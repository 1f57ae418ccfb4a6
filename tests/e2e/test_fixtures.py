"""What a user of the fixtures writes: the example of the how-to, and records on topics."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reviewstream_testbed import Testbed, TestbedError, Topic, records

EXAMPLE = Path(__file__).parents[2] / "examples" / "test_reviews.py"


@pytest.mark.usefixtures("testbed")  # it asks for servers, in a process of its own
def test_the_example_passes_in_an_empty_folder(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shutil.copy(EXAMPLE, tmp_path)
    provider = request.config.getoption("--testbed") or "embedded"
    command = [sys.executable, "-m", "pytest", f"--testbed={provider}", "--rootdir=."]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_example_has_15_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) == 15


def test_avro_records_come_back_as_they_were(testbed: Testbed, topic: str) -> None:
    ours = Topic(topic, lambda: testbed)
    ours.create()
    ours.produce_avro('["null", "string"]', None, "one")
    assert ours.consume_avro(2) == [None, "one"]


def test_a_topic_gives_back_the_bytes_it_was_given(testbed: Testbed, topic: str) -> None:
    ours = Topic(topic, lambda: testbed)
    ours.create(partitions=2)
    ours.produce(b"one", b"two")
    assert {*ours.consume(2)} == {b"one", b"two"}
    with pytest.raises(TestbedError, match=rf"{topic}: .*already exists"):
        ours.create()


def test_a_topic_that_is_not_there_is_said_not_to_be(testbed: Testbed, topic: str) -> None:
    missing = Topic(topic, lambda: testbed)
    with pytest.raises(TestbedError, match=rf"{topic}: .*nknown topic"):
        missing.produce(b"one")
    with pytest.raises(TestbedError, match=rf"{topic}: .*nknown topic"):
        missing.consume(1)


def test_records_that_do_not_come_are_counted(
    testbed: Testbed, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "_PATIENCE", 2.0)
    ours = Topic(topic, lambda: testbed)
    ours.create()
    ours.produce(b"one")
    with pytest.raises(TestbedError, match=rf"{topic}: 1 of 2 records came in 2 s"):
        ours.consume(2)
