"""Servers that answer anything: each verb ends with one sentence and a documented exit code."""

import copy
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reviewstream.cli import main
from tests.unit.adapters.canned import Answer, Canned, canned
from tests.unit.cli.test_servers import REGISTERED, RUNNING, STATUS, VALIDATE

CODES = {0, 1, 2, 3}
CONNECTOR = "reviews-elasticsearch"
PUT = f"PUT /connectors/{CONNECTOR}/config"
BY = {"sentiment": {"buckets": [{"key": "POSITIVE", "doc_count": 3}]}}
HIT = {
    "_id": "a",
    "_version": 1,
    "_score": 1.0,
    "_source": {"sentiment": "POSITIVE", "written_at": 0, "stars": 4.0, "text": "fine"},
    "highlight": {"text": ["fine"]},
}
SEARCHED: dict[str, Any] = {
    "_scroll_id": "s",
    "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
    "hits": {"total": {"value": 1}, "hits": [HIT]},
    "aggregations": {
        "sentiment": {"buckets": [{"key": "POSITIVE", "doc_count": 3}]},
        "agreement": {"buckets": {"POSITIVE": {"doc_count": 2}}},
        "stars": {"buckets": [{"key": 4.5, "doc_count": 3, **BY}]},
        "business": {"buckets": [{"key": "b", "doc_count": 3, **BY}]},
        "month": {
            "buckets": [
                {
                    "key": 0,
                    "key_as_string": "2020-01",
                    "doc_count": 3,
                    "stars": {"buckets": [{"key": 4.5, "doc_count": 3, **BY}]},
                    **BY,
                }
            ]
        },
    },
}
DONE: Answer = (200, {"acknowledged": True})
GOOD: dict[str, Answer] = {
    **{asked: answer for asked, answer in REGISTERED.items() if isinstance(answer, tuple)},
    STATUS: RUNNING,
    VALIDATE: (200, {"configs": [{"value": {"name": "topics", "errors": ["odd"]}}]}),
    PUT: (201, {"tasks": []}),
    "GET /subjects": (200, ["s"]),
    "PUT /_index_template/reviews": DONE,
    "HEAD /_alias/reviews": (200, ""),
    "GET /reviews/_mapping": (200, {"reviews-v1": {"mappings": {"properties": {}}}}),
    "PUT /reviews-v1/_mapping": DONE,
    "POST /reviews/_count": (200, {"count": 3}),
    "POST /reviews/_search": (200, SEARCHED),
}
VERBS = (
    ("connector", "status"),
    ("connector", "validate"),
    ("connector", "apply"),
    ("connector", "pause"),
    ("connector", "restart", "--json"),
    ("schemas", "register"),
    ("schemas", "check"),
    ("schemas", "show", "--json"),
    ("schemas", "diff", "labelled_review", "registry:reviews.labelled-value"),
    ("index", "setup"),
    ("index", "setup", "--json"),
    ("search", "fine"),
    ("search", "fine", "--json"),
    ("report",),
    ("evaluate", "--json"),
    ("evaluate", "--file", "GOLD"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
BODIES = (
    st.sampled_from([b"", b"<html>log in first</html>", b"\xff\xfe", b"[" * 2_000, b"1e999"])
    | st.binary(max_size=20)
    | JSON.map(lambda value: json.dumps(value).encode())
)
TYPES = st.sampled_from(["application/json", "text/html", "", "text/plain; charset=no", "x" * 99])


@pytest.fixture(scope="module")
def server() -> Iterator[Canned]:
    with canned({}) as server:
        yield server


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("gold") / "gold.jsonl"
    file.write_text('{"review_id":"a","sentiment":"POSITIVE"}\n')
    return str(file)


def run(server: Canned, gold: str, verb: tuple[str, ...]) -> Result:
    arguments = [gold if each == "GOLD" else each for each in verb]
    urls = [f"{section}.url={server.url}" for section in ("registry", "connect", "elasticsearch")]
    options = [option for url in urls for option in ("-s", url)]
    server.requests.clear()
    return CliRunner().invoke(main, [*arguments, *options])


def check(result: Result) -> None:
    """Only what ends by itself ends in a sentence; anything else would be a traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in CODES
    if result.exit_code == 2:
        *_, last = result.stderr.splitlines()
        assert last.startswith("reviewstream: ")
        assert len(last) < 2_000


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(child, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copied = copy.copy(value)
    copied[path[0]] = replaced(value[path[0]], path[1:], other)
    return copied


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Answer]:
    """Draw good answers, one of them with another value somewhere."""
    asked = draw(st.sampled_from(sorted(GOOD)))
    status, body = GOOD[asked]
    path = draw(st.sampled_from(sorted(places(body), key=repr)))
    return {**GOOD, asked: (status, replaced(body, path, draw(JSON)))}


PRODUCT = {"x-elastic-product": "Elasticsearch"}
EXAMPLES = int(os.environ.get("REVIEWSTREAM_TEST_EXAMPLES", "30"))  # a tenth of a second each
SLOW = {HealthCheck.too_slow, HealthCheck.function_scoped_fixture}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(
    verb=st.sampled_from(VERBS),
    answer=st.tuples(st.sampled_from([200, 201, 204, 302, 404, 500]), BODIES),
    kind=TYPES,
)
def test_any_answer_ends_in_a_sentence(
    verb: tuple[str, ...], server: Canned, gold: str, answer: Answer, kind: str
) -> None:
    server.headers = {**PRODUCT, "content-type": kind}
    server.answers = {**dict.fromkeys(GOOD, answer)}
    result = run(server, gold, verb)
    check(result)
    assert "is ready" not in result.output


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
@given(verb=st.sampled_from(VERBS), answers=spoiled())
def test_a_wrong_shape_at_any_depth_ends_in_a_sentence(
    verb: tuple[str, ...], server: Canned, gold: str, answers: dict[str, Answer]
) -> None:
    is_apply = verb == ("connector", "apply")  # which waits for what these say
    assume(not is_apply or (answers[STATUS], answers[PUT]) == (RUNNING, GOOD[PUT]))
    server.headers, server.answers = PRODUCT, {**answers}
    check(run(server, gold, verb))


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("body", [b"<html>log in first</html>", b"[]", b"{}", b"7", b"\xff\xfe"])
def test_an_answer_of_another_program_names_the_address_and_the_setting(
    verb: tuple[str, ...], body: bytes, server: Canned, gold: str
) -> None:
    server.headers = {**PRODUCT, "content-type": "application/json"}
    server.answers = {**dict.fromkeys(GOOD, (200, body))}
    if (body, verb[0]) == (b"[]", "schemas"):
        return  # subjects without a version: a registry may say so
    result = run(server, gold, verb)
    assert result.exit_code == 2
    assert server.url in result.stderr
    setting = {"connector": "connect.url", "schemas": "registry.url"}
    assert setting.get(verb[0], "elasticsearch.url") in result.stderr
