"""reviewstream-testbed alone: what is in its packages, and what it does without reviewstream."""

import re
import subprocess
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.package.contents import entry_points, licence, names, packages, requirements
from tests.package.running import HERE, ROOT, files_of, installed, refused, run

FOLDER = ROOT / "testbed"
README = (FOLDER / "README.md").read_text("utf-8")
MOCK = "reviewstream_testbed.mock_openai"


@pytest.fixture(scope="session")
def python(testbed_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with what the README installs for the mock endpoint."""
    folder = tmp_path_factory.mktemp("venv")
    return installed(folder, "pytest", "openai", f"{testbed_wheel}[openai]")


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


def test_the_mock_endpoint_runs_as_the_readme_says(python: Path) -> None:
    command = f"python -m {MOCK} --port 8089"
    assert f"\n{command}\n" in README
    words = [str(python), *command.replace("8089", "0").split()[1:]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=HERE) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            found = re.fullmatch(r"Ready\. http://(127\.0\.0\.1:\d+)/v1\n", said)
            assert found, said
            connection = HTTPConnection(found[1], timeout=30)
            connection.request("GET", "/v1/models", headers={"Authorization": "Bearer sk-any"})
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            process.terminate()


def test_the_example_of_the_readme_passes(python: Path, tmp_path: Path) -> None:
    (example, _) = re.findall(r"^```python notest\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "test_example.py").write_text(example, "utf-8")
    said = run(python.with_name("pytest"), "--rootdir=.", folder=tmp_path)
    assert "1 passed" in said


@pytest.mark.parametrize("module", ["reviewstream_testbed", MOCK])
def test_a_command_explains_itself(python: Path, module: str) -> None:
    assert f"python -m {module}" in run(python, "-m", module, "--help")


def test_a_fixture_of_another_extra_names_it(python: Path, tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(kafka): pass")
    program = "import pytest, sys; sys.exit(pytest.main(['--rootdir=.']) != 1)"
    said = run(python, "-c", program, folder=tmp_path)
    assert re.search(r"confluent_kafka is not installed: pip install '.*\[servers\]'", said)


def test_without_extras_the_mock_endpoint_names_its_own(
    python: Path, testbed_wheel: Path, tmp_path: Path
) -> None:
    run(python, "-m", "venv", "--without-pip", tmp_path)
    bare = tmp_path / "bin" / "python"
    run(python, "-m", "pip", "--python", bare, "install", testbed_wheel, PIP_NO_COMPILE="1")
    assert "fetch" in run(bare, "-m", "reviewstream_testbed", "--help")
    said = refused(bare, "-m", MOCK, "--help")
    assert re.search(r"aiohttp is not installed: pip install '.*\[openai\]'", said)
