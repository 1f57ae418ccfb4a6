"""`reviewstream ledger`."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from reviewstream.adapters.sqlite.sqlite_ledger import SqliteLedger
from reviewstream.cli import main
from reviewstream.core.labelling.ports import LedgerArchive
from tests.contract.ledger_entries import entries, entry_of, key_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(file: Path) -> Iterator[LedgerArchive]:
    with closing(SqliteLedger(file)) as opened:
        opened.record({**entries(1, 2), key_of(3, model="[b]a", prompt_version=2): entry_of(3)})
        yield opened


def run(file: Path, *arguments: str) -> Result:
    options = ("-s", f"ledger.file={file}", "-s", "ledger.enabled=true")
    return CliRunner().invoke(main, ["ledger", *arguments, *options])


@pytest.mark.usefixtures("ledger")
def test_the_labels_are_counted_by_model_and_prompt(file: Path) -> None:
    shown = run(file, "stats")
    assert shown.exit_code == 0
    assert "3 labels" in shown.output
    assert "[b]a" in shown.output
    answer = json.loads(run(file, "stats", "--json").stdout)
    assert answer["labels"] == 3
    assert [one["labels"] for one in answer["by_model"]] == [1, 2]
    assert answer["by_model"][0] == {
        "model": "[b]a",
        "prompt_version": 2,
        "labels": 1,
        "prompt_tokens": 103,
        "completion_tokens": 3,
        "cost_micro_usd": 3 << 33,
        "oldest": "2026-11-22T12:30:15.126000Z",
        "newest": "2026-11-22T12:30:15.126000Z",
    }


def test_an_empty_ledger_is_shown_too(file: Path) -> None:
    assert "0 labels" in run(file, "stats").output


def test_an_export_is_imported_elsewhere(ledger: LedgerArchive, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    assert json.loads(run(file, "export", str(copy), "--json").stdout) == {"exported": 3}
    assert run(file, "export").stdout_bytes == copy.read_bytes()
    other = tmp_path / "other.sqlite3"
    assert "3 labels imported." in run(other, "import", str(copy)).output
    with closing(SqliteLedger(other)) as opened:
        assert dict(opened.entries()) == dict(ledger.entries())


def test_a_file_that_is_no_export_is_one_sentence(file: Path, tmp_path: Path) -> None:
    (other := tmp_path / "other").write_text("hello\n")
    result = run(file, "import", str(other))
    assert result.exit_code == 2
    assert f"{other}, line 1 is not of an exported ledger" in result.output


def test_labels_are_forgotten_by_age_model_and_prompt(ledger: LedgerArchive, file: Path) -> None:
    def pruned(*options: str) -> object:
        return json.loads(run(file, "prune", "--json", *options).stdout)

    assert pruned("--older-than", "1e9") == {"forgotten": 0}
    assert pruned("--model", "m", "--prompt-version", "2") == {"forgotten": 0}
    assert pruned("--prompt-version", "2") == {"forgotten": 1}
    assert dict(ledger.entries()) == entries(1, 2)
    old, far = datetime(2020, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
    late = {key_of(5): structs.replace(entry_of(5), labelled_at=far)}
    ledger.record({key_of(4): structs.replace(entry_of(4), labelled_at=old), **late})
    assert pruned("--older-than", "2.5", "--model", "m", "--prompt-version", "1") != {
        "forgotten": 0
    }
    assert ledger.find([key_of(4), key_of(5)]) == late


def test_pruning_everything_by_mistake_is_a_usage_error(ledger: LedgerArchive, file: Path) -> None:
    result = run(file, "prune")
    assert result.exit_code == 2
    assert "--older-than" in result.output
    assert len(list(ledger.entries())) == 3


def test_a_ledger_that_is_switched_off_is_said_to_be(file: Path) -> None:
    result = CliRunner().invoke(main, ["ledger", "stats", "-s", "ledger.enabled=false"])
    assert result.exit_code == 2
    assert "switched off: ledger.enabled (REVIEWSTREAM_LEDGER__ENABLED)" in result.output
    assert not file.exists()


@pytest.mark.parametrize("url", ["http://x", "redis://:secret@h:port", "hello"])
def test_a_url_that_is_not_redis_s_is_one_sentence_without_the_secret(url: str) -> None:
    options = ("-s", f"ledger.url={url}", "-s", "ledger.enabled=true")
    result = CliRunner().invoke(main, ["ledger", "stats", *options])
    assert result.exit_code == 2
    assert "ledger.url (REVIEWSTREAM_LEDGER_URL): expected redis://" in result.output
    assert "secret" not in result.output


@pytest.mark.usefixtures("ledger")
def test_a_model_of_no_label_is_told_with_those_that_there_are(file: Path) -> None:
    assert "There are labels of [b]a, m." in run(file, "prune", "--model", "gpt").output
    assert "There are" not in run(file, "prune", "--model", "m", "--prompt-version", "9").output


def test_the_name_of_a_model_is_shown_whole_in_a_narrow_terminal(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "some-model-with-a-long-name at 127.0.0.1:8089"
    with closing(SqliteLedger(file)) as opened:
        opened.record({key_of(1, model=name): entry_of(1)})
    monkeypatch.setenv("COLUMNS", "80")
    rows = [line.split("│") for line in run(file, "stats").output.splitlines() if "│" in line]
    assert "".join("".join(row[1] for row in rows).split()) == "".join(name.split())
