"""A plain install says which extra is missing, in one sentence, with a command that works."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import reviewstream
from reviewstream import extras
from reviewstream.cli.local import use_java
from reviewstream.errors import ConfigError
from reviewstream_testbed import testbed_extras

ROOT = Path(__file__).parents[2]
BLOCKED = "import sys, runpy; sys.modules.update(dict.fromkeys({names}))\n"


def plain(script: str, *names: str) -> subprocess.CompletedProcess[str]:
    """Run a script as if some packages were not installed."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED.format(names=names) + script],
        check=False,
        capture_output=True,
        text=True,
    )


REPOSITORY = {"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": "1a"}}


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        ({}, "'reviewstream[spark]'"),
        ({"url": "file:///a%20b/c", "dir_info": {}}, "'/a b/c[spark]'"),
        ({"url": "file:///c", "dir_info": {"editable": True}}, "-e '/c[spark]'"),
        ({"url": "file:///c/r-1-py3-none-any.whl"}, "'/c/r-1-py3-none-any.whl[spark]'"),
        (REPOSITORY, "'reviewstream[spark] @ git+https://h/r.git@1a'"),
        ({"url": "https://h/r.whl"}, "'reviewstream[spark] @ https://h/r.whl'"),
    ],
)
def test_the_command_installs_from_where_the_package_came(
    origin: dict[str, Any], requirement: str
) -> None:
    assert extras._requirement(origin, "spark") == requirement


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        ({}, "'reviewstream[testbed]'"),
        ({"url": "file:///a%20b/c", "dir_info": {}}, "'/a b/c/testbed[all]'"),
        ({"url": "file:///c", "dir_info": {"editable": True}}, "-e '/c/testbed[all]'"),
        (
            {"url": "file:///c/r-1-py3-none-any.whl"},
            "--find-links /c 'reviewstream-testbed[all]'",
        ),
        ({"url": "https://h/r.whl"}, "'reviewstream-testbed[all]'"),
        (
            {"url": "https://h/r.zip", "archive_info": {}},
            "'reviewstream-testbed[all] @ https://h/r.zip#subdirectory=testbed'",
        ),
        (
            REPOSITORY,
            "'reviewstream-testbed[all] @ git+https://h/r.git@1a#subdirectory=testbed'",
        ),
    ],
)
def test_the_testbed_is_installed_from_the_folder_beside_the_package(
    origin: dict[str, Any], requirement: str
) -> None:
    assert extras._requirement(origin, "testbed") == requirement


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        ({}, "'reviewstream-testbed[servers]'"),
        ({"url": "file:///c/testbed", "dir_info": {}}, "'/c/testbed[servers]'"),
        ({"url": "file:///t", "dir_info": {"editable": True}}, "-e '/t[servers]'"),
        ({"url": "https://h/t.zip"}, "'reviewstream-testbed[servers] @ https://h/t.zip'"),
        (
            {"url": "https://h/r.zip", "archive_info": {}, "subdirectory": "testbed"},
            "'reviewstream-testbed[servers] @ https://h/r.zip#subdirectory=testbed'",
        ),
        (
            REPOSITORY | {"subdirectory": "testbed"},
            "'reviewstream-testbed[servers] @ git+https://h/r.git@1a#subdirectory=testbed'",
        ),
    ],
)
def test_the_testbed_names_an_extra_of_its_own(origin: dict[str, Any], requirement: str) -> None:
    assert testbed_extras._requirement(origin, "servers") == requirement


@pytest.mark.parametrize(
    ("file", "found"),
    [("pyproject.toml", extras.EXTRAS), ("testbed/pyproject.toml", testbed_extras.EXTRAS)],
)
def test_every_extra_is_one_that_there_is(file: str, found: dict[str, str]) -> None:
    project = tomllib.loads((ROOT / file).read_text(encoding="utf-8"))["project"]
    assert {*found.values()} - {""} < set(project["optional-dependencies"])


@pytest.mark.parametrize("package", ["pyspark", "pyarrow"])
def test_an_import_from_the_library_names_the_extra(package: str) -> None:
    result = plain("from reviewstream.spark import label_reviews", package)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == (
        f"ModuleNotFoundError: {package} is not installed: {extras.install_command('spark')}"
    )


@pytest.mark.parametrize("module", ["reviewstream_testbed", "reviewstream_testbed.mock_openai"])
@pytest.mark.parametrize("package", ["psutil", "aiohttp", "vaderSentiment"])
def test_the_testbeds_commands_name_the_extra(module: str, package: str) -> None:
    script = f"sys.argv[1:] = ['--help']; runpy.run_module({module!r}, run_name='__main__')"
    result = plain(script, package)
    if (module == "reviewstream_testbed") != (package == "psutil"):
        assert result.returncode == 0  # it does not need that one to explain itself
        return
    command = testbed_extras.install_command("" if package == "psutil" else "openai")
    assert result.returncode == 2
    assert result.stderr == f"{module}: {package} is not installed: {command}\n"


def test_a_topic_without_kafkas_client_names_the_extra() -> None:
    result = plain("from reviewstream_testbed import records", "confluent_kafka")
    command = testbed_extras.install_command("servers")
    last = result.stderr.splitlines()[-1]
    assert last == f"ModuleNotFoundError: confluent_kafka is not installed: {command}"


def test_without_the_testbed_the_demo_names_the_command_that_installs_it() -> None:
    script = "sys.argv[1:] = ['demo']; runpy.run_module('reviewstream', run_name='__main__')"
    result = plain(script, "reviewstream_testbed")
    assert result.returncode == 2
    assert result.stderr.startswith("reviewstream: reviewstream_testbed")
    assert result.stderr.endswith(f" is not installed: {extras.install_command('testbed')}\n")


def test_a_package_of_no_extra_is_not_explained() -> None:
    assert extras.missing(ModuleNotFoundError("No module named 'x'", name="x")) == ""
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'x'$"):
        with extras.named_extras():
            raise ModuleNotFoundError("No module named 'x'", name="x")


def test_the_package_says_its_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert reviewstream.__version__ == project["version"]
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = reviewstream.nonesuch  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_there", [True, False])
def test_without_the_testbed_spark_takes_the_java_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    monkeypatch.setitem(sys.modules, "reviewstream_testbed.installation.java", None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/java" if is_there else None)
    if is_there:
        use_java()
        return
    with pytest.raises(ConfigError, match=r"no Java 17 or 21 for Spark: install one") as raised:
        use_java()
    assert extras.install_command("testbed") in str(raised.value)
