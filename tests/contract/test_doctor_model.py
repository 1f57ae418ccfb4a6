"""`reviewstream doctor --model` against the mock endpoint, in every dialect."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.adapters.system_clock import SystemClock
from reviewstream.app import label_policy
from reviewstream.cli import main
from reviewstream.core.labelling.capabilities.check import MAX_QUESTIONS, CapabilityCheck
from reviewstream.core.labelling.capabilities.trials import (
    Capabilities,
    Outcome,
    Trial,
    TrialQuestion,
    try_out,
)
from reviewstream.settings import OpenAISettings, Settings
from reviewstream.testing import FakeClock
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.mock_openai.dialect_table import DIALECTS
from tests.contract.case_endpoint import case_endpoint, cases, ruled

pytestmark = pytest.mark.model

# What each dialect has: response_format, field of the ceiling, effort to ask for, limits told.
EXPECTED = {
    "openai": ("json_schema", "max_completion_tokens", "minimal", True),
    "azure": ("json_schema", "max_completion_tokens", "minimal", True),
    "openrouter": ("json_schema", "max_tokens", "none", False),
    "gemini": ("json_schema", "max_tokens", "none", False),
    "mistral": ("json_schema", "max_tokens", "none", True),
    "groq": ("json_schema", "max_completion_tokens", "none", True),
    "deepseek": ("json_object", "max_tokens", "default", False),
    "xai": ("json_schema", "max_tokens", "low", True),
    "vllm": ("json_schema", "max_tokens", "none", False),
    "ollama": ("json_schema", "max_tokens", "none", False),
    "litellm": ("json_schema", "max_completion_tokens", "minimal", True),
}
LISTED = {"openai", "azure", "litellm", "openrouter"}  # of these the model is one of OpenAI's

FAILING = [
    *((dialect, "401", "key") for dialect in EXPECTED),
    # Gemini says the same of a quota and of a limit of a minute.
    *((dialect, "quota_429", "credit") for dialect in EXPECTED if dialect != "gemini"),
]

# Recorded cases whose outcome does not depend on the text.
RECORDED = [one for one in cases() if one["name"].startswith(("fields:", "settings_and_account:"))]


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def doctor(endpoint: OpenAIEndpoint, *settings: str, model: str = "gpt-5-mini") -> Result:
    base = f"openai.base_url={endpoint.base_url}"
    given = [base, f"openai.model={model}", f"openai.api_key={endpoint.api_key}", *settings]
    arguments = [argument for one in given for argument in ("-s", one)]
    return CliRunner().invoke(main, ["doctor", "--model", "--json", *arguments])


def told(result: Result) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
    body: dict[str, Any] = json.loads(result.stdout)
    return body, {one["name"]: one for one in body["checks"]}


def first_request(endpoint: OpenAIEndpoint, settings: OpenAISettings) -> Trial:
    """Return what becomes of the first request of a run with these settings."""

    async def ask() -> Trial:
        model, policy = OpenAIChat.connect(settings), label_policy(settings)
        try:
            return await try_out(
                TrialQuestion(options=policy.options), model, policy, SystemClock()
            )
        finally:
            await model.aclose()

    given = {**settings.model_dump(exclude_unset=True), "api_key": endpoint.api_key}
    settings = Settings(openai=given).openai  # type: ignore[arg-type] # as from a file
    return asyncio.run(ask())


def test_every_dialect_of_the_mock_is_expected() -> None:
    assert {*EXPECTED} == {*DIALECTS}


@pytest.mark.parametrize("chosen", ["set", "auto"])
@pytest.mark.parametrize("dialect", EXPECTED)
def test_an_endpoint_is_found_out_and_the_pasted_settings_are_right_at_once(
    endpoint: OpenAIEndpoint, dialect: str, chosen: str
) -> None:
    form, field, effort, has_limits = EXPECTED[dialect]
    endpoint.dialect(dialect)
    endpoint.options(hidden_tokens=100, tell_limits=True)
    model = "gpt-5-mini" if dialect in LISTED else "some/model"
    name = dialect if chosen == "set" else "auto"
    result = doctor(endpoint, f"openai.dialect={name}", model=model)

    assert result.exit_code == 0, result.stderr
    body, checks = told(result)
    assert body["good"] is True
    assert body["requests"] == endpoint.requests()["requests"] <= MAX_QUESTIONS
    values = body["settings"]
    assert (values["response_format"], values["reasoning_effort"]) == (form, effort)
    if chosen == "set":
        assert values["max_tokens_field"] == field
        assert ("a minute" in checks["rate limits"]["detail"]) is has_limits
    assert checks["usage"]["state"] == "ok"
    assert checks["latency"]["state"] == "ok"
    assert checks["dialect"]["detail"].startswith(dialect if chosen == "set" else "generic")

    endpoint.reset()
    endpoint.dialect(dialect)
    endpoint.options(hidden_tokens=100)
    trial = first_request(endpoint, Settings(openai=values).openai)
    assert trial.outcome is Outcome.ANSWERED
    assert endpoint.requests()["statuses"] == {"200": 1}


@pytest.mark.parametrize(("dialect", "fault", "step"), FAILING)
def test_a_wrong_key_and_a_spent_quota_are_named_with_the_endpoints_words(
    endpoint: OpenAIEndpoint, dialect: str, fault: str, step: str
) -> None:
    endpoint.dialect(dialect)
    endpoint.fault(fault, fault, fault)
    result = doctor(endpoint, f"openai.dialect={dialect}")
    assert result.exit_code == 1
    body, checks = told(result)
    assert [name for name, one in checks.items() if one["state"] == "failed"] == [step]
    assert "HTTP 4" in checks[step]["detail"]
    assert body["settings"] == {}


def test_a_model_that_is_not_served_is_named(endpoint: OpenAIEndpoint) -> None:
    result = doctor(endpoint, model="gpt-nonsense")
    assert result.exit_code == 1
    _, checks = told(result)
    assert checks["model"]["state"] == "failed"
    assert "gpt-nonsense" in checks["model"]["detail"]
    assert checks["key"]["state"] == "ok"


def test_a_refused_setting_is_a_finding(endpoint: OpenAIEndpoint) -> None:
    result = doctor(endpoint, "openai.temperature=0.5", "openai.service_tier=flex")
    assert result.exit_code == 1
    body, checks = told(result)
    assert checks["openai.temperature"]["state"] == "failed"
    assert "does not support 0.5" in checks["openai.temperature"]["detail"]
    assert checks["service tier"]["detail"] == "flex is asked for, flex has answered"
    assert "temperature" not in body["settings"]
    assert body["settings"]["service_tier"] == "flex"


def test_a_reported_cost_is_shown_and_counted(endpoint: OpenAIEndpoint) -> None:
    endpoint.dialect("openrouter")
    endpoint.options(prices="1,0.5,2")
    body, checks = told(doctor(endpoint, "openai.dialect=openrouter", model="some/model"))
    assert "US dollars, as reported" in checks["usage"]["detail"]
    total = endpoint.bill()["totals"]["cost_micro_usd"]
    assert round(body["cost_usd"] * 1e6) == total > 0


def test_an_endpoint_that_is_away_is_named() -> None:
    arguments = ["-s", "openai.base_url=http://127.0.0.1:1/v1"]
    result = CliRunner().invoke(main, ["doctor", "--model", "--json", *arguments])
    assert result.exit_code == 1
    _, checks = told(result)
    assert checks["reachable"]["state"] == "failed"
    assert "http://127.0.0.1:1/v1 failed" in checks["reachable"]["detail"]


def checked(url: str, case: dict[str, Any]) -> Capabilities:
    given = {"api_key": "sk-x", "timeout": 5.0, **case.get("settings", {}), "base_url": url}
    settings = Settings(openai=given).openai  # type: ignore[arg-type] # as from a file

    async def ask() -> Capabilities:
        model = OpenAIChat.connect(settings)
        try:
            return await CapabilityCheck(model, label_policy(settings), FakeClock()).run()
        finally:
            await model.aclose()

    return asyncio.run(ask())


@pytest.mark.parametrize("case", RECORDED, ids=[one["name"] for one in RECORDED])
def test_an_endpoint_is_usable_if_a_run_with_it_ends_well(case: dict[str, Any]) -> None:
    with case_endpoint(ruled(case["rules"])) as recorded:
        found = checked(recorded.url, case)
    assert found.is_usable is ("error" not in case["expect"])
    assert len(found.trials) <= MAX_QUESTIONS
