"""reviewstream-testbed alone: what is in its packages, and what it does without reviewstream."""

from pathlib import Path

import pytest

from tests.package.contents import entry_points, licence, names, packages, requirements
from tests.package.running import ROOT, files_of

FOLDER = ROOT / "testbed"


@pytest.mark.parametrize(
    ("folder", "target"),
    [("reviewstream_testbed", "reviewstream_testbed"), ("java", "reviewstream_testbed/java")],
)
def test_the_wheel_holds_every_file_of(testbed_wheel: Path, folder: str, target: str) -> None:
    paths = [path for path in (FOLDER / folder).rglob("*") if path.is_file()]
    files = {
        path.relative_to(FOLDER / folder).as_posix() for path in paths if path.suffix != ".pyc"
    }
    assert files
    assert names(testbed_wheel) >= {f"{target}/{file}" for file in files}


def test_the_wheel_holds_nothing_but_its_package(testbed_wheel: Path) -> None:
    assert packages(testbed_wheel) == {"reviewstream_testbed"}


def test_the_source_package_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (source,) = built.glob("reviewstream_testbed-*.tar.gz")
    assert {name.split("/")[0] for name in files_of(source)} == {
        ".gitignore",  # the build tool takes it along
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "java",
        "pyproject.toml",
        "reviewstream_testbed",
    }


def test_both_wheels_have_the_same_licence(wheel: Path, testbed_wheel: Path) -> None:
    assert licence(testbed_wheel) == licence(wheel)


def test_the_testbed_needs_nothing_of_reviewstream(testbed_wheel: Path) -> None:
    assert not [name for name in requirements(testbed_wheel) if name.startswith("reviewstream")]


def test_pytest_finds_the_plugin_under_the_modules_own_name(testbed_wheel: Path) -> None:
    plugin = "reviewstream_testbed.pytest_plugin"
    assert entry_points(testbed_wheel) == {"pytest11": {plugin: plugin}}
