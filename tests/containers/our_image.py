"""Our own image, made from the Dockerfile, and of wheels that pip has: no index is asked twice."""

import contextlib
import functools
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from docker import DockerClient
from docker.errors import BuildError

from reviewstream_testbed.containers.image_sources import find
from tests.docs.references import ROOT

TAG = "reviewstream-testbed/reviewstream:latest"
SOURCES = "reviewstream.testbed.sources"  # a label; its value changes with what the image holds
FILES = ("Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE")
# What builds ours; and what redis wants on Python 3.11.2, which Debian and so the stand-in has.
BESIDES = ("hatchling", "async-timeout")
FOLDERS = ("src", "testbed", "schemas")
BUILD = 500  # seconds without a word: pip says nothing while it unpacks half a gigabyte
LEFTOVERS: dict[str, str | list[str] | bool] = {
    "label": "reviewstream.stage=build",
    "dangling": True,
}


def ensure_image(client: DockerClient, folder: Path) -> str:
    """Return the image of today's sources, built if the engine does not have it."""
    there, key = find(client, TAG), _key()
    if there is None or there.labels.get(SOURCES) != key:
        _download(folder)
        with _served(folder) as url:
            _build(client, key, url)
        if there is not None:
            client.images.remove(str(there.id))
        client.images.prune(filters=LEFTOVERS)
    return TAG


def _build(client: DockerClient, key: str, wheels: str) -> None:
    try:
        client.images.build(
            path=str(ROOT),
            tag=TAG,
            labels={SOURCES: key},
            network_mode="host",
            buildargs={"PIP_FIND_LINKS": wheels, "PIP_NO_INDEX": "1"},
            rm=True,
            forcerm=True,
            timeout=BUILD,
        )
    except BuildError as error:
        printed = "".join(line.get("stream", "") for line in error.build_log)
        pytest.fail(f"{error}\n{printed[-2000:]}")


def _key() -> str:
    digest = hashlib.sha256()
    found = [ROOT / name for name in FILES]
    found += [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    for path in found:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _download(folder: Path) -> None:
    """Fill the folder with the wheels of everything, and of what builds ours."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder)]
    done = subprocess.run(
        [*command, "./testbed[all]", ".[all]", *BESIDES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: pytest would show it with every failure."""
