"""Class data of Spark's JVM: used where it was written, for one Java and one pyspark."""

import os
from pathlib import Path

import pytest

from reviewstream_testbed import TestbedError
from reviewstream_testbed.installation import spark_class_data as module
from reviewstream_testbed.installation.spark_class_data import (
    SHORT_RUN,
    short_run_options,
    write_class_data,
)

JAVA = """\
#!/bin/sh
touch "${2#*=}"
exit {status}
"""
SPARK = """\
import os, pathlib, shlex
*_, last = shlex.split(os.environ["SPARK_SUBMIT_OPTS"])
pathlib.Path(last.removeprefix("-XX:ArchiveClassesAtExit=")).touch()
"""


class Machine:
    """A Java, and a cache folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.java = folder / "java"
        (self.java / "bin").mkdir(parents=True)
        self.environ = {"REVIEWSTREAM_CACHE": str(folder / "cache")}
        self.answer(0)
        monkeypatch.setattr(module, "spark_java_home", lambda _: self.java)
        self.spark = folder / "spark.py"
        self.spark.write_text(SPARK)
        monkeypatch.setattr(module, "_WARM_UP", self.spark)

    def answer(self, status: int) -> None:
        program = self.java / "bin" / "java"
        program.write_text(JAVA.replace("{status}", str(status)))
        program.chmod(0o755)

    def written(self) -> list[str]:
        return sorted(file.name for file in Path(self.environ["REVIEWSTREAM_CACHE"]).rglob("*.jsa"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_without_class_data_spark_starts_as_before(machine: Machine) -> None:
    assert short_run_options(machine.environ) == SHORT_RUN
    assert machine.written() == []


def test_class_data_is_written_once_and_used(machine: Machine) -> None:
    write_class_data(machine.environ)
    assert machine.written() == ["java.jsa", "spark.jsa"]
    (using,) = [o for o in short_run_options(machine.environ).split() if "SharedArchiveFile" in o]
    assert [Path(one).name for one in using.partition("=")[2].split(os.pathsep)] == [
        "java.jsa",
        "spark.jsa",
    ]
    machine.answer(1)  # another Java, which has written none
    assert short_run_options(machine.environ) == SHORT_RUN


def test_a_java_with_an_archive_of_its_own_classes_needs_no_other(machine: Machine) -> None:
    (machine.java / "lib" / "server").mkdir(parents=True)
    (machine.java / "lib" / "server" / "classes.jsa").touch()
    write_class_data(machine.environ)
    assert machine.written() == ["spark.jsa"]
    assert "java.jsa" not in short_run_options(machine.environ)


def test_a_java_that_fails_is_an_error_and_what_it_wrote_is_not_used(machine: Machine) -> None:
    machine.answer(1)
    with pytest.raises(TestbedError, match="cannot write class data"):
        write_class_data(machine.environ)
    assert short_run_options(machine.environ) == SHORT_RUN


def test_a_java_that_writes_nothing_is_an_error(machine: Machine) -> None:
    machine.spark.write_text("")
    with pytest.raises(TestbedError, match="wrote no class data"):
        write_class_data(machine.environ)
    assert short_run_options(machine.environ) == SHORT_RUN
