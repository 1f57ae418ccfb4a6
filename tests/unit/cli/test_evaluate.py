"""`reviewstream evaluate`, on a canned index and on files."""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reviewstream.cli import main
from reviewstream.extras import install_command
from tests.contract.search_index import document
from tests.unit.adapters.canned import Canned, canned

PRODUCT = {"x-elastic-product": "Elasticsearch"}
SEARCH = "POST /reviews/_search"


def run(server: Canned | None, *arguments: str) -> Any:
    url = [] if server is None else ["-s", f"elasticsearch.url={server.url}"]
    return CliRunner().invoke(main, ["evaluate", *arguments, *url], env={"COLUMNS": "200"})


def bucket(key: object, documents: int = 0, **inner: Any) -> dict[str, Any]:
    return {"key": key, "doc_count": documents} | {
        name: {"buckets": buckets} for name, buckets in inner.items()
    }


def labels(**documents: int) -> list[dict[str, Any]]:
    return [bucket(name, count) for name, count in documents.items()]


def answer(*months: dict[str, Any]) -> dict[str, Any]:
    body = {"hits": {"total": {"value": 1}}, "aggregations": {"month": {"buckets": list(months)}}}
    return {SEARCH: (200, body)}


JANUARY = bucket(
    0,
    key_as_string="2020-01",
    stars=[
        bucket(5.0, sentiment=labels(POSITIVE=3)),
        bucket(1.5, sentiment=labels(NEGATIVE=2, POSITIVE=1)),
    ],
) | {"key_as_string": "2020-01"}
FEBRUARY = bucket(1, stars=[bucket(3.0, sentiment=labels(NEUTRAL=4))]) | {
    "key_as_string": "2020-02"
}


def write(path: Path, *entries: Any) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in entries))
    return str(path)


def test_the_index_is_compared_with_its_stars() -> None:
    with canned(answer(JANUARY, FEBRUARY), PRODUCT) as server:
        result = run(server, "--json")
        asked = json.loads(server.requests[0][2])
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert (body["documents"], body["against"], body["missing"]) == (10, "stars", 0)
    assert body["accuracy"] == pytest.approx(0.9)
    assert body["kappa"] == pytest.approx((0.9 - 0.34) / 0.66)
    assert body["matrix"]["NEGATIVE"] == {"POSITIVE": 1, "NEUTRAL": 0, "NEGATIVE": 2}
    assert [one["month"] for one in body["by_month"]] == ["2020-01", "2020-02"]
    assert body["by_month"][1] == {
        "month": "2020-02",
        "documents": 4,
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "kappa": None,
    }
    assert asked["query"] == {"bool": {"filter": []}}


def test_labels_of_one_prompt_version_can_be_chosen() -> None:
    with canned(answer(FEBRUARY), PRODUCT) as server:
        run(server, "--prompt-version", "2")
        asked = json.loads(server.requests[0][2])
    assert asked["query"]["bool"]["filter"] == [{"term": {"provenance.prompt_version": 2}}]


def test_a_person_sees_the_matrix_the_scores_and_the_months() -> None:
    with canned(answer(JANUARY, FEBRUARY), PRODUCT) as server:
        out = run(server).stdout
        months = run(server, "--by", "month").stdout
    assert "10 labels against the stars: accuracy 90.0%, macro F1 0.886, Cohen's kappa 0.848" in out
    assert "│ negative │        1 │       0 │        2 │" in out
    assert "│ 2020 │     10 │    90.0% │    0.886 │ 0.848 │" in out
    assert "│ 2020-02 │      4 │   100.0% │    1.000 │       │" in months


def test_of_one_sentiment_alone_it_is_said_that_this_says_little() -> None:
    with canned(answer(FEBRUARY), PRODUCT) as server:
        out = run(server).stdout
    assert "All are expected to be alike, and are labelled so" in out
    assert "nan" not in out


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    plot = tmp_path / "agreement.png"
    with canned(answer(JANUARY, FEBRUARY), PRODUCT) as server:
        result = run(server, "--plot", str(plot))
    assert result.exit_code == 0, result.output
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_labels_come_from_a_file_packed_or_not(tmp_path: Path) -> None:
    plain = write(tmp_path / "x.jsonl", document("a"), document("b", stars=1.0))
    packed = tmp_path / "x.jsonl.gz"
    packed.write_bytes(gzip.compress(Path(plain).read_bytes()))
    for path in (plain, str(packed)):
        result = run(None, "--file", path, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["accuracy"] == 0.5


def test_given_labels_are_compared_with_the_index(tmp_path: Path) -> None:
    gold = [{"review_id": name, "sentiment": "POSITIVE"} for name in ("a", "b")]
    path = write(tmp_path / "gold.jsonl", *gold)
    hits = [{"_id": "a", "_source": {"sentiment": "NEGATIVE", "written_at": 0}}]
    with canned({SEARCH: (200, {"hits": {"hits": hits}})}, PRODUCT) as server:
        out = run(server, "--file", path).stdout
        asked = json.loads(server.requests[0][2])
    assert "1 labels against the labels given: accuracy 0.0%" in out
    assert "1 reviews of the file are not in the index." in out
    assert asked["query"]["bool"]["filter"] == [{"terms": {"review_id": ["a", "b"]}}]


def _complaint(result: Any) -> str:
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("reviewstream: ")]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.output
    return str(lines[0])


def test_an_index_without_documents_is_one_sentence() -> None:
    with canned(answer(), PRODUCT) as server:
        assert "the index has no such labels" in _complaint(run(server))


def test_a_file_without_labels_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.jsonl")
    assert f"{path} has no labels" in _complaint(run(None, "--file", path))


def test_a_file_that_is_not_there_is_one_sentence() -> None:
    assert "no such file: none.jsonl" in _complaint(run(None, "--file", "none.jsonl"))


def test_labels_for_other_reviews_than_those_of_the_index_are_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "gold.jsonl", {"review_id": "a", "sentiment": "NEUTRAL"})
    with canned({SEARCH: (200, {"hits": {"hits": []}})}, PRODUCT) as server:
        assert f"none of the 1 reviews in {path} is in the index" in _complaint(
            run(server, "--file", path)
        )


def test_a_version_of_a_file_is_a_usage_error(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", document("a"))
    result = run(None, "--file", path, "--prompt-version", "1")
    assert result.exit_code == 2
    assert "leave out --file" in result.output


@pytest.mark.parametrize(
    ("module", "arguments"), [("sklearn", []), ("matplotlib", ["--plot", "x.png"])]
)
def test_without_the_extra_it_is_said_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, arguments: list[str]
) -> None:
    for name in [one for one in sys.modules if one.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("scores", "plots"):
        monkeypatch.delitem(sys.modules, f"reviewstream.adapters.{name}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    path = write(tmp_path / "x.jsonl", document("a"))
    said = _complaint(run(None, "--file", path, *arguments))
    assert said.endswith(f"is not installed: {install_command('evaluate')}")
