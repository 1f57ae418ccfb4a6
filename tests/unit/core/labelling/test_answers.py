"""Answers: every label under its own id, or a reason why not."""

import json
import math
from time import perf_counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.labelling.answers import MAX_QUOTE, Label, read_answer
from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.records.outcomes import Ok, Rejected
from reviewstream.core.records.reviews import Reason, Sentiment

FINE = {"id": "0", "sentiment": "POSITIVE", "confidence": 0.9}

ids = st.lists(st.text(max_size=5), unique=True, max_size=6)
labels = st.builds(
    Label,
    sentiment=st.sampled_from(Sentiment),
    confidence=st.none() | st.floats(0, 1),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["labels", "id", "sentiment", "confidence"]), inner, max_size=4
        )
    ),
)


def _read(*items: Any, asked: tuple[str, ...] = ("0",)) -> object:
    return read_answer(ChatAnswer(text=json.dumps({"labels": items})), asked)


def _refused(answer: ChatAnswer, asked: tuple[str, ...] = ("0",)) -> Rejected:
    outcome = read_answer(answer, asked)
    assert isinstance(outcome, Rejected)
    return outcome


@given(st.data(), ids)
def test_a_right_answer_is_read_whatever_its_order(data: st.DataObject, asked: list[str]) -> None:
    expected = {name: data.draw(labels) for name in asked}
    items = [
        {"id": name, "sentiment": one.sentiment, "confidence": one.confidence}
        for name, one in expected.items()
    ]
    text = json.dumps({"labels": data.draw(st.permutations(items))})
    assert read_answer(ChatAnswer(text=text), asked) == Ok(expected)


def test_a_confidence_may_be_left_out() -> None:
    expected = Ok({"0": Label(sentiment=Sentiment.NEUTRAL)})
    assert _read({"id": "0", "sentiment": "NEUTRAL"}) == expected


fences = st.sampled_from(
    [
        "```json\n{}\n```",
        "```JSON\n{}\n```",
        "```\n{}\n```",
        "\n ```json\n{}\n ``` \n",
        "```json\r\n{}\r\n```",
        "```json\n{}```",
        "```{}```",
        "``` json {}```",
        "````json\n{}\n````",
        "~~~json\n{}\n~~~",
        "~~~~\n{}\n~~~~",
        "```json\n{}",
        "Here are the labels:\n\n```json\n{}\n```\nAnything else?",
        "```text\nnot this\n```\nbut\n```json\n{}\n```",
        "~~~\n```\nnot this\n```\n~~~\n~~~json\n{}\n~~~",
    ]
)
wrappings = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        [
            "",
            "\ufeff",
            " \n",
            "<think>\n</think>\n\n",
            "<think>\nThe user wants {}.\n</think>\n",
            "<think>a</think>b</think>",
            "thoughts that the chat template began</think>\n",
            "<thinking>```json\\n[]\\n```</thinking>",
        ]
    ),
    st.just("{}") | fences,
    st.sampled_from(
        ["", "\n", "<|im_end|>", "</s>", "\n<|eot_id|>\n", "<end_of_turn>\n", "</s></s><eos>"]
    ),
)


