"""What is asked of an endpoint to find out what it can, and what is made of its answers."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from pydantic import SecretStr

from reviewstream.app import label_policy
from reviewstream.app import suggested_settings as suggested
from reviewstream.cli.toml_table import as_toml
from reviewstream.core.labelling.capabilities.capability_report import Finding, report
from reviewstream.core.labelling.capabilities.check import (
    MAX_QUESTIONS,
    MAX_WAIT,
    RETRIES,
    CapabilityCheck,
    bill_of,
    most_tokens,
    of_effort,
)
from reviewstream.core.labelling.capabilities.trials import (
    PROSE,
    Capabilities,
    Outcome,
    Trial,
    TrialQuestion,
)
from reviewstream.core.labelling.chat import ChatAnswer, ChatOptions, ChatRequest, RateLimits
from reviewstream.core.labelling.endpoint.negotiation import HIDDEN_ROOMS
from reviewstream.core.labelling.probe import PROBE_TEXT
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import (
    BadAnswerError,
    BudgetExceededError,
    CapacityError,
    ConfigError,
    FatalError,
    RateLimitError,
    RefusedError,
    TransientError,
    UnknownOutcomeError,
)
from reviewstream.settings import OpenAISettings
from reviewstream.testing import FakeChatModel, FakeClock, judging

PRICE = Finding(name="price", state="ok", detail="known")
answered = judging(lambda _: Sentiment.POSITIVE)
Behaviour = Callable[[ChatRequest], ChatAnswer | Exception]


def settings_of(**given: Any) -> OpenAISettings:
    return OpenAISettings(
        **{"model": "some-model", "base_url": "https://model.example/v1", **given}
    )


def check(
    behaviour: Behaviour, settings: OpenAISettings | None = None
) -> tuple[Capabilities, FakeChatModel, FakeClock]:
    model, clock = FakeChatModel(behaviour), FakeClock(most=RETRIES * 2)
    policy = label_policy(settings or settings_of())
    return asyncio.run(CapabilityCheck(model, policy, clock).run()), model, clock


def lines_of(found: Capabilities, settings: OpenAISettings | None = None) -> dict[str, Finding]:
    return {one.name: one for one in report_of(found, settings or settings_of())}


def report_of(found: Capabilities, settings: OpenAISettings) -> list[Finding]:
    has_key = settings.api_key is not None
    return report(found, label_policy(settings), PRICE, dialect=settings.dialect, has_key=has_key)


def refusing(field: str, is_refused: Callable[[ChatOptions], bool]) -> Behaviour:
    """Return the behaviour of an endpoint that does not take some options."""

    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        if is_refused(request.options):
            return RefusedError(f"HTTP 400: no {field or 'such thing'}", field=field)
        return answered(request)

    return behave


def thinking(tokens: Callable[[ChatOptions], int]) -> Behaviour:
    """Return the behaviour of a model that hides tokens, and is cut at its ceiling."""

    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        answer, hidden = answered(request), tokens(request.options)
        assert isinstance(answer, ChatAnswer)
        used = answer.completion_tokens + hidden
        if used > request.max_output_tokens:
            most = request.max_output_tokens
            return ChatAnswer(
                text="", finish_reason="length", completion_tokens=most, reasoning_tokens=most
            )
        return structs.replace(answer, completion_tokens=used, reasoning_tokens=hidden)

    return behave


# --- what is asked ---


def test_an_endpoint_that_takes_all_is_asked_a_handful_of_questions_about_our_own_text() -> None:
    found, model, _ = check(answered)
    assert found.base is not None
    assert found.base.options == label_policy(settings_of()).options
    assert len(model.requests) == 4  # the schema, a temperature and an effort beside the first
    assert all(PROBE_TEXT in one.user for one in model.requests)
    assert found.is_usable


def test_a_model_that_reasons_is_asked_about_each_effort_and_the_dear_ones_get_no_room() -> None:
    _, model, _ = check(answered, settings_of(model="gpt-5-mini"))
    efforts = {one.options.reasoning_effort: one.max_output_tokens for one in model.requests}
    assert {*efforts} == {"none", "minimal", "low", "medium", "high"}
    assert efforts["medium"] == efforts["high"] < HIDDEN_ROOMS[1] < efforts["low"]


FAILURES: list[Callable[[], Exception]] = [
    lambda: RefusedError("HTTP 400: no"),
    lambda: RefusedError("HTTP 400: no", field="response_format"),
    lambda: RefusedError("HTTP 400: no", field="temperature"),
    lambda: RefusedError("HTTP 400: too large", field="max_tokens"),
    lambda: RefusedError("HTTP 403: no", status=403),
    lambda: BadAnswerError("not a completion"),
    lambda: CapacityError("HTTP 498: full"),
    lambda: BudgetExceededError("the quota is spent"),
    lambda: FatalError("refuses the API key"),
    lambda: RateLimitError("HTTP 429: slow down", retry_after=1.0),
    lambda: RateLimitError("HTTP 429: slow down", retry_after=1e9),
    lambda: TransientError("HTTP 503: away"),
    lambda: UnknownOutcomeError("no answer in 30 s"),
]


@given(
    st.lists(st.sampled_from([None, "unreadable", "cut", *FAILURES]), max_size=MAX_QUESTIONS + 2),
    st.sampled_from(["gpt-5-mini", "some-model"]),
    st.sampled_from([{}, {"temperature": 0.5, "service_tier": "flex", "extra_body": {"x": 1}}]),
)
def test_however_an_endpoint_fails_the_questions_and_the_waits_have_an_end(
    outcomes: Sequence[Any], model: str, mine: dict[str, Any]
) -> None:
    rest = iter(outcomes)

    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        outcome = next(rest, None)
        if callable(outcome):
            return outcome()  # type: ignore[no-any-return]
        if outcome is None:
            return answered(request)
        return ChatAnswer(text="?", finish_reason="length" if outcome == "cut" else "stop")

    settings = settings_of(model=model, **mine)
    found, asked, clock = check(behave, settings)
    assert len(asked.requests) == len(found.trials) <= MAX_QUESTIONS
    assert len(clock.sleeps) <= 2 * RETRIES
    assert max(clock.sleeps, default=0) <= MAX_WAIT
    findings = report_of(found, settings)
    assert found.is_usable is not any(one.state == "failed" for one in findings)
    assert as_toml("openai", suggested(found, settings))


def test_a_setting_that_cannot_be_used_ends_the_check() -> None:
    with pytest.raises(ConfigError):
        check(lambda _: ConfigError("openai.api_key_command"))


def test_what_passes_is_asked_again_after_the_wait_that_the_endpoint_names() -> None:
    failures = iter([RateLimitError("HTTP 429: slow", retry_after=7.0)])
    found, model, clock = check(lambda request: next(failures, None) or answered(request))
    assert clock.sleeps == [7.0]
    assert found.is_usable
    assert model.requests[0] == model.requests[1]


def test_a_long_wait_is_not_waited_for() -> None:
    found, model, clock = check(
        lambda _: RateLimitError("HTTP 429: slow", retry_after=MAX_WAIT + 1)
    )
    assert (len(model.requests), clock.sleeps) == (1, [])
    assert lines_of(found)["request"].detail == "HTTP 429: slow"


def test_a_late_answer_leaves_room_for_fewer_questions() -> None:
    busy = RateLimitError("HTTP 429: slow", retry_after=1.0)
    outcomes = iter([*[RefusedError("HTTP 400: no")] * 7, None, busy, busy])
    settings = settings_of(model="gpt-5-mini", temperature=0.5)
    found, model, _ = check(lambda request: next(outcomes, None) or answered(request), settings)
    assert len(model.requests) == MAX_QUESTIONS
    assert found.base == found.trials[7]


@pytest.mark.parametrize(
    "err",
    [
        RefusedError("HTTP 400: Incorrect API key provided"),
        RefusedError("HTTP 403: not here", status=403),
        RefusedError("HTTP 400: filtered", blame="MODERATED"),
        UnknownOutcomeError("no answer in 30 s"),
    ],
    ids=["key", "403", "filter", "time-out"],
)
def test_what_no_other_request_would_mend_is_asked_once(err: Exception) -> None:
    _, model, clock = check(lambda _: err)
    assert (len(model.requests), clock.sleeps) == (1, [])


# --- what a run would change is changed, what it would not is left out ---


@pytest.mark.parametrize(
    ("field", "is_refused", "expected"),
    [
        ("response_format", lambda it: it.response_format == "json_schema", "json_object"),
        ("response_format", lambda it: it.response_format != "text", "text"),
        ("", lambda it: it.response_format != "text", "text"),
    ],
)
def test_the_strictest_form_that_is_taken_is_found(
    field: str, is_refused: Callable[[ChatOptions], bool], expected: str
) -> None:
    found, _, _ = check(refusing(field, is_refused))
    assert found.is_usable
    assert suggested(found, settings_of())["response_format"] == expected
    line = lines_of(found)["structured output"]
    assert "HTTP 400" in line.detail
    assert line.state == ("ok" if expected == "json_object" else "beware")


@pytest.mark.parametrize("named", ["max_tokens", ""])
def test_the_name_of_the_ceiling_that_is_taken_is_found(named: str) -> None:
    behave = refusing(named, lambda it: it.max_tokens_field != "max_tokens")
    found, _, _ = check(behave)
    values = suggested(found, settings_of())
    assert (values["max_tokens_field"], values["response_format"]) == ("max_tokens", "json_schema")
    assert lines_of(found)["max_tokens_field"].detail.startswith("max_tokens,")


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("temperature", 0.5, "temperature"),
        ("service_tier", "flex", "service_tier"),
        ("reasoning_effort", "none", "reasoning_effort"),
        ("response_format", "json_schema", "response_format"),
        ("max_tokens_field", "max_completion_tokens", "max_completion_tokens"),
    ],
)
def test_a_refused_setting_is_a_finding_and_the_rest_is_found_out_without_it(
    name: str, value: object, field: str
) -> None:
    settings = settings_of(**{name: value})
    found, _, _ = check(refusing(field, lambda it: getattr(it, name) == value), settings)
    assert found.base is not None
    assert not found.is_usable
    line = lines_of(found, settings)[f"openai.{name}"]
    assert (line.state, line.detail) == ("failed", f"HTTP 400: no {field}")
    assert f"openai.{name}" in line.fix
    assert not [one for one in lines_of(found, settings).values() if one.state == "unknown"]
    assert all(one.options.temperature != 0 for one in found.trials) is (name == "temperature")
    assert suggested(found, settings).get(name) != value


def test_settings_are_left_out_together_where_the_endpoint_names_none() -> None:
    settings = settings_of(
        temperature=0.5,
        extra_body={"store": True},
        response_format="text",
        max_tokens_field="max_tokens",
    )
    found, _, _ = check(refusing("", lambda it: "store" in it.extra_body), settings)
    (dropped,) = found.dropped
    assert dropped.settings == ("openai.temperature", "openai.extra_body")
    assert found.base is not None


def test_what_was_weakened_in_vain_is_as_at_first_again() -> None:
    settings = settings_of(temperature=0.5)
    found, _, _ = check(refusing("", lambda it: it.temperature is not None), settings)
    assert suggested(found, settings)["response_format"] == "json_schema"


def test_settings_that_are_refused_one_after_the_other_are_all_left_out() -> None:
    settings = settings_of(temperature=0.5, service_tier="flex")

    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        if request.options.service_tier:
            return RefusedError("HTTP 400: no", field="service_tier")
        if request.options.temperature:
            return RefusedError("HTTP 400: no", field="")
        return answered(request)

    found, _, _ = check(behave, settings)
    settings_left_out = [one.settings for one in found.dropped]
    assert settings_left_out == [("openai.service_tier",), ("openai.temperature",)]
    assert found.base is not None


def test_a_setting_that_is_refused_for_good_ends_with_the_words() -> None:
    found, model, _ = check(refusing("model", lambda _: True))
    assert len(model.requests) == 1
    assert lines_of(found)["model"].state == "failed"
    assert suggested(found, settings_of()) == {}


# --- reasoning ---


def test_the_effort_that_hides_the_least_is_suggested() -> None:
    hidden = {None: 40, "none": 0, "minimal": 5, "low": 20}
    found, _, _ = check(thinking(lambda it: hidden.get(it.reasoning_effort, 60)))
    assert suggested(found, settings_of())["reasoning_effort"] == "none"
    detail = lines_of(found)["reasoning_effort"].detail
    assert detail == (
        "takes none, minimal (5 hidden tokens), low (20 hidden tokens), medium (60 hidden tokens),"
        " high (60 hidden tokens)"
    )
    assert lines_of(found)["reasoning"].detail.startswith("40 hidden tokens in the first answer")


def test_hidden_tokens_that_come_under_other_efforts_only_are_told_of() -> None:
    settings = settings_of(model="gpt-5.6-luna")
    found, _, _ = check(thinking(lambda it: 9 if it.reasoning_effort == "low" else 0), settings)
    assert lines_of(found, settings)["reasoning"].detail.startswith("hidden tokens under some")


def test_an_effort_that_is_not_heeded_is_not_suggested() -> None:
    found, _, _ = check(thinking(lambda _: 40))
    values = suggested(found, settings_of())
    assert values["reasoning_effort"] == "default"


def test_an_effort_is_not_blamed_for_what_was_refused_before_anything_was_answered() -> None:
    low = TrialQuestion(options=ChatOptions(reasoning_effort="low"))
    refused = Trial(question=low, outcome=Outcome.REFUSED)
    answer = Trial(question=TrialQuestion(options=ChatOptions()), outcome=Outcome.ANSWERED)
    assert of_effort([refused, answer], "low") is None
    assert of_effort([answer, refused], "low") == refused
    named = structs.replace(refused, field="reasoning_effort")
    assert of_effort([named, answer], "low") == named
    assert of_effort([answer, structs.replace(refused, field="temperature")], "low") is None


def test_the_effort_of_the_user_stays() -> None:
    settings = settings_of(reasoning_effort="low")
    found, _, _ = check(thinking(lambda it: 40 if it.reasoning_effort == "low" else 0), settings)
    assert suggested(found, settings)["reasoning_effort"] == "low"


def test_hidden_tokens_that_do_not_fit_get_room_in_the_suggestion() -> None:
    found, _, _ = check(thinking(lambda _: 1_000))
    assert [one.outcome for one in found.trials[:2]] == [Outcome.CUT, Outcome.ANSWERED]
    values = suggested(found, settings_of())
    assert values["max_output_tokens_per_label"] == 64 + HIDDEN_ROOMS[1]
    assert values["max_pack_tokens"] == 8_000 + 24 * HIDDEN_ROOMS[1]


def test_a_listed_model_that_reasons_has_its_room_without_a_setting() -> None:
    settings = settings_of(model="gpt-5-mini")
    found, _, _ = check(thinking(lambda _: 300), settings)
    assert "max_output_tokens_per_label" not in suggested(found, settings)


def test_the_ceiling_of_the_user_stays() -> None:
    settings = settings_of(max_output_tokens_per_label=2_000)
    found, _, _ = check(thinking(lambda _: 1_000), settings)
    assert found.base is not None
    assert found.base.answer is not None
    assert found.base.answer.reasoning_tokens == 1_000
    assert "max_output_tokens_per_label" not in suggested(found, settings)


def test_tokens_that_no_report_explains_are_hidden_ones() -> None:
    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        answer = answered(request)
        assert isinstance(answer, ChatAnswer)
        return structs.replace(answer, completion_tokens=len(answer.text) + 7)

    found, _, _ = check(behave)
    assert "at least 7 hidden tokens" in lines_of(found)["reasoning"].detail


def test_the_efforts_of_a_model_that_takes_none_are_asked_about_once() -> None:
    found, model, _ = check(refusing("reasoning_effort", lambda it: bool(it.reasoning_effort)))
    assert [one.options.reasoning_effort for one in model.requests].count("low") == 1
    assert lines_of(found)["reasoning_effort"].detail.startswith("refuses low (HTTP 400")
    assert suggested(found, settings_of())["reasoning_effort"] == "default"


# --- the other lines ---


def test_a_schema_that_is_taken_and_not_enforced_is_told_of() -> None:
    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        return ChatAnswer(text="It is good.") if request.system == PROSE else answered(request)

    line = lines_of(check(behave)[0])["structured output"]
    assert line.state == "beware"
    assert "not enforced" in line.detail
    assert "enforces it" in lines_of(check(answered)[0])["structured output"].detail


def test_a_form_that_is_set_weaker_than_need_be_is_told_of() -> None:
    settings = settings_of(response_format="text")
    found, _, _ = check(answered, settings)
    line = lines_of(found, settings)["structured output"]
    assert line.fix == 'set response_format = "json_schema"'
    assert suggested(found, settings)["response_format"] == "text"


@pytest.mark.parametrize(
    ("err", "step", "known"),
    [
        (FatalError("https://m refuses the API key (HTTP 401: no): set"), "key", {"reachable"}),
        (FatalError("openai.api_key_command ended with 1"), "key", {"reachable"}),
        (RefusedError("HTTP 400: Incorrect API key provided"), "key", {"reachable"}),
        (
            FatalError("https://m does not serve some-model (HTTP 404: no)"),
            "model",
            {"reachable", "key"},
        ),
        (
            FatalError("https://m does not serve some-model (HTTP 407: no)"),
            "request",
            {"reachable"},
        ),
        (FatalError("https://m redirects to https://n (HTTP 301)"), "reachable", set()),
        (BudgetExceededError("the quota at https://m is spent"), "credit", {"reachable", "key"}),
        (UnknownOutcomeError("no answer from https://m in 30 s"), "reachable", set()),
        (TransientError("the connection to https://m failed: refused"), "reachable", set()),
        (TransientError("HTTP 503: overloaded"), "request", {"reachable"}),
        (RefusedError("HTTP 403: not here", status=403), "request", {"reachable"}),
        (RefusedError("HTTP 400: what?"), "request", {"reachable"}),
        (BadAnswerError("the body is not a completion"), "labels", {"reachable", "key", "model"}),
    ],
)
def test_what_fails_is_named_and_only_what_came_before_it_is_known(
    err: Exception, step: str, known: set[str]
) -> None:
    settings = settings_of(api_key=SecretStr("sk-x"))
    lines = lines_of(check(lambda _: err, settings)[0], settings)
    assert {name for name, one in lines.items() if one.state == "failed"} == {step}
    assert lines[step].detail == str(err)
    steps = {"reachable", "key", "model", "labels"}
    assert {name for name in steps & {*lines} if lines[name].state == "ok"} == known


def test_a_quota_that_is_spent_in_the_midst_is_a_failure_all_the_same() -> None:
    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        is_late = request.options.temperature is not None
        return (
            BudgetExceededError("the quota at https://m is spent") if is_late else answered(request)
        )

    found, model, _ = check(behave)
    lines = lines_of(found)
    assert not found.is_usable
    assert lines["credit"].state == "failed"
    assert {lines[name].state for name in ("reachable", "key", "model", "labels")} == {"ok"}
    assert lines["reasoning_effort"].state == "unknown"
    assert len(model.requests) == 3


def test_an_endpoint_without_a_key_is_not_said_to_accept_one() -> None:
    assert lines_of(check(answered)[0])["key"].detail == "none is set, and none is asked for"


@pytest.mark.parametrize(
    ("changes", "name", "state", "words"),
    [
        ({"service_tier": "flex"}, "service tier", "ok", "flex is asked for, flex has answered"),
        ({"service_tier": "default"}, "service tier", "beware", "default has answered"),
        ({}, "service tier", "beware", "compare with the bill"),
        ({"has_usage": False}, "usage", "beware", "not reported"),
        ({"cached_tokens": 12}, "usage", "ok", "12 of them cached"),
        ({"cost_micro_usd": 1}, "usage", "ok", "0.000001 US dollars"),
        ({"cost_micro_usd": 90_000}, "usage", "beware", "0.090000 US dollars"),
        (
            {"limits": RateLimits(tokens_per_minute=9e4)},
            "rate limits",
            "ok",
            "90,000 tokens a minute",
        ),
        (
            {"limits": RateLimits(requests_per_minute=6.0, tokens_per_minute=9e4)},
            "rate limits",
            "ok",
            "6 requests and 90,000 tokens a minute",
        ),
        ({}, "rate limits", "ok", "no header tells them"),
        ({"model": "some-model-2026"}, "model", "ok", "which the endpoint calls some-model-2026"),
    ],
)
def test_what_the_answer_tells_is_a_line(
    changes: dict[str, Any], name: str, state: str, words: str
) -> None:
    settings = settings_of(
        service_tier="flex", input_usd_per_million=1.0, output_usd_per_million=2.0
    )

    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        answer = answered(request)
        assert isinstance(answer, ChatAnswer)
        return structs.replace(answer, **changes)

    line = lines_of(check(behave, settings)[0], settings)[name]
    assert line.state == state
    assert words in line.detail


def test_what_the_questions_cost_is_summed_up() -> None:
    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        answer = answered(request)
        assert isinstance(answer, ChatAnswer)
        return structs.replace(answer, prompt_tokens=100, completion_tokens=10)

    settings = settings_of(input_usd_per_million=1.0, output_usd_per_million=10.0)
    found, model, _ = check(behave, settings)
    count = len(model.requests)
    assert bill_of(found, label_policy(settings)) == (110 * count, 200 * count)


@given(st.integers(0, 6_000))
def test_no_request_is_longer_than_was_announced(hidden: int) -> None:
    settings = settings_of(model="gpt-5-mini")
    request, most = most_tokens(label_policy(settings))
    _, model, _ = check(thinking(lambda _: hidden), settings)
    assert max(one.max_output_tokens for one in model.requests) <= most
    assert max(len(one.user) for one in model.requests) <= len(request.user)
