"""What the documentation of the mock endpoint says: its code runs, and nothing is left out."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.mock_openai.__main__ import options, parser
from reviewstream_testbed.mock_openai.answering import JUDGES
from reviewstream_testbed.mock_openai.dialect_table import DIALECTS
from reviewstream_testbed.mock_openai.http_server import MockEndpoint
from reviewstream_testbed.mock_openai.mock_options import ROOM_OPTIONS, Options
from reviewstream_testbed.mock_openai.rate_limits import Limits
from tests.contract.openai_http import body_of, send

pytestmark = pytest.mark.model

DOCS = Path(__file__).parents[2] / "docs"
HOW_TO = (DOCS / "how-to" / "misbehaving-endpoint.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference" / "openai-endpoint.md").read_text(encoding="utf-8")
PATIENCE = 120  # seconds


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)


def _section(heading: str) -> str:
    return REFERENCE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def test_the_tests_that_are_shown_pass(tmp_path: Path) -> None:
    blocks = _blocks("python")
    for number, block in enumerate(blocks):
        (tmp_path / f"test_shown_{number}.py").write_text(block, encoding="utf-8")
    plugin = ["-p", "reviewstream_testbed.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, "."]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    shown = sum(block.count("\ndef test_") for block in blocks)
    assert f"{shown} passed" in done.stdout, done.stdout + done.stderr


def test_the_commands_that_are_shown_are_understood(endpoint: OpenAIEndpoint) -> None:
    lines = [shlex.split(line) for block in _blocks("sh") for line in block.splitlines()]
    asked = [line for line in lines if line[0] == "curl"]
    assert len(asked) >= 5
    for _, address, *flags in asked:
        body = json.loads(flags[1]) if flags else None
        assert send(endpoint, body, path=f"/{address.partition('/')[2]}").status == 200
    started = [line for line in lines if line[:2] == ["python", "-m"]]
    assert {line[2] for line in started} == {"reviewstream_testbed.mock_openai"}
    first, *recorded = [options(parser().parse_args(line[3:])) for line in started]
    assert first.limits == Limits(500)
    assert [one.recording.url for one in recorded if one.recording] == [
        "https://api.openai.com/v1",
        "",
    ]


def test_every_route_is_described() -> None:
    described = re.findall(r"^\| `(\w+) (/\S+)` \|", _section("Routes"), re.MULTILINE)
    router = MockEndpoint(Options()).application().router
    served = {
        (route.method, route.resource.canonical) for route in router.routes() if route.resource
    }
    served = {one for one in served if one[0] != "HEAD"}
    tenants = {(method, f"/tenants/{{tenant}}{path}") for method, path in described}
    assert {*described} | tenants == served


def test_every_flag_is_described() -> None:
    described = set(re.findall(r"`(--[\w-]+)`", _section("Command line")))
    flags = {one for action in parser()._actions for one in action.option_strings}
    assert described == {one for one in flags if one.startswith("--")} - {"--help"}


def test_every_limit_is_described() -> None:
    described = re.findall(r"^\| `(\w+)` \|", _section("Limits"), re.MULTILINE)
    assert tuple(described) == Limits._fields


def test_every_option_dialect_judge_and_field_of_the_bill_is_described(
    endpoint: OpenAIEndpoint,
) -> None:
    assert _rows("Options") == [*ROOM_OPTIONS]
    assert _rows("Judges") == [*JUDGES]
    assert _rows("Dialects") == [*DIALECTS] * 2  # what they do, and where it was read
    send(endpoint, body_of("x"))
    (entry,) = endpoint.bill()["entries"]
    assert {*re.findall(r"`(\w+)`", "".join(_cells("Bill")))} == entry.keys()


def test_every_manner_that_can_be_changed_is_described(endpoint: OpenAIEndpoint) -> None:
    refused = send(endpoint, {"dialect": "vllm", "x": 1}, path="/_mock/dialect").text
    for name in re.findall(r"\w+", refused.partition("these can: ")[2].partition('"')[0]):
        assert f"`{name}`" in _section("Dialects")


def _cells(heading: str) -> list[str]:
    return re.findall(r"^\| (`.+?`) \|", _section(heading), re.MULTILINE)


def _rows(heading: str) -> list[str]:
    return [cell.strip("`") for cell in _cells(heading)]


def test_every_count_is_described(endpoint: OpenAIEndpoint) -> None:
    rows = re.findall(r"^\| (`.+?`) \|", _section("Counts"), re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert described == endpoint.requests().keys()


def test_every_header_is_described(endpoint: OpenAIEndpoint) -> None:
    described = _section("Headers")
    endpoint.options(tell_limits=True)
    endpoint.fault({"kind": "500", "retry_after": 1, "should_retry": False})
    headers = {name.lower() for name in send(endpoint, body_of()).headers}
    for name in headers - {"content-type", "content-length", "date", "server", "connection"}:
        assert name.replace("-tokens", "-requests") in described
