"""A cassette gives an answer to the same question, whatever its order and ids; and no secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream_testbed.mock_openai.cassettes import Cassette, RecordedAnswer, question_of

LABELS = {"a": "POSITIVE", "b": "NEGATIVE", "c": "NEUTRAL"}


def _body(*reviews: tuple[str, str], model: str = "m", system: str = "Label.") -> dict[str, Any]:
    asked = {"reviews": [{"id": name, "text": text} for name, text in reviews]}
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": json.dumps(asked)},
        ],
    }


def _answer(*labels: tuple[str, str], wrap: str = "{}") -> RecordedAnswer:
    text = json.dumps({"labels": [{"id": name, "sentiment": one} for name, one in labels]})
    message = {"role": "assistant", "content": wrap.replace("{}", text)}
    return RecordedAnswer(200, {}, {"choices": [{"index": 0, "message": message}]})


def _labels(answer: RecordedAnswer | None, wrap: str = "{}") -> dict[str, str]:
    assert answer is not None
    begin, end = wrap.split("{}")
    content = answer.body["choices"][0]["message"]["content"]
    found = json.loads(content.removeprefix(begin).removesuffix(end))["labels"]
    return {one["id"]: one["sentiment"] for one in found}


names = st.text(min_size=1, max_size=6)


@given(
    st.lists(names, min_size=3, max_size=3, unique=True),
    st.lists(names, min_size=3, max_size=3, unique=True),
    st.permutations(["a", "b", "c"]),
    st.sampled_from(["{}", "```json\n{}\n```", "Sure: {} Bye."]),
)
def test_ids_are_those_of_the_present_request(
    tmp_path_factory: pytest.TempPathFactory,
    before: list[str],
    now: list[str],
    order: list[str],
    wrap: str,
) -> None:
    folder = tmp_path_factory.mktemp("cassette")
    first = [*zip(before, "abc", strict=True)]
    answer = _answer(*((name, LABELS[text]) for name, text in first), wrap=wrap)
    Cassette(folder).add(question_of(_body(*first)), answer, [])
    second = [*zip(now, order, strict=True)]
    found = Cassette(folder).find(question_of(_body(*second)))
    assert _labels(found, wrap) == {name: LABELS[text] for name, text in second}


def test_equal_texts_keep_their_answers_apart(tmp_path: Path) -> None:
    cassette = Cassette(tmp_path)
    question = question_of(_body(("1", "x"), ("2", "x")))
    cassette.add(question, _answer(("1", "POSITIVE"), ("2", "NEGATIVE")), [])
    found = cassette.find(question_of(_body(("2", "x"), ("9", "x"))))
    assert _labels(found) == {"2": "POSITIVE", "9": "NEGATIVE"}


def test_an_id_that_is_a_number_stays_one(tmp_path: Path) -> None:
    cassette = Cassette(tmp_path)
    body = {"choices": [{"message": {"content": '{"labels": [{"id": 1}, {"id": 2}]}'}}]}
    cassette.add(question_of(_body(("1", "x"), ("2", "y"))), RecordedAnswer(200, {}, body), [])
    found = cassette.find(question_of(_body(("1", "y"), ("2", "x"))))
    assert found is not None
    assert found.body["choices"][0]["message"]["content"] == '{"labels": [{"id": 2}, {"id": 1}]}'


@pytest.mark.parametrize(
    "other",
    [
        _body(("1", "x"), model="n"),
        _body(("1", "x"), system="Label!"),
        _body(("1", "y")),
        _body(("1", "x"), ("2", "x")),
        {**_body(("1", "x")), "response_format": {"type": "json_object"}},
    ],
)
def test_another_question_has_no_answer(tmp_path: Path, other: dict[str, Any]) -> None:
    cassette = Cassette(tmp_path)
    cassette.add(question_of(_body(("1", "x"))), _answer(("1", "POSITIVE")), [])
    assert cassette.find(question_of(_body(("1", "x")))) is not None
    assert cassette.find(question_of(other)) is None


def test_a_question_asked_again_has_its_answers_in_turn_and_then_the_last(tmp_path: Path) -> None:
    cassette, question = Cassette(tmp_path), question_of(_body(("1", "x")))
    for one in ("POSITIVE", "NEGATIVE"):
        cassette.add(question, _answer(("1", one)), [])
    again = Cassette(tmp_path)
    told = [_labels(again.find(question))["1"] for _ in range(3)]
    assert told == ["POSITIVE", "NEGATIVE", "NEGATIVE"]
    again.rewind()
    assert _labels(again.find(question))["1"] == "POSITIVE"
    assert len(again) == len([*tmp_path.iterdir()]) == 2


def test_no_secret_is_written(tmp_path: Path) -> None:
    key, cookie, ours = "sk-CANARY1234", "session=CANARYCOOKIE", "CANARYORG"
    headers = {
        "Openai-Organization": ours, "Set-Cookie": cookie, "X-Request-Id": "req_CANARYREQUEST",
        "X-RateLimit-Limit-Requests": "500", "Retry-After": "2",
    }  # fmt: skip
    error = {
        "message": f"Limit reached in organization org-CANARYACCOUNT for {key} and {ours}",
        "user_id": "CANARYUSER",
        "other": ["sk-proj-CANARYOTHER", {"key": "AIzaCANARYGOOGLEKEY"}],
    }
    body = {**_body(("1", f"my key is {key}")), "user": "CANARYPERSON"}
    question = question_of(body)
    Cassette(tmp_path).add(
        question, RecordedAnswer(429, headers, {"error": error}), [key, ours, cookie]
    )
    (file,) = tmp_path.iterdir()
    text = file.read_text()
    assert "CANARY" not in text
    assert json.loads(text)["answer"]["headers"] == {
        "x-ratelimit-limit-requests": "500",
        "retry-after": "2",
    }
    assert Cassette(tmp_path).find(question) is not None


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    cassette = Cassette(tmp_path)
    with pytest.raises(TypeError):
        cassette.add(question_of(_body(("1", "x"))), RecordedAnswer(200, {}, {"a": object()}), [])
    assert not [*tmp_path.iterdir()]


def test_a_file_that_is_no_exchange_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match=r"x\.json is no recorded exchange"):
        Cassette(tmp_path)
