"""Spark's JVM while it starts, with a script in its place."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reviewstream.errors import ConfigError, PermanentError
from reviewstream.settings import SparkSettings
from reviewstream.spark.jvm import Jvm

PROGRAM = """
from reviewstream.cli.signals import ending, obeying
from reviewstream.settings import SparkSettings
from reviewstream.spark.jvm import spark_running

with obeying(), ending("ending Spark", 15.0), spark_running(SparkSettings()):
    print("not reached")
"""


def spark_home(folder: Path, script: str) -> str:
    """Write a Spark whose JVM is a script."""
    (submit := folder / "bin" / "spark-submit").parent.mkdir()
    submit.write_text(f"#!/bin/sh\n{script}\n")
    submit.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_jvm_starts_leaves_no_jvm(tmp_path: Path, number: int) -> None:
    os.mkfifo(alive := tmp_path / "alive")
    home = spark_home(tmp_path, f"exec 3>{alive}\necho $$ >&3\nexec sleep 600")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"SPARK_HOME": home},
        start_new_session=True,
    ) as process:
        with alive.open() as said:
            jvm = int(said.readline())
            assert os.getpgid(jvm) != process.pid  # the group's signals do not reach it
            os.killpg(process.pid, number)
            out, err = process.communicate(timeout=60)
            assert said.read() == ""  # nobody has it open any more
    assert (process.returncode, out) == (128 + number, "")
    assert err.count("\n") == 1
    assert err.endswith("; ending Spark\n")


# pyspark forgets the pipe to a JVM that does not start.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_jvm_that_cannot_be_started_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", spark_home(tmp_path, "exit 1"))
    with pytest.raises(PermanentError, match="ended before it was ready"):
        Jvm(SparkSettings())


def test_a_spark_home_without_a_spark_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", "/nonexistent")
    with pytest.raises(ConfigError, match=r"'/nonexistent/.*unset it to use pyspark's own"):
        Jvm(SparkSettings())


def test_a_warning_that_asks_for_nothing_is_left_out(tmp_path: Path) -> None:
    said = (
        "echo 'WARNING: Using incubator modules: jdk.incubator.vector' >&2; echo 'other words' >&2"
    )
    home = spark_home(tmp_path, f"{said}; exit 1")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=os.environ | {"SPARK_HOME": home},
        timeout=60,
        check=False,
    )
    assert "other words" in run.stderr
    assert "incubator" not in run.stderr
