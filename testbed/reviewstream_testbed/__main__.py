"""`python -m reviewstream_testbed fetch|up|images|lock`."""

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reviewstream_testbed import images_command
from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.installation import install
from reviewstream_testbed.jars import LOCK_FILE, download, write_lock
from reviewstream_testbed.java import java_home
from reviewstream_testbed.testbed import PARTS, USUAL, Testbed


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except TestbedError as error:
        print(f"reviewstream_testbed: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reviewstream_testbed", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    fetch = verbs.add_parser("fetch", help="download what the servers need; nothing later does")
    fetch.set_defaults(run=_fetch)
    up = verbs.add_parser("up", help="run servers until Ctrl-C")
    up.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"default: {' '.join(USUAL)}")
    up.add_argument("--json", action="store_true", help="print one JSON object when all are ready")
    up.set_defaults(run=_up)
    lock = verbs.add_parser("lock", help="download anew and write the checksums (maintainers)")
    lock.set_defaults(run=_lock)
    images_command.add_to(verbs)
    return parser


def _fetch(_: argparse.Namespace) -> int:
    install()
    return 0


def _up(given: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Testbed(given.parts or USUAL) as bed:
            addresses = bed.addresses()
            if given.json:
                print(json.dumps(addresses), flush=True)  # noqa: T201 - a command's output
            else:
                _show(addresses)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    return 0


def _show(addresses: dict[str, str]) -> None:
    table = Table("part", "address")
    for part, address in addresses.items():
        table.add_row(part, address)
    console = Console()
    console.print(table)
    console.print("Ctrl-C stops them.")


def _lock(_: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        jars = Path(folder, "jars")
        for name in download(jars, Path(folder, "ivy"), java_home(), os.environ):
            print(name)  # noqa: T201 - a command's output
        LOCK_FILE.write_text(write_lock(jars))
    return 0


if __name__ == "__main__":
    sys.exit(main())
