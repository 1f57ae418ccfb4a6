"""The mock endpoint's pure parts: whatever is asked, it answers or refuses."""

import json
import re
from collections import Counter
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream_testbed.mock_openai.answering import JUDGES, Judge, answer_of
from reviewstream_testbed.mock_openai.error_bodies import ApiError
from reviewstream_testbed.mock_openai.fault_kinds import KINDS
from reviewstream_testbed.mock_openai.prompt_reviews import PromptReview, count_tokens, reviews_of
from reviewstream_testbed.mock_openai.schema_faker import Judged, is_followed, written
from reviewstream_testbed.mock_openai.scorers import Opinion, by_hash, by_lexicon
from reviewstream_testbed.mock_openai.script import Script, ScriptedFault, error_of, fault_of
from reviewstream_testbed.mock_openai.validation import PARAMETERS, check_request
from tests.contract.openai_http import SCHEMA

words = st.sampled_from(
    ["type", "object", "array", "string", "properties", "items", "required", "enum", "$ref", "#"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
schemas = st.recursive(
    st.booleans() | st.sampled_from([{"type": kind} for kind in ("string", "number", "integer")]),
    lambda inner: (
        st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=2)})
        | st.fixed_dictionaries({"enum": st.lists(values, max_size=2)})
        | st.fixed_dictionaries({"$ref": st.sampled_from(["#", "#/nothing", "http://x.test/"])})
        | st.dictionaries(st.sampled_from(["id", "a"]), inner, max_size=2).map(
            lambda parts: {
                "type": "object",
                "properties": parts,
                "required": list(parts),
                "additionalProperties": False,
            }
        )
    ),
    max_leaves=5,
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.just("user"), "content": st.text(max_size=20)}), min_size=1
)


def _ask(body: Any) -> str | None:
    try:
        asked = check_request(body)
        return answer_of(asked, reviews_of(asked["messages"]), JUDGES["lexicon"])
    except ApiError as err:
        json.dumps(err.body())
        return None


def _asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@given(st.dictionaries(st.sampled_from(list(PARAMETERS)), values) | values)
def test_any_body_is_refused_or_answered(body: Any) -> None:
    _ask(body)


@given(messages, st.dictionaries(st.sampled_from(sorted(PARAMETERS.keys() - {"model"})), values))
def test_any_parameters_beside_good_messages_are_refused_or_answered(
    asked: list[dict[str, str]], more: dict[str, Any]
) -> None:
    _ask({"model": "gpt-4o", **more, "messages": asked})


@given(messages, schemas, st.booleans())
@example(_asking("x"), {"type": "string", "pattern": "("}, False)  # noqa: FBT003 - positional to match
@example(_asking("x"), {"type": "object", "properties": {"a": {"$ref": "#"}}}, False)  # noqa: FBT003 - likewise
def test_an_answer_follows_the_schema_or_there_is_none(
    asked: list[dict[str, str]],
    schema: Any,
    is_strict: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    wanted = {"name": "x", "strict": is_strict, "schema": schema}
    answer = _ask(
        {
            "model": "gpt-4o",
            "messages": asked,
            "response_format": {"type": "json_schema", "json_schema": wanted},
        }
    )
    if answer is not None:
        jsonschema.validate(json.loads(answer), schema)


remarks = st.dictionaries(st.sampled_from(["description", "title"]), st.text(max_size=3))
plain = st.recursive(
    st.sampled_from([{"type": kind} for kind in ("string", "number", "integer", "boolean", "null")])
    | st.fixed_dictionaries(
        {"type": st.just("string"), "enum": st.lists(st.text(max_size=8), min_size=1, max_size=3)}
    ),
    lambda inner: (
        st.builds(lambda items, more: {"type": "array", "items": items, **more}, inner, remarks)
        | st.builds(
            lambda parts, more: {
                "type": "object",
                "properties": parts,
                "required": list(parts),
                "additionalProperties": False,
                **more,
            },
            st.dictionaries(st.sampled_from(["id", "a", "labels"]), inner, max_size=3),
            remarks,
        )
    ),
    max_leaves=6,
)
opinions = st.text(max_size=20).map(by_hash)


@given(plain | schemas | values, st.lists(st.builds(Judged, st.text(max_size=3), opinions)))
def test_a_schema_that_is_followed_unseen_is_followed(schema: Any, reviews: list[Judged]) -> None:
    if is_followed(schema):
        jsonschema.validate(written(schema, reviews), schema)


def test_the_schema_of_our_contracts_is_followed_unseen() -> None:
    assert is_followed(SCHEMA)


@given(plain)
def test_a_plain_schema_is_followed_unseen(schema: Any) -> None:
    assert is_followed(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^x"},
        {"type": "string", "enum": ["x", 1]},
        {"type": "string", "enum": []},
        {"type": "number", "minimum": 2},
        {"type": "array", "items": {"type": "string"}, "maxItems": 0},
        {"type": "object", "properties": {}, "required": ["x"]},
        {"type": "object", "properties": {"x": {"type": "sting"}}, "required": []},
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}]},
        True,
    ],
    ids=str,
)
def test_any_other_schema_is_looked_at(schema: Any) -> None:
    assert not is_followed(schema)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_reviews_in_the_known_format_are_found(reviews: list[tuple[str, str]]) -> None:
    text = json.dumps({"reviews": [{"id": name, "text": text} for name, text in reviews]})
    system = {"role": "system", "content": text}
    assert reviews_of([system, *_asking("earlier"), *_asking(text)]) == reviews


