"""`python -m reviewstream_testbed up|status|logs|down|fetch|lock`."""

import argparse
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from reviewstream_testbed.testbed_error import TestbedError
from reviewstream_testbed.testbed_extras import needed_packages

with needed_packages("reviewstream_testbed"):
    from reviewstream_testbed.installation.homes import install
    from reviewstream_testbed.installation.jars import LOCK_FILE, download, write_lock
    from reviewstream_testbed.installation.java import java_home
    from reviewstream_testbed.installation.spark_class_data import write_class_data
    from reviewstream_testbed.sharing import commands


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except TestbedError as error:
        print(f"reviewstream_testbed: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 2
    except KeyboardInterrupt:
        return 130  # the shells' code for SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reviewstream_testbed", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    fetch = verbs.add_parser("fetch", help="download what the servers need; nothing later does")
    fetch.set_defaults(run=_fetch)
    commands.add_to(verbs)
    lock = verbs.add_parser("lock", help="download anew and write the checksums (maintainers)")
    lock.set_defaults(run=_lock)
    return parser


def _fetch(_: argparse.Namespace) -> int:
    install()
    if all(map(find_spec, ("pyspark", "pyarrow", "pandas"))):  # for Spark's data sources
        write_class_data()
    return 0


def _lock(_: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        jars = Path(folder, "jars")
        for name in download(jars, Path(folder, "ivy"), java_home(), os.environ):
            print(name)  # noqa: T201 - a command's output
        LOCK_FILE.write_text(write_lock(jars))
    return 0


if __name__ == "__main__":
    sys.exit(main())
