"""The package extra that the testbed needs, and the command that installs it."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit


def install_command() -> str:
    """Return the command that installs the extra from the source this package came from.

    A local source is recorded beside the installed package (PEP 610); without that record, the
    package came from an index.
    """
    try:
        text = distribution("reviewstream").read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    origin = json.loads(text) if text else {}
    url = urlsplit(origin.get("url", ""))
    place = unquote(url.path) if url.scheme == "file" else "reviewstream"
    option = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return f"pip install {option}{shlex.quote(f'{place}[testbed]')}"


@contextmanager
def needed_packages(program: str) -> Iterator[None]:
    """Exit with code 2 and a one-sentence message if a package of the extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package.startswith("reviewstream"):
            raise
        sentence = f"{program}: {package} is not installed: {install_command()}"
        print(sentence, file=sys.stderr)  # noqa: T201 - a command's output
        raise SystemExit(2) from None
