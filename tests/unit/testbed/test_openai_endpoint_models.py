"""Which models reason, and what each of them takes and refuses."""

from typing import Any

import pytest

from reviewstream_testbed.mock_openai.completions import Said
from reviewstream_testbed.mock_openai.dialect_table import DIALECTS, dialect_of
from reviewstream_testbed.mock_openai.error_bodies import ApiError
from reviewstream_testbed.mock_openai.models import EFFORTS, OPENAI, family_of
from reviewstream_testbed.mock_openai.validation import check_request


def _body(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}], **fields}


def _refusal(dialect: str = "openai", **fields: Any) -> ApiError | None:
    try:
        check_request(_body(**fields), DIALECTS[dialect])
    except ApiError as err:
        return err
    return None


@pytest.mark.parametrize(
    ("model", "efforts"),
    [
        ("gpt-4o-mini", ()),
        ("gpt-4.1-nano-2025-04-14", ()),
        ("gpt-5-chat-latest", ()),
        ("gpt-5", ("minimal", "low", "medium", "high")),
        ("openai/gpt-5-mini-2025-08-07", ("minimal", "low", "medium", "high")),
        ("gpt-5.1", ("none", "low", "medium", "high")),
        ("gpt-5.6-luna", ("none", "low", "medium", "high", "xhigh")),
        ("gpt-6-sol", ("none", "low", "medium", "high", "xhigh")),
        ("o3", ("low", "medium", "high")),
        ("o4-mini-2025-04-16", ("low", "medium", "high")),
    ],
)
def test_a_model_takes_the_efforts_of_its_family(model: str, efforts: tuple[str, ...]) -> None:
    assert family_of(model).efforts == efforts
    if not model.startswith("openai/") and model in (*OPENAI, *OPENAI.values()):
        for effort in EFFORTS:
            refusal = _refusal(model=model, reasoning_effort=effort)
            assert (refusal is None) == (effort in efforts)


ONLY_ONE = "Only the default (1) value is supported."
EFFORT = "Unsupported value: 'reasoning_effort' does not support '{}' with this model. Supported"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"reasoning_effort": "none"},
            f"{EFFORT.format('none')} values are: 'minimal', 'low', 'medium', and 'high'.",
        ),
        (
            {"model": "gpt-5.1", "reasoning_effort": "minimal"},
            f"{EFFORT.format('minimal')} values are: 'none', 'low', 'medium', and 'high'.",
        ),
        (
            {"temperature": 0},
            f"{EFFORT[:18]} 'temperature' does not support 0 with this model. {ONLY_ONE}",
        ),
    ],
)
def test_a_value_that_a_model_does_not_take_is_refused_in_its_words(
    fields: dict[str, Any], message: str
) -> None:
    error = _refusal(**fields)
    assert error is not None
    assert (error.status, error.code, error.message) == (400, "unsupported_value", message)


def test_a_model_that_reasons_takes_the_default_temperature_and_one_of_the_limits() -> None:
    assert _refusal(temperature=1, max_completion_tokens=9) is None
    error = _refusal(max_tokens=9)
    assert error is not None
    assert (error.param, error.code) == ("max_tokens", "unsupported_parameter")
    assert error.message.endswith("Use 'max_completion_tokens' instead.")
    assert _refusal(model="gpt-4o", max_tokens=9, temperature=0) is None


@pytest.mark.parametrize(
    ("dialect", "model", "is_taken"),
    [
        ("openai", "gpt-5-mini", True),
        ("openai", "o3", True),
        ("openai", "o3-mini", False),
        ("openai", "gpt-4o-mini", False),
        ("azure", "our-deployment", True),
        ("groq", "llama", True),
        ("mistral", "small", False),
    ],
)
def test_flex_is_refused_where_there_is_none(dialect: str, model: str, is_taken: bool) -> None:  # noqa: FBT001 - a parameter
    error = _refusal(dialect, model=model, service_tier="flex")
    assert (error is None) == is_taken
    if dialect == "openai" and error is not None:
        assert (error.status, error.param) == (400, "service_tier")


