"""Reviews in a terminal: found words are marked, and a review controls nothing."""

import io
import json
import unicodedata
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from reviewstream.cli import main
from reviewstream.cli.report import report_tables
from reviewstream.cli.search import hits_table
from reviewstream.core.index.ports import SearchHit
from reviewstream.core.index.searching import HIGHLIGHT, Found, Report, Row
from tests.contract.search_index import document
from tests.unit.adapters.canned import Canned, canned

PRODUCT = {"x-elastic-product": "Elasticsearch"}
SEARCH = "POST /reviews/_search"
HOSTILE = "\x1b]0;title\x07 \x1b[2J [bold]x[/bold] [link=http://evil]y[/link] \u202e\x9b31m \r\n"


def shown(*hits: SearchHit, total: int | None = None, colours: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=colours, width=200, highlight=False)
    console.print(hits_table(Found(total=len(hits) if total is None else total, hits=hits)))
    return out.getvalue()


def hit(text: str = "Fine.", *fragments: str, **changes: Any) -> SearchHit:
    return SearchHit(
        id="r1", score=1.0, document=document("r1", text=text, **changes), fragments=fragments
    )


def run(server: Canned, *arguments: str) -> Any:
    url = f"elasticsearch.url={server.url}"
    return CliRunner().invoke(main, [*arguments, "-s", url])


def answer(*hits: dict[str, Any]) -> dict[str, Any]:
    return {SEARCH: (200, {"hits": {"total": {"value": len(hits)}, "hits": list(hits)}})}


def test_a_hit_is_shown_with_its_label_stars_day_and_text() -> None:
    text = shown(hit())
    assert text.startswith("1 review\n")
    assert "POSITIVE  4.0 stars  2020-01-01  r1 of b1\nFine." in text


def test_the_number_of_hits_and_of_all_that_match_are_told_apart() -> None:
    assert shown(hit(), total=3).startswith("3 reviews, the best 1\n")
    assert shown().strip() == "0 reviews"


def test_found_words_are_marked() -> None:
    start, end = HIGHLIGHT
    text = shown(
        hit("", f"The {start}pizza{end} was great", f"more {start}pizza{end}"), colours=True
    )
    assert "The \x1b[1;7mpizza\x1b[0m was great … more \x1b[1;7mpizza\x1b[0m" in text


def test_of_a_long_text_the_beginning_is_shown() -> None:
    text = shown(hit("x" * 5_000))
    assert text.count("x") == 300
    assert "…" in text


def test_markup_in_a_review_is_text() -> None:
    assert "[bold]x[/bold] [link=http://evil]y[/link]" in shown(hit(HOSTILE))


