"""The files that a server needs before it starts: Java, jars and homes."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reviewstream_testbed.installation.builder import build
from reviewstream_testbed.installation.cache import cache_folder, keep_used, make_once
from reviewstream_testbed.installation.downloads import show, stderr
from reviewstream_testbed.installation.jars import fetch
from reviewstream_testbed.installation.java import java_home
from reviewstream_testbed.processes.children import CommandError, output_lines
from reviewstream_testbed.testbed_error import TestbedError

BASE_ARCHIVE = "java.jsa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Paths of the installed files. All runs share them; only `archives` is ever written to.

    Attributes:
        java: The `java` program.
        jars: Downloaded jars, one folder per part.
        homes: Home folders built from the jars.
        archives: Class data that earlier runs wrote, so that later ones start faster.
    """

    java: Path
    jars: Path
    homes: Path
    archives: Path


def shared_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the testbed's folder in the cache folder."""
    return cache_folder(environ) / "testbed"


def install(environ: Mapping[str, str] = os.environ) -> Installation:
    """Return the installation; download and build it if it is missing.

    Raises:
        TestbedError: Java or the network is missing, or a file does not match the lock.
    """
    console = stderr()

    def track(names: Iterable[str]) -> None:
        show(names, environ, console)

    def on_wait() -> None:
        console.print("Another process downloads the servers; waiting for it ...")

    java = java_home(environ)
    jars = fetch(shared_folder(environ), java, track, on_wait=on_wait, environ=environ)
    homes = build(jars, java)
    archives = homes.with_name(f"{homes.name}-{_identity(java)}")
    make_once(archives, lambda folder: _dump_class_data(java, folder))
    for folder in (jars, homes, archives):
        keep_used(folder, "jars-*")
    return Installation(java=java / "bin" / "java", jars=jars, homes=homes, archives=archives)


def _identity(java: Path) -> str:
    """Return a name for this exact Java, because another Java rejects its class data."""
    about = java / "release"
    text = about.read_bytes() if about.is_file() else b""
    return hashlib.sha256(f"{java}\0".encode() + text).hexdigest()[:8]


def _dump_class_data(java: Path, folder: Path) -> None:
    """Write the class data of Java's own classes, which the wheel's Java lacks."""
    archive = f"-XX:SharedArchiveFile={folder / BASE_ARCHIVE}"
    try:
        "".join(output_lines([java / "bin" / "java", "-Xshare:dump", archive]))
    except CommandError as error:
        raise TestbedError(f"cannot write class data: {str(error)[-500:]}") from error