def test_openai_knows_its_models_and_those_that_it_is_told() -> None:
    error = _refusal(model="ours")
    assert error is not None
    assert (error.status, error.code) == (404, "model_not_found")
    assert check_request(_body(model="ours"), DIALECTS["openai"], ["ours"])


@pytest.mark.parametrize("name", sorted(DIALECTS.keys() - {"openai"}))
def test_any_other_dialect_takes_any_model(name: str) -> None:
    assert _refusal(name, model="some/model:free") is None


@pytest.mark.parametrize(
    ("dialect", "fields", "status"),
    [
        ("mistral", {"max_completion_tokens": 5}, 422),
        ("mistral", {"seed": 5}, 422),
        ("mistral", {"reasoning_effort": "low"}, 400),
        ("groq", {"colour": "red"}, 400),
        ("gemini", {"seed": 5}, 400),
        ("gemini", {"colour": "red"}, 400),
        ("xai", {"reasoning_effort": "none"}, 400),
        ("ollama", {"reasoning_effort": "minimal"}, 400),
        ("deepseek", {"response_format": {"type": "json_schema", "json_schema": {}}}, 400),
        ("litellm", {"temperature": 0}, 400),
        ("azure", {"temperature": 0}, 400),
    ],
)
def test_a_dialect_refuses_what_its_endpoint_does(
    dialect: str, fields: dict[str, Any], status: int
) -> None:
    error = _refusal(dialect, **fields)
    assert error is not None
    assert DIALECTS[dialect].worded(error).status == status


@pytest.mark.parametrize("dialect", ["openrouter", "deepseek", "xai", "vllm", "ollama"])
def test_an_unknown_field_is_ignored_where_it_is_not_refused(dialect: str) -> None:
    assert "colour" not in check_request(_body(colour="red"), DIALECTS[dialect])


def test_a_limit_under_a_name_that_is_not_known_limits_nothing() -> None:
    body = _body(max_completion_tokens=5)
    assert "max_completion_tokens" not in check_request(body, DIALECTS["deepseek"])
    assert check_request(_body(max_tokens=5), DIALECTS["deepseek"])["max_tokens"] == 5


def test_a_dialect_can_be_changed() -> None:
    changed = dialect_of({"dialect": "vllm", "formats": ["text"], "unknown": "refused"})
    with pytest.raises(ApiError, match="of type 'json_object' is not supported"):
        check_request(_body(response_format={"type": "json_object"}), changed)
    with pytest.raises(ApiError, match="colour"):
        check_request(_body(colour="red"), changed)
    with pytest.raises(ApiError, match="temperature"):
        check_request(
            _body(temperature=0), dialect_of({"dialect": "vllm", "takes_temperature": False})
        )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dialect": "klingon"}, "no dialect 'klingon'; there are openai, azure"),
        ({}, "no dialect 'None'"),
        ({"dialect": "vllm", "shape": 1}, "'shape' of a dialect cannot be set; these can: formats"),
        ({"dialect": "vllm", "formats": ["xml"]}, "formats is"),
        ({"dialect": "vllm", "formats": "text"}, "formats is 'text'"),
        ({"dialect": "vllm", "unknown": ["refused"]}, "unknown is"),
    ],
)
def test_a_dialect_that_there_is_not_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        dialect_of(fields)


@pytest.mark.parametrize(
    ("limit", "text", "hidden", "reason"),
    [
        (None, "x" * 40, 100, "stop"),
        (110, "x" * 40, 100, "stop"),
        (105, "x" * 20, 100, "length"),
        (100, "", 100, "length"),
        (30, "", 30, "length"),
    ],
)
def test_what_is_thought_counts_against_the_limit(
    limit: int | None, text: str, hidden: int, reason: str
) -> None:
    said = Said("x" * 40, hidden=100).cut(limit)
    assert (said.text, said.hidden, said.finish_reason) == (text, hidden, reason)