@given(wrappings, st.sampled_from(['{"labels": %s}', "%s", '{"labels": %s, "note": "x"}']))
@example("<think>{}</think>{}", "%s")
def test_an_answer_reads_the_same_in_every_wrapping(wrapping: str, form: str) -> None:
    bare = form % json.dumps([FINE, FINE | {"id": "1", "sentiment": "NEGATIVE"}])
    before, _, after = wrapping.rpartition("{}")
    text = f"{before}{bare}{after}"
    expected = {
        "0": Label(sentiment=Sentiment.POSITIVE, confidence=0.9),
        "1": Label(sentiment=Sentiment.NEGATIVE, confidence=0.9),
    }
    assert read_answer(ChatAnswer(text=text), ["0", "1"]) == Ok(expected)


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{}\n```\n```json\n{}\n```",
        "Here are the labels: {}",
        "{} {}",
        "{}</think>",
        "{}<|not closed",
        "{}<|two words|>",
        "{}|>",
        "```json\n{} and so on\n```",
        "```json\n7\n```",
        "<|im_end|>",
    ],
)
def test_an_answer_that_may_mean_two_things_is_refused(text: str) -> None:
    answer = ChatAnswer(text=text.replace("{}", json.dumps({"labels": [FINE]})))
    assert _refused(answer).reason is Reason.MODEL_BAD_ANSWER


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{n}",
        "```{n}",
        "{n}",
        "```json\n{n}\n```x",
        "{t}",
        "{s}",
        "{f}",
        "{m}",
        "{b}",
        "<think>{n}",
        "{o}",
    ],
)
def test_the_time_to_read_an_answer_grows_with_its_length_alone(text: str) -> None:
    fills = {
        "n": "\n", "t": "</think>", "s": "</s>", "f": "```json\n", "m": "<|", "b": "`", "o": '{"'
    }  # fmt: skip

    def seconds(size: int) -> float:
        filled = text
        for name, fill in fills.items():
            filled = filled.replace(f"{{{name}}}", fill * (size // len(fill)))
        times = []
        for _ in range(3):
            began = perf_counter()
            read_answer(ChatAnswer(text=filled), ["0"])
            times.append(perf_counter() - began)
        return min(times)

    assert seconds(1_000_000) < 2_000 * seconds(10_000)  # 10,000 times if it were quadratic


@pytest.mark.parametrize("said", ["positive", " Positive\n", "POSITIVE"])
def test_a_sentiment_may_be_in_any_case(said: str) -> None:
    expected = Ok({"0": Label(sentiment=Sentiment.POSITIVE, confidence=0.9)})
    assert _read(FINE | {"sentiment": said}) == expected


def test_an_id_of_digits_may_be_a_number() -> None:
    expected = Label(sentiment=Sentiment.POSITIVE, confidence=0.9)
    assert _read(FINE | {"id": 0}, FINE | {"id": 12}, asked=("0", "12")) == Ok(
        {"0": expected, "12": expected}
    )


@pytest.mark.parametrize(
    ("told", "confidence"), [("0.5", 0.5), (" 1 ", 1.0), (0, 0.0), (1, 1.0), (None, None)]
)
def test_a_confidence_may_be_a_number_in_a_string(told: Any, confidence: float | None) -> None:
    expected = Ok({"0": Label(sentiment=Sentiment.POSITIVE, confidence=confidence)})
    assert _read(FINE | {"confidence": told, "sentiment": "positive"}) == expected


def test_a_field_that_nobody_asked_for_does_not_matter() -> None:
    assert isinstance(_read(FINE | {"why": ["food"]}), Ok)
    assert isinstance(_read(FINE | {"why": ["food"], "sentiment": "positive"}), Ok)


@pytest.mark.parametrize(
    ("items", "about"),
    [
        pytest.param([], "id '0' is answered 0 times", id="missing"),
        pytest.param([FINE, FINE], "id '0' is answered 2 times", id="doubled"),
        pytest.param([FINE, FINE | {"id": "7"}], "nobody asked about id '7'", id="foreign"),
        pytest.param([FINE | {"id": 1.5}], "$.labels[0].id", id="id-broken"),
        pytest.param([FINE | {"id": True}], "$.labels[0].id", id="id-true"),
        pytest.param([FINE | {"id": -1}], "$.labels[0].id", id="id-negative"),
        pytest.param([FINE | {"id": 1 << 63}], "$.labels[0].id", id="id-huge"),
        pytest.param([FINE | {"id": None}], "$.labels[0].id", id="id-null"),
        pytest.param([{"id": "0"}], "$.labels[0].sentiment", id="no-sentiment"),
        pytest.param([FINE | {"sentiment": 1}], "$.labels[0].sentiment", id="sentiment-number"),
        pytest.param([FINE | {"sentiment": "ECSTATIC"}], "ECSTATIC", id="off-list"),
        pytest.param([FINE | {"sentiment": "mostly positive"}], "mostly positive", id="hedged"),
        pytest.param([FINE | {"confidence": 1.01}], "1.01 (0 to 1)", id="too-sure"),
        pytest.param([FINE | {"confidence": -0.01}], "-0.01 (0 to 1)", id="less-than-nothing"),
        pytest.param([FINE | {"confidence": "1.01"}], "1.01 (0 to 1)", id="too-sure-quoted"),
        pytest.param([FINE | {"confidence": math.nan}], "$.labels[0].confidence", id="nan"),
        pytest.param([FINE | {"confidence": math.inf}], "$.labels[0].confidence", id="infinite"),
        pytest.param([FINE | {"confidence": 10**400}], "$.labels[0].confidence", id="huge"),
        pytest.param([FINE | {"confidence": "90%"}], "$.labels[0].confidence", id="percent"),
        pytest.param([FINE | {"confidence": "nan"}], "$.labels[0].confidence", id="nan-quoted"),
        pytest.param([FINE | {"confidence": True}], "$.labels[0].confidence", id="true"),
        pytest.param([FINE, "POSITIVE"], "$.labels[1]", id="not-an-object"),
    ],
)
def test_a_wrong_answer_is_refused_with_what_is_wrong(items: list[Any], about: str) -> None:
    refused = _refused(ChatAnswer(text=json.dumps({"labels": items})))
    assert refused.reason is Reason.MODEL_BAD_ANSWER
    assert about in refused.detail


@pytest.mark.parametrize(
    "text", ["", "POSITIVE", "null", "[]", "{}", '{"labels":', '{"labels":null}', "\ud800"]
)
def test_what_is_not_an_answer_is_refused(text: str) -> None:
    assert _refused(ChatAnswer(text=text)).reason is Reason.MODEL_BAD_ANSWER


def test_a_refusal_is_told_apart_from_a_bad_answer() -> None:
    refused = _refused(ChatAnswer(text="", refusal="I can't help with that."))
    assert refused.reason is Reason.MODEL_REFUSED
    assert "I can't help with that." in refused.detail


def test_a_filtered_answer_counts_as_refused() -> None:
    answer = ChatAnswer(text=json.dumps({"labels": [FINE]}), finish_reason="content_filter")
    refused = _refused(answer)
    assert refused.reason is Reason.MODEL_REFUSED
    assert refused.detail == "the model refused: " + repr("the endpoint's content filter")


def test_an_empty_refusal_is_none() -> None:
    answer = ChatAnswer(text=json.dumps({"labels": [FINE]}), refusal="")
    assert isinstance(read_answer(answer, ["0"]), Ok)


def test_an_answer_cut_short_is_refused_even_where_it_can_be_read() -> None:
    answer = ChatAnswer(text=json.dumps({"labels": [FINE]}), finish_reason="length")
    assert _refused(answer).detail == "the answer is cut short (finish_reason: length)"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_a_rejection_says_that_the_answer_is_in_another_field(field: str) -> None:
    refused = _refused(ChatAnswer(text="", finish_reason=field))
    assert refused.detail == f"the answer is empty: all of it is in {field}, not in content"


def test_an_empty_answer_says_how_it_ended() -> None:
    refused = _refused(ChatAnswer(text=" ", finish_reason="tool_calls"))
    assert refused.detail == "the answer is empty (finish_reason: 'tool_calls')"


def test_a_rejection_keeps_the_answer() -> None:
    assert _refused(ChatAnswer(text="no é\ud800")).raw == "no é?".encode()


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("x" * MAX_QUOTE, "x" * MAX_QUOTE),
        ("x" * (MAX_QUOTE + 1), "x" * (MAX_QUOTE - 1) + "…"),
        ("x" * 100_000, "x" * (MAX_QUOTE - 1) + "…"),
        ("né\n\u202e", r"né\n\u202e"),
    ],
    ids=["short-enough", "too-long", "much-too-long", "unprintable"],
)
def test_an_answer_is_quoted_as_far_as_a_person_wants_to_read_it(said: str, quoted: str) -> None:
    detail = _refused(ChatAnswer(text="", refusal=said)).detail
    assert detail == f"the model refused: '{quoted}'"


