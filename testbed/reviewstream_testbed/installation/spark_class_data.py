"""Class data of Spark's JVM (Java's "application class-data sharing").

Spark loads 15,000 classes before its first micro-batch; from an archive they take half the
processor time. An archive is valid for one Java and for jars at one path, so each environment has
its own. Writing it takes longer than two starts of Spark, so only what starts Spark often does.
"""

import hashlib
import os
import shlex
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from reviewstream_testbed.installation.cache import cache_folder, keep_used, make_once
from reviewstream_testbed.installation.java import spark_java_home
from reviewstream_testbed.processes.children import CommandError, output_lines
from reviewstream_testbed.testbed_error import TestbedError

# A short run: full optimization would not pay off.
SHORT_RUN: Final = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
OPTIONS: Final = "SPARK_SUBMIT_OPTS"

_ARCHIVE: Final = "spark.jsa"
_QUIET: Final = "-Xlog:cds=off -Xlog:cds+dynamic=off"  # no warnings about classes it cannot archive
_UNUSED: Final = 7 * 24 * 3600.0  # seconds: test environments are made anew, and one has 170 MB
_WARM_UP: Final = Path(__file__).with_name("spark_warm_up.py")


def short_run_options(environ: Mapping[str, str] = os.environ) -> str:
    """Return `SPARK_SUBMIT_OPTS` for a short run of Spark, with class data if it was written.

    Raises:
        TestbedError: There is no Java for Spark.
    """
    java = spark_java_home(environ)
    folder = _folder(java, environ)
    if not folder.is_dir():
        return SHORT_RUN
    keep_used(folder, "spark-classes-*", unused=_UNUSED)
    return _options(f"-XX:SharedArchiveFile={_with_base(java, environ, folder / _ARCHIVE)}")


def write_class_data(environ: Mapping[str, str] = os.environ) -> None:
    """Write the class data of this environment's Spark if it is missing; takes half a minute.

    Raises:
        TestbedError: There is no Java for Spark, or Spark fails.
    """
    java = spark_java_home(environ)

    def write(partial: Path) -> None:
        base = _with_base(java, environ)
        using = [f"-XX:SharedArchiveFile={base}"] if base else []
        options = _options(*using, f"-XX:ArchiveClassesAtExit={partial / _ARCHIVE}")
        _run([sys.executable, _WARM_UP], {OPTIONS: options, "JAVA_HOME": str(java)})
        if not (partial / _ARCHIVE).is_file():
            raise TestbedError("Spark's Java wrote no class data")

    make_once(_folder(java, environ), write)


def _options(*more: str) -> str:
    return " ".join([SHORT_RUN, _QUIET, *map(shlex.quote, more)])


def _folder(java: Path, environ: Mapping[str, str]) -> Path:
    """Return the folder of the archive for this Java and these jars; it may be missing."""
    spec = find_spec("pyspark")
    jars = Path(spec.origin or "").parent / "jars" if spec else Path()
    made = jars.stat().st_mtime_ns if jars.is_dir() else 0
    key = hashlib.sha256(f"{java}\0{jars}\0{made}\0{_about(java)}".encode()).hexdigest()[:12]
    return cache_folder(environ) / "testbed" / f"spark-classes-{key}"


def _about(java: Path) -> str:
    """Return a text that differs between any two Javas."""
    release = java / "release"
    return (release if release.is_file() else java / "bin" / "java").read_text(errors="replace")


def _with_base(java: Path, environ: Mapping[str, str], *archives: Path) -> str:
    """Return the archives, after that of Java's own classes where Java comes without one."""
    if (java / "lib" / "server" / "classes.jsa").is_file():
        return os.pathsep.join(map(str, archives))
    key = hashlib.sha256(f"{java}\0{_about(java)}".encode()).hexdigest()[:12]
    folder = make_once(
        cache_folder(environ) / "testbed" / f"java-classes-{key}",
        lambda partial: _run(
            [java / "bin" / "java", "-Xshare:dump", f"-XX:SharedArchiveFile={partial / 'java.jsa'}"]
        ),
    )
    keep_used(folder, "java-classes-*")
    return os.pathsep.join(map(str, (folder / "java.jsa", *archives)))


def _run(command: list[str | Path], variables: Mapping[str, str] | None = None) -> None:
    try:
        "".join(output_lines(command, environ={**os.environ, **(variables or {})}))
    except CommandError as error:
        raise TestbedError(f"cannot write class data: {str(error)[-500:]}") from error
