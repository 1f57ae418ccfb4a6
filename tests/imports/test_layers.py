"""The map of the layers is kept: each planted violation is seen to fail, and by name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__", "java")
    for package in ("src/reviewstream", "testbed/reviewstream_testbed"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint_imports(folder: Path) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(str(folder / name) for name in ("src", "testbed"))
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache", "--config", str(folder / ".importlinter")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_code_keeps_every_contract(copy: Path) -> None:
    result = lint_imports(copy)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        (
            "core/records/parsing",
            "reviewstream.core.transport.framing",
            "Each folder of core imports only",
        ),
        (
            "core/labelling/labeller",
            "reviewstream.adapters.openai.chat_completions",
            "Each layer imports only those",
        ),
        ("samples/__init__", "reviewstream.adapters.system_clock", "Each layer imports only those"),
        ("adapters/system_clock", "reviewstream.testing", "Each layer imports only those below it"),
        ("app/__init__", "reviewstream.spark", "Each layer imports only those below it"),
        ("spark/session", "reviewstream.cli", "Each layer imports only those below it"),
        (
            "cli/serve",
            "reviewstream.adapters.files.review_files",
            "Only the composition root imports adapters",
        ),
        (
            "spark/sink",
            "reviewstream.adapters.kafka.record_sink",
            "Only the composition root imports adapters",
        ),
        (
            "testing/__init__",
            "reviewstream.adapters.system_clock",
            "Only the composition root imports",
        ),
        ("core/records/parsing", "os", "Core: no I/O, no clock, no chance"),
        ("core/transport/protocol", "socket", "Core: no I/O, no clock, no chance"),
        ("core/labelling/labeller", "random", "Core: no I/O, no clock, no chance"),
        ("core/delivery/avro", "pyarrow", "Core: no vendor"),
        ("settings", "openai", "Core: no vendor"),
        ("core/delivery/publishing", "reviewstream.settings", "Core: plain values, no settings"),
        ("adapters/system_clock", "openai", "One vendor, one package: OpenAI"),
        (
            "adapters/connect/connect_cluster",
            "confluent_kafka",
            "One vendor, few modules: Kafka and its registry",
        ),
        ("spark/session", "elasticsearch", "One vendor, one module: Elasticsearch"),
        ("adapters/kafka/record_sink", "httpx2", "HTTP only where the other side speaks it"),
        ("adapters/kafka/record_sink", "pyspark.sql", "One vendor, one package: Spark"),
        ("spark/session", "reviewstream_testbed", "Only the command line starts the testbed"),
    ],
)
def test_a_planted_import_is_refused(copy: Path, module: str, planted: str, contract: str) -> None:
    with (copy / f"src/reviewstream/{module}.py").open("a") as file:
        file.write(f"\nimport {planted}\n")
    result = lint_imports(copy)
    assert result.returncode != 0
    assert_broken(result.stdout, contract)


def test_the_testbed_may_not_import_what_it_tests(copy: Path) -> None:
    (copy / "testbed/reviewstream_testbed/planted.py").write_text("import reviewstream.core\n")
    assert_broken(lint_imports(copy).stdout, "The testbed imports nothing of what it tests")


def test_a_server_may_not_import_the_testbed_that_starts_it(copy: Path) -> None:
    with (copy / "testbed/reviewstream_testbed/services/kafka.py").open("a") as file:
        file.write("\nimport reviewstream_testbed.testbed\n")
    expected = "Each part of the testbed imports only those below it"
    assert_broken(lint_imports(copy).stdout, expected)


def test_a_module_without_a_layer_is_refused(copy: Path) -> None:
    (copy / "src/reviewstream/helpers.py").write_text('"""Nothing."""\n')
    result = lint_imports(copy)
    assert result.returncode != 0
    assert "helpers" in result.stdout + result.stderr


def assert_broken(output: str, contract: str) -> None:
    verdicts = [line for line in output.splitlines() if line.startswith(contract)]
    assert any(line.endswith("BROKEN") for line in verdicts), output