@given(
    st.builds(
        ChatAnswer,
        text=st.one_of(
            json_values.map(json.dumps),
            st.lists(json_values, max_size=3).map(lambda items: json.dumps({"labels": items})),
            st.text(st.characters()),
        ),
        refusal=st.none() | st.text(st.characters()),
        finish_reason=st.sampled_from(["stop", "length", "content_filter", "eos", ""]),
    ),
    ids,
)
@example(ChatAnswer(text="[" * 100_000), ["0"])
@example(ChatAnswer(text='{"labels":[' + '{"x":' * 100_000), ["0"])
@example(ChatAnswer(text='{"labels":[],"x":' + "[" * 100_000), [])
@example(ChatAnswer(text='{"labels":[{"id":"\\ud800","sentiment":"POSITIVE"}]}'), ["\ud800"])
@example(ChatAnswer(text='{"labels":[{"id":"' + "x" * 1000 + '","sentiment":"NEUTRAL"}]}'), ["0"])
@example(ChatAnswer(text='{"labels":[{"id":"0","sentiment":"NEUTRAL","confidence":1e999}]}'), ["0"])
@example(ChatAnswer(text="\ufeff{}"), ["0"])
@example(ChatAnswer(text="```json\n" * 20_000), ["0"])
def test_reading_never_raises_and_only_an_answer_to_every_id_is_accepted(
    answer: ChatAnswer, asked: list[str]
) -> None:
    match read_answer(answer, asked):
        case Ok(found):
            assert sorted(found) == sorted(asked)
        case Rejected() as refused:
            refused.detail.encode()  # a detail is written to Kafka: it must be encodable
