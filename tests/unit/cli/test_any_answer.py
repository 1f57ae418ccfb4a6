"""Servers that answer anything: each verb ends with one sentence and a documented exit code."""

import copy
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from reviewstream.cli import main
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.settings import KafkaSettings
from tests.unit.adapters.canned import Answer, Canned, canned
from tests.unit.cli.every_verb import CALLS, VERBS, World, check, leaves, topics_of, world
from tests.unit.cli.test_servers import REGISTERED, RUNNING, STATUS, VALIDATE
from tests.unit.core.rejects.test_replaying import Pipeline

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
LABELS = '{"labels":[{"id":"1","sentiment":"POSITIVE","confidence":0.9}]}'
LABELS_ANSWER = {
    "id": "q",
    "model": "m",
    "choices": [{"index": 0, "message": {"content": LABELS}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
DONE: Answer = (200, {"acknowledged": True})
GOOD: dict[str, Answer] = {
    **{asked: answer for asked, answer in REGISTERED.items() if isinstance(answer, tuple)},
    STATUS: RUNNING,
    VALIDATE: (200, {"configs": [{"value": {"name": "topics", "errors": ["odd"]}}]}),
    PUT: (201, {"tasks": []}),
    "GET /subjects": (200, ["s"]),
    "GET /schemas/ids/1": (200, {"schema": schema_text("labelled_review")}),
    "GET /schemas/ids/2": (200, {"schema": schema_text("rejected_review")}),
    "PUT /_index_template/reviews": DONE,
    "HEAD /_alias/reviews": (200, ""),
    "GET /reviews/_mapping": (200, {"reviews-v1": {"mappings": {"properties": {}}}}),
    "PUT /reviews-v1/_mapping": DONE,
    "POST /reviews/_refresh": DONE,
    "POST /reviews/_count": (200, {"count": 3}),
    "POST /reviews/_search": (200, SEARCHED),
    "POST /_search/scroll": (200, {**SEARCHED, "hits": {"hits": []}}),
    "DELETE /_search/scroll": DONE,
    "POST /v1/chat/completions": (200, LABELS_ANSWER),
}
SILENT = {("doctor",), ("run", "--once", "--no-setup")}  # they ask no server of these
ASKING = tuple(
    call
    for call in CALLS
    if call[0] not in {"demo", "ledger", "plan", "serve"} and call not in SILENT
)
TALKING = tuple(
    call
    for call in CALLS
    if call[0] in {"doctor", "ledger", "plan", "reconcile", "rejects", "relabel", "run"}
)
FIRST = {  # setting of the server that is asked first
    "connector": "connect.url",
    "schemas": "registry.url",
    "index": "elasticsearch.url",
    "search": "elasticsearch.url",
    "report": "elasticsearch.url",
    "evaluate": "elasticsearch.url",
    "reconcile": "registry.url",
    "relabel": "registry.url",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
HTML = b"<html>log in first</html>"
BODIES = (
    st.sampled_from([b"", HTML, b"\xff\xfe", b"[" * 2_000, b"1e999"])
    | st.binary(max_size=20)
    | JSON.map(lambda value: json.dumps(value).encode())
)
TYPES = st.sampled_from(["application/json", "text/html", "", "text/plain; charset=no", "x" * 99])
WEB = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 25\r\n\r\n" + HTML
WORDS = [b"", WEB, b"\xff" * 16, b"\0\0\0\x04\0\0\0\0", b"+OK\r\n", b"-ERR no\r\n", b"*-1\r\n"]
WORDS += [b"%1\r\n", b"$99999999999\r\nx", b"*99999999999\r\n", b"\x15\x03\x01\0\x02\x02\x28"]
PRODUCT = {"x-elastic-product": "Elasticsearch"}
EXAMPLES = int(os.environ.get("REVIEWSTREAM_TEST_EXAMPLES", "20"))  # a tenth of a second each
QUIETLY = settings(max_examples=EXAMPLES, deadline=None)
TOPICS = KafkaSettings()


@pytest.fixture(scope="module")
def server() -> Iterator[Canned]:
    with canned({}) as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("anything")) as place:
        yield place


def bed() -> Pipeline:
    """Return topics with a labelled review, a rejected line and one that may be sent again."""
    bed = Pipeline("a", "", "b").stream()
    bed.refuse(2)
    return bed


def ask(
    place: World,
    server: Canned,
    call: tuple[str, ...],
    *records: OutgoingRecord,
    words: bytes = b"",
) -> Result:
    """Run a verb that finds its topics in memory, and the server at every URL."""
    topics = bed()
    for record in records:
        topics.log.append(record)
    url = f"url={server.url}"
    urls = [f"{section}.{url}" for section in ("registry", "connect", "elasticsearch")]
    server.requests.clear()
    place.talker.words = words
    with pytest.MonkeyPatch.context() as patch:
        topics_of(topics, patch)
        return place.run(call, *urls, f"openai.base_url={server.url}/v1", "openai.pack=1")


def test_every_verb_is_driven() -> None:
    assert {*leaves(main)} == VERBS.keys()


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


@QUIETLY
@given(
    call=st.sampled_from(ASKING),
    answer=st.tuples(st.sampled_from([200, 201, 204, 302, 404, 500]), BODIES),
    kind=TYPES,
)
def test_any_answer_ends_in_a_sentence(
    call: tuple[str, ...], server: Canned, place: World, answer: Answer, kind: str
) -> None:
    server.headers = {**PRODUCT, "content-type": kind}
    server.answers = {**dict.fromkeys(GOOD, answer)}
    result = ask(place, server, call)
    check(result)
    assert "is ready" not in result.output


@QUIETLY
@given(call=st.sampled_from(ASKING), answers=spoiled())
def test_a_wrong_shape_at_any_depth_ends_in_a_sentence(
    call: tuple[str, ...], server: Canned, place: World, answers: dict[str, Answer]
) -> None:
    waits = call[0] == "run" or call[:2] == ("connector", "apply")  # for what these say
    assume(not waits or (answers[STATUS], answers[PUT]) == (RUNNING, GOOD[PUT]))
    server.headers, server.answers = PRODUCT, {**answers}
    check(ask(place, server, call))


@pytest.mark.parametrize("call", ASKING, ids=" ".join)
def test_an_answer_of_another_program_names_the_address_and_the_setting(
    call: tuple[str, ...], server: Canned, place: World
) -> None:
    server.headers = {**PRODUCT, "content-type": "application/json"}
    for body in (HTML, b"[]", b"{}", b"7", b"\xff\xfe"):
        server.answers = {**dict.fromkeys(GOOD, (200, body))}
        result = ask(place, server, call)
        check(result)
        is_plain = body == b"[]" and call[0] == "schemas"  # a registry may say so: no versions
        if call[0] in FIRST and not is_plain and server.requests:
            assert result.exit_code == 2, body
            assert server.url in result.stderr
            assert FIRST[call[0]] in result.stderr


@QUIETLY
@given(
    call=st.sampled_from(
        [call for call in TALKING if call[0] in {"reconcile", "rejects", "relabel"}]
    ),
    records=st.lists(
        st.builds(
            OutgoingRecord,
            topic=st.sampled_from(
                [TOPICS.labelled_topic, TOPICS.rejected_topic, TOPICS.dead_letter_topic]
            ),
            key=st.binary(max_size=9),
            value=st.none()
            | st.binary(max_size=60).map(b"\0\0\0\0\1".__add__)
            | st.binary(max_size=9),
            headers=st.lists(
                st.tuples(
                    st.text(max_size=9)
                    | st.sampled_from(["topic", "partition", "offset", "exception.class.name"]).map(
                        "__connect.errors.".__add__
                    ),
                    st.binary(max_size=9),
                )
            ).map(tuple),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_any_record_ends_in_a_sentence(
    call: tuple[str, ...], records: list[OutgoingRecord], server: Canned, place: World
) -> None:
    server.headers, server.answers = PRODUCT, {**GOOD}
    check(ask(place, server, call, *records))


def said(place: World, call: tuple[str, ...], words: bytes, *, first: bool) -> Result:
    """Run a verb for which broker, Redis and review server are one that says these words."""
    talker = place.talker
    talker.words, talker.is_first = words, first
    return place.run(call, f"ledger.url=redis://127.0.0.1:{place.port}/0", "ledger.timeout=0.2")


@QUIETLY
@given(
    call=st.sampled_from(TALKING),
    words=st.sampled_from(WORDS) | st.binary(max_size=60),
    first=st.booleans(),
)
@example(call=("ledger", "stats"), words=b"+OK\r\n", first=False)
@example(call=("ledger", "export", "OUT"), words=WEB, first=True)
@example(call=("plan", "FILE", "--budget-usd", "1", "--json"), words=b"%1\r\n", first=False)
@example(call=("rejects", "replay"), words=WEB, first=False)
@example(call=("relabel", "--prompt-version", "2"), words=b"\xff" * 16, first=True)
@example(call=("reconcile",), words=WEB, first=False)
@example(call=("doctor",), words=b"", first=False)
def test_any_words_end_in_a_sentence(
    call: tuple[str, ...], words: bytes, first: Any, place: World
) -> None:
    check(said(place, call, words, first=first))
