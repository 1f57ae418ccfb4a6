"""`reviewstream schemas diff`: what it compares, what it says, how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reviewstream.cli import main
from reviewstream.core.schemas.schema_files import schema_text
from tests.contract.schema_pairs import B0, A, B, field, record
from tests.unit.adapters.canned import canned

TODAY = schema_text("labelled_review")


@pytest.fixture
def old(tmp_path: Path) -> str:
    return written(tmp_path / "old.avsc", record(A))


def written(path: Path, schema: str) -> str:
    path.write_text(schema, encoding="utf-8")
    return str(path)


def diff(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["schemas", "diff", *arguments])


def test_a_schema_against_itself_is_no_finding() -> None:
    result = diff("labelled_review", "labelled_review")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Nothing changed.",
        "Readers that have the old schema, of new records: fine.",
        "Readers that have the new schema, of old records: fine.",
        "Compatibility: FULL.",
    ]


def test_what_was_released_and_today_fit_each_other() -> None:
    assert diff("labelled_review@1", "labelled_review").exit_code == 0


def test_a_change_that_breaks_nobody_is_told_and_no_finding(old: str, tmp_path: Path) -> None:
    result = diff(old, written(tmp_path / "new.avsc", record(A, B0)))
    assert result.exit_code == 0
    assert result.stdout.startswith("$.b: added: long, default 0\n")


@pytest.mark.parametrize(
    ("new", "broken", "level"), [(record(A, B), 2, "FORWARD"), (record(), 1, "BACKWARD")]
)
def test_who_breaks_is_said_and_why(
    old: str, tmp_path: Path, new: str, broken: int, level: str
) -> None:
    result = diff(old, written(tmp_path / "new.avsc", new))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[-1] == f"Compatibility: {level}."
    at = next(number for number, line in enumerate(lines) if line.endswith("break."))
    assert at == broken
    assert lines[at + 1].endswith(": is not in the data and has no default")


def test_as_json_it_says_the_same(old: str, tmp_path: Path) -> None:
    new = written(tmp_path / "new.avsc", record(A, B))
    result = diff(old, new, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "old": old,
        "new": new,
        "level": "FORWARD",
        "changes": [{"path": "$.b", "kind": "added", "what": "added: long, no default"}],
        "old_readers": [],
        "new_readers": ["$.b: is not in the data and has no default"],
    }


def test_a_registered_version_can_be_compared() -> None:
    known = {"subject": "s-value", "id": 7, "version": 1, "schema": TODAY}
    answers = {
        "GET /subjects/s-value/versions": (200, [1]),
        "GET /subjects/s-value/versions/1": (200, known),
    }
    with canned({**answers}) as server:
        options = ["-s", f"registry.url={server.url}"]
        assert diff("registry:s-value", "labelled_review", *options).exit_code == 0
        assert diff("registry:s-value@1", "labelled_review", *options).exit_code == 0
        assert diff("registry:s-value@2", "labelled_review", *options).exit_code == 2


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("labelled_review@9", "labelled_review has no version 9; it has 1"),
        ("labeled_review", "expected an .avsc file, a schema of ours (labelled_review, "),
        (__file__, "is not an Avro schema: JSONDecodeError"),
    ],
)
def test_what_is_no_schema_is_one_sentence(reference: str, sentence: str) -> None:
    result = diff(reference, "labelled_review")
    assert result.exit_code == 2
    assert sentence in result.output
    assert len(result.output.splitlines()) == 1


def test_a_file_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.avsc").write_bytes(b"\xff\xfe")
    result = diff(str(tmp_path / "x.avsc"), "labelled_review")
    assert result.exit_code == 2
    assert "cannot be read ('utf-8' codec" in result.output


def test_one_schema_alone_is_a_usage_error() -> None:
    assert diff("labelled_review").exit_code == 2


def test_a_schema_never_controls_the_terminal(old: str, tmp_path: Path) -> None:
    hostile = record(A, field("int", "b\x1b[2J", aliases=["\x9b31m"]))
    result = diff(old, written(tmp_path / "new.avsc", hostile))
    assert "$.b [2J: added" in result.stdout
    assert not {"\x1b", "\x9b"} & set(result.stdout)
