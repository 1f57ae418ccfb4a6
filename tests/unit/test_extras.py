"""A plain install says which extra is missing, in one sentence, with a command that works."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import reviewstream
from reviewstream import extras
from reviewstream_testbed import testbed_extra

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


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        ({}, "'reviewstream[spark]'"),
        ({"url": "file:///a%20b/c", "dir_info": {}}, "'/a b/c[spark]'"),
        ({"url": "file:///c", "dir_info": {"editable": True}}, "-e '/c[spark]'"),
        ({"url": "file:///c/r-1-py3-none-any.whl"}, "'/c/r-1-py3-none-any.whl[spark]'"),
        (
            {"url": "https://h/r.git", "vcs_info": {"vcs": "git", "commit_id": "1a"}},
            "'reviewstream[spark] @ git+https://h/r.git@1a'",
        ),
        ({"url": "https://h/r.whl"}, "'reviewstream[spark] @ https://h/r.whl'"),
    ],
)
def test_the_command_installs_from_where_the_package_came(
    origin: dict[str, Any], requirement: str
) -> None:
    assert extras._requirement(origin, "spark") == requirement


def test_both_packages_give_the_same_command() -> None:
    assert testbed_extra.install_command() == extras.install_command("testbed")


def test_every_extra_is_one_that_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.EXTRAS.values()) < set(project["optional-dependencies"])


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
    if result.returncode == 0:
        assert (module, package) != ("reviewstream_testbed", "psutil")
        return  # it does not need that one to explain itself
    assert result.returncode == 2
    assert result.stderr == (
        f"{module}: {package} is not installed: {testbed_extra.install_command()}\n"
    )


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
