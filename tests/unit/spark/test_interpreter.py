import os
import subprocess
import sys
from pathlib import Path

import pyspark
import pytest

from reviewstream.spark.session import interpreter

PYSPARK = Path(pyspark.__file__).parent


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a cache folder whose name a shell would split and expand."""
    folder = tmp_path / "my cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.delenv("SPARK_HOME", raising=False)
    return folder


def run(code: str, *arguments: str, path: str) -> str:
    done = subprocess.run(
        [interpreter(), "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_pyspark_is_the_one_that_is_installed_and_not_sparks_zip() -> None:
    zipped = f"{PYSPARK}/python/lib/pyspark.zip"
    assert run("import pyspark; print(pyspark.__file__)", path=zipped) == pyspark.__file__


def test_everything_else_in_the_path_stays_in_its_order(tmp_path: Path) -> None:
    spaced = f"{tmp_path}/a b"
    path = f"{PYSPARK}/python/lib/x.zip:{spaced}:{PYSPARK}/jars/x.jar:{tmp_path}/*:{PYSPARK}-more"
    kept = run("import os; print(os.environ['PYTHONPATH'])", path=path)
    assert kept == f"{spaced}:{tmp_path}/*:{PYSPARK}-more"


def test_it_is_this_python_with_the_arguments_as_they_were_given() -> None:
    shown = run("import sys; print([sys.prefix, *sys.argv[1:]])", "a b", "*", "", path="")
    assert shown == str([sys.prefix, "a b", "*", ""])


def test_it_is_written_once(cache: Path) -> None:
    first = interpreter()
    written = Path(first).stat().st_mtime_ns
    assert interpreter() == first
    assert Path(first).stat().st_mtime_ns == written
    assert [file.name for file in (cache / "reviewstream").iterdir()] == [Path(first).name]


def test_a_spark_of_the_users_own_keeps_its_pyspark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", "/opt/spark")
    assert interpreter() == sys.executable


def test_a_cache_that_cannot_be_written_costs_time_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert interpreter() == sys.executable


def test_a_cache_where_nothing_may_be_run_costs_time_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert interpreter() == sys.executable
