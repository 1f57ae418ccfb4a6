"""The Python that Spark's processes on this machine run.

Spark puts a zip of pyspark before everything else in `PYTHONPATH`. Python keeps no bytecode for
what is in a zip, so each process of the dozen that a query starts, one after the other, would
compile again all that it imports of pyspark: two thirds of its time.
"""

import hashlib
import os
import shlex
import sys
from pathlib import Path
from typing import Final

import pyspark

SPARK_HOME: Final = "SPARK_HOME"

_SCRIPT: Final = """\
#!/bin/sh
# Runs Python without the zips of pyspark and py4j: the installed ones have bytecode.
set -f
IFS=:
kept=
for entry in $PYTHONPATH; do
  case $entry in
    {home}/*) ;;
    *) kept=$kept:$entry ;;
  esac
done
PYTHONPATH=${{kept#:}}
export PYTHONPATH
exec {python} "$@"
"""


def interpreter() -> str:
    """Return the program to start: this Python, and where that can be had without Spark's zips.

    Not with a Spark of the user's own, which may be another version than the pyspark installed.
    """
    if os.name != "posix" or SPARK_HOME in os.environ:
        return sys.executable
    try:
        program = _written()
    except (OSError, RuntimeError):  # there is no home, or it cannot be written
        return sys.executable
    # A file system may be mounted without the permission to run anything.
    return str(program) if os.access(program, os.X_OK) else sys.executable


def _written() -> Path:
    """Write the script into the user's cache folder, whole or not at all."""
    home = str(Path(pyspark.__file__).parent)
    text = _SCRIPT.format(home=shlex.quote(home), python=shlex.quote(sys.executable))
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    program = _cache() / f"python-{digest}"
    if not program.is_file():
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_name(f"{program.name}.{os.getpid()}")
        fresh.write_text(text, encoding="UTF-8")
        fresh.chmod(0o755)
        fresh.replace(program)
    return program


def _cache() -> Path:
    """Return our folder in the user's cache folder (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reviewstream"