@given(st.text())
@example("[" * 100_000)
@example('{"reviews": {"id": 1}}')
@example('{"reviews": [{"id": 1}]}')
def test_any_other_message_is_one_review(text: str) -> None:
    assert reviews_of(_asking(text)) == [PromptReview("0", text)]


@pytest.mark.parametrize(
    ("text", "opinion"),
    [
        ("I love it!", Opinion("POSITIVE", 0.83)),
        ("I hate it!", Opinion("NEGATIVE", 0.81)),
        ("the chair", Opinion("NEUTRAL", 1.0)),
        ("", Opinion("NEUTRAL", 1.0)),
    ],
)
def test_a_lexicons_opinion_depends_on_the_text(text: str, opinion: Opinion) -> None:
    assert by_lexicon(text) == opinion


@pytest.mark.parametrize("judge", JUDGES.values())
@given(st.text() | st.characters(categories=["Cs"]))
def test_an_opinion_is_always_the_same_and_sure_from_0_to_1(judge: Judge, text: str) -> None:
    (opinion,) = judge([PromptReview("a", text)])
    assert [opinion] == judge([PromptReview("b", text)])
    assert opinion.sentiment in {"POSITIVE", "NEUTRAL", "NEGATIVE"}
    assert 0 <= opinion.confidence <= 1


def test_a_checksums_opinions_are_evenly_spread() -> None:
    found = Counter(by_hash(f"review {number}").sentiment for number in range(3_000))
    assert sorted(found) == ["NEGATIVE", "NEUTRAL", "POSITIVE"]
    assert min(found.values()) > 800


def test_a_long_text_is_judged_by_its_beginning_and_in_no_time() -> None:
    assert by_lexicon("awful " * 10_000 + "lovely " * 10_000).sentiment == "NEGATIVE"


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é€", 2)]
)
def test_a_token_is_four_bytes(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fault_can_be_scripted(kind: str) -> None:
    fault = Script({"sequence": [kind]}).next("")
    assert fault is not None
    assert fault.kind == kind
    error = error_of(fault, clock=0.0)
    assert (error is not None) == (KINDS[kind].error is not None)
    named = re.search(r"\b\d{3}\b", kind.replace("_", " "))
    if error is not None and named:
        assert error.status == int(named[0])


def test_what_a_skewed_clock_asks_for_is_right_by_the_same_clock() -> None:
    fault = ScriptedFault("skewed_429", retry_after=5, skew=-7200)
    error = error_of(fault, clock=1_795_348_800.0)
    assert error is not None
    assert error.headers == {
        "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
        "Retry-After": "Sun, 22 Nov 2026 10:00:05 GMT",
    }


def test_a_date_in_the_past_is_told() -> None:
    error = error_of(ScriptedFault("past_429"), clock=1_795_348_800.0)
    assert error is not None
    assert error.headers == {"Retry-After": "Sun, 22 Nov 2026 11:00:00 GMT"}


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("sneeze", "there is no fault 'sneeze'; there are ok, 400"),
        ({"seconds": 1}, "there is no fault 'None'"),
        ({"kind": "slow", "hours": 1}, "fault 'slow' has no field 'hours' .it has seconds"),
        ({"kind": "hang", "seconds": 1}, "fault 'hang' has no field 'seconds'"),
        ({"kind": "slow", "seconds": "1"}, "fault 'slow': seconds is '1'"),
        ({"kind": "slow", "seconds": True}, "fault 'slow': seconds is True"),
        ({"kind": "500", "should_retry": "no"}, "fault '500': should_retry is 'no'"),
    ],
)
def test_a_fault_that_there_is_not_is_refused(item: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fault_of(item)


@given(st.integers(), st.integers(0, 30))
def test_the_same_seed_gives_the_same_faults(seed: int, count: int) -> None:
    script = {"rate": 0.5, "faults": ["500", "hang"], "seed": seed}
    one, other = Script(script), Script(script)
    assert [one.next("") for _ in range(count)] == [other.next("") for _ in range(count)]
