"""Everything a server needs before it starts: Java, jars and homes."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reviewstream_testbed.building import build
from reviewstream_testbed.cache import cache_folder
from reviewstream_testbed.downloads import show, stderr
from reviewstream_testbed.jars import fetch
from reviewstream_testbed.java import java_home, java_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where things are. All of it is shared by every run, and read only but for `archives`.

    Attributes:
        java: The `java` program.
        jars: Downloaded jars, a folder per part.
        homes: What was built from them.
        archives: Class data of earlier runs, which makes later ones start faster.
    """

    java: Path
    jars: Path
    homes: Path
    archives: Path


def shared_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the testbed's part of the cache folder."""
    return cache_folder(environ) / "testbed"


def install(environ: Mapping[str, str] = os.environ) -> Installation:
    """Return the installation, downloaded and built if it is not there yet.

    Raises:
        TestbedError: No Java, no network, or a file that is not the locked one.
    """

    def track(names: Iterable[str]) -> None:
        show(names, environ, stderr())

    java = java_home(environ)
    jars = fetch(shared_folder(environ), java, track, environ=environ)
    homes = build(jars, java)
    return Installation(
        java=java / "bin" / "java",
        jars=jars,
        homes=homes,
        archives=homes.with_name(f"{homes.name}-java{java_version(java)}"),
    )