@given(st.text() | st.text(alphabet="\x1b[]0;m\x07\x9b\r\n\t\u202e\u2066[/bold]"))
@example(HOSTILE)
@example("\x1b]8;;http://evil\x07here\x1b]8;;\x07")
def test_a_review_never_controls_the_terminal(text: str) -> None:
    start, end = HIGHLIGHT
    marked = f"{text}{start}{text}{end}{text}"
    fields = {"business_id": text, "sentiment": text, "stars": text, "written_at": text}
    out = shown(hit(text), hit("", marked, marked, **fields))
    harmful = {c for c in out if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs"}}
    assert harmful <= {"\n", "\u200c", "\u200d"}


def test_emoji_of_several_parts_stay_whole() -> None:
    family = "👨\u200d👩\u200d👧"
    assert family in shown(hit(family))


@pytest.mark.parametrize(
    ("written_at", "day"),
    [
        (0, "1970-01-01"),
        (-62_135_596_800_000, "0001-01-01"),
        (10**18, "1000000000000000000"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
        (None, "None"),
    ],
)
def test_a_time_is_shown_as_its_day(written_at: object, day: str) -> None:
    assert f"  {day}  " in shown(hit(written_at=written_at))


def test_each_option_is_a_condition() -> None:
    with canned(answer(), PRODUCT) as server:
        options = ["--business", "b", "--sentiment", "negative", "--limit", "3"]
        days = ["--from", "2020-01-01", "--to", "2020-02-01"]
        result = run(server, "search", "cold pizza", *options, *days)
        body = json.loads(server.requests[0][2])
    assert result.exit_code == 0, result.output
    assert body["size"] == 3
    assert body["query"]["bool"]["filter"] == [
        {"term": {"business_id": "b"}},
        {"term": {"sentiment": "NEGATIVE"}},
        {"range": {"written_at": {"gte": 1_577_836_800_000}}},
        {"range": {"written_at": {"lt": 1_580_601_600_000}}},
    ]


def test_as_json_the_marks_are_those_of_html_and_the_text_has_none() -> None:
    start, end = HIGHLIGHT
    found = {
        "_id": "r1",
        "_score": 1.5,
        "_source": document("r1"),
        "highlight": {"text": [f"a {start}fine{end} <script>place"]},
    }
    with canned(answer(found), PRODUCT) as server:
        result = run(server, "search", "fine", "--json")
    body = json.loads(result.stdout)
    assert body["total"] == 1
    assert body["hits"][0]["fragments"] == ["a <em>fine</em> &lt;script&gt;place"]
    assert body["hits"][0]["document"]["sentiment"] == "POSITIVE"


@pytest.mark.parametrize(
    "arguments", [["--sentiment", "MIXED"], ["--from", "1st"], ["--limit", "0"]]
)
def test_a_condition_that_makes_no_sense_is_a_usage_error(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["search", *arguments]).exit_code == 2


def test_an_index_that_is_away_is_one_sentence() -> None:
    result = CliRunner().invoke(main, ["search", "x", "-s", "elasticsearch.url=http://127.0.0.1:1"])
    assert result.exit_code == 2
    assert "Elasticsearch at http://127.0.0.1:1 cannot be reached" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_the_report_is_shown_as_tables_and_as_json() -> None:
    empty: dict[str, Any] = {"buckets": []}
    aggregations = {
        **dict.fromkeys(("sentiment", "stars", "month", "business"), empty),
        "agreement": {"buckets": {}},
    }
    body = {"hits": {"total": {"value": 0}, "hits": []}, "aggregations": aggregations}
    with canned({SEARCH: (200, body)}, PRODUCT) as server:
        shown = run(server, "report")
        as_json = json.loads(run(server, "report", "--json").stdout)
    assert shown.exit_code == 0
    assert shown.output.endswith("0 reviews\n")
    assert as_json["agreement"] is None
    assert as_json["sentiments"] == {"POSITIVE": 0, "NEUTRAL": 0, "NEGATIVE": 0}


def test_a_report_has_a_row_for_each_year_or_each_month() -> None:
    counts = {"POSITIVE": 2, "NEUTRAL": 0, "NEGATIVE": 0}
    names = ("2019-12", "2020-01", "2020-03", "10000-01")
    months = tuple(Row(key=month, documents=2, sentiments=counts) for month in names)
    found = Report(
        documents=8, sentiments={}, agreement=None, by_stars=(), by_month=months, businesses=()
    )

    def keys(by: str) -> list[list[str]]:
        out = io.StringIO()
        Console(file=out, width=200).print(report_tables(found, by))
        cells = [[cell.strip() for cell in line.split("│")] for line in out.getvalue().splitlines()]
        return [line[1:4] for line in cells if len(line) > 4]

    assert keys("year") == [["2019", "2", "2"], ["2020", "4", "4"], ["10000", "2", "2"]]
    assert [key for key, *_ in keys("month")] == [*names]


def test_a_report_may_be_of_one_business_and_of_some_days() -> None:
    empty: dict[str, Any] = {"buckets": []}
    aggregations = {
        **dict.fromkeys(("sentiment", "stars", "month", "business"), empty),
        "agreement": {"buckets": {}},
    }
    body = {"hits": {"total": {"value": 0}, "hits": []}, "aggregations": aggregations}
    with canned({SEARCH: (200, body)}, PRODUCT) as server:
        run(server, "report", "--business", "b", "--from", "1970-01-01")
        asked = json.loads(server.requests[0][2])
    assert asked["query"]["bool"]["filter"] == [
        {"term": {"business_id": "b"}},
        {"range": {"written_at": {"gte": 0}}},
    ]


def test_a_business_never_controls_the_terminal() -> None:
    counts = {"POSITIVE": 1, "NEUTRAL": 0, "NEGATIVE": 0}
    row = Row(key=HOSTILE, documents=1, sentiments=counts)
    found = Report(
        documents=1,
        sentiments=counts,
        agreement=1.0,
        by_stars=(row,),
        by_month=(row,),
        businesses=(row,),
    )
    out = io.StringIO()
    Console(file=out, width=200).print(report_tables(found, "month"))
    assert "1 reviews; 100% agree with their stars" in out.getvalue()
    assert "\x1b" not in out.getvalue()
    assert "[bold]x[/bold]" in out.getvalue()


def test_days_in_the_wrong_order_are_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["search", "--from", "2024-01-02", "--to", "2024-01-01"])
    assert result.exit_code == 2
    assert "--from 2024-01-02 is after --to 2024-01-01" in result.output
