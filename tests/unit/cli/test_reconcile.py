"""`reviewstream reconcile` says what does not add up, and ends as it should."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reviewstream import app
from reviewstream.adapters.tcp.log_server import serving
from reviewstream.cli import main
from reviewstream.cli.reconcile import IndexSettling
from reviewstream.core.records.parsing import to_line
from tests.unit.core.reconcile.test_reconciliation import Bed, review

LINE = len(to_line(review("r000"))) + 1


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    """Topics and an index in memory; what the command opens leads to them."""
    bed = Bed(*(f"r{number:03}" for number in range(300)))
    bed.stride = LINE
    monkeypatch.setattr(app, "open_log", lambda _: bed.log)
    monkeypatch.setattr(app, "open_registry", lambda _: bed.registry)
    monkeypatch.setattr(app, "open_index", lambda _: bed.index)
    return bed


@pytest.fixture
def file(tmp_path: Path, bed: Bed) -> Path:
    file = tmp_path / "review.json"
    file.write_bytes(b"".join(to_line(review(name)) + b"\n" for name in bed.ids.values()))
    return file


def reconcile(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["reconcile", "--progress", "none", *map(str, arguments)])


def test_what_adds_up_is_said_and_ends_with_0(bed: Bed, file: Path) -> None:
    bed.stream()
    result = reconcile(file)
    assert result.exit_code == 0, result.output
    assert "Everything adds up." in result.stdout
    found = json.loads(reconcile(file, "--json").stdout)
    assert found["adds_up"] is True
    assert found["source"] == {"name": "review.json", "lines": 300, "blank": 0, "reviews": 300}
    assert found["labelled"]["reviews"] == found["documents"] == 300
    assert found["named"] == []


def test_what_does_not_add_up_is_named_and_ends_with_1(bed: Bed, file: Path) -> None:
    for number in range(1, 300):
        bed.label(number, indexed=number > 1)
    result = reconcile(file)
    assert result.exit_code == 1
    assert "1 lines are on no topic: r000\n" in result.stdout
    assert "1 reviews are not in the index: r001\n" in result.stdout
    assert "It does not add up." in result.stdout


def test_a_hundred_are_named_and_all_are_in_the_file(bed: Bed, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.jsonl"
    result = reconcile(file, "--out", out)
    assert result.exit_code == 1
    assert "300 lines are on no topic: r000, r001" in " ".join(result.stdout.split())
    assert "r099 and 200 more" in " ".join(result.stdout.split())
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [each["id"] for each in found] == list(bed.ids.values())
    assert found[1] == {"stage": "topics", "fault": "missing", "id": "r001", "offset": LINE}
    bed.stream()
    assert reconcile(file, "--out", out).exit_code == 0
    assert out.read_text(encoding="utf-8") == ""


@pytest.fixture
def port(file: Path) -> Iterator[int]:
    with serving(file) as server:
        yield server.port


def test_without_a_file_the_review_server_is_asked(bed: Bed, port: int) -> None:
    bed.stream()
    result = reconcile("--json", "-s", f"source.port={port}")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["source"]["name"] == "review.json"


def test_a_file_that_was_served_by_another_name_is_found_by_it(bed: Bed, file: Path) -> None:
    bed.stream()
    found = json.loads(reconcile(file, "--name", "other", "--json").stdout)
    assert found["labelled"]["elsewhere"] == 300
    moved = file.rename(file.with_name("moved.json"))
    assert reconcile(moved, "--name", "review.json").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--name", "x"), "--member and --name go with a FILE"),
        (("--member", "x"), "--member and --name go with a FILE"),
        (("nowhere.json",), "no such file: nowhere.json"),
        (("-s", "source.port=1"), "start it with `reviewstream serve FILE --port 1`"),
    ],
)
@pytest.mark.usefixtures("bed")
def test_what_cannot_be_compared_is_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    result = reconcile(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_topic_that_is_not_there_is_one_sentence(bed: Bed, file: Path) -> None:
    bed.log.delete_topic("reviews.labelled")
    result = reconcile(file)
    assert result.exit_code == 2
    assert "reviewstream: topic reviews.labelled does not exist" in result.output


def test_patience_lasts_while_something_changes() -> None:
    counts = iter([1, 2, 3, 3, 3, 3])
    patience = IndexSettling(lambda: next(counts), 0.6)
    assert [patience() for _ in range(4)] == [True] * 4
    assert not patience()


def test_no_patience_asks_nobody() -> None:
    assert not IndexSettling(lambda: pytest.fail("asked"), 0)()
