"""Dialects: which one an address speaks, and what is in the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.endpoint.dialects import (
    DIALECTS,
    KNOWN_NAMES,
    QUOTA_NAMES,
    Dialect,
    dialect_of,
    least_effort,
)
from reviewstream.core.labelling.endpoint.http_limits import rate_limits
from reviewstream.core.labelling.endpoint.reasoning import manners_of
from reviewstream.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        (" HTTPS://API.OpenAI.com/v1 ", "openai"),
        ("https://user:secret@api.groq.com:443/openai/v1", "groq"),
        ("https://user:secret@openrouter.ai/api/v1", "openrouter"),
        ("https://me.openai.azure.com/openai/v1/", "azure"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gemini"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.mistral.ai/v1", "mistral"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.x.ai/v1", "xai"),
        ("https://api.together.xyz/v1", "together"),
        ("http://localhost:11434/v1", "ollama"),
        ("http://[::1]:11434/v1", "ollama"),
        ("http://127.0.0.1:4000", "litellm"),
        ("http://127.0.0.1:8000/v1", "generic"),
        ("http://[::1]/v1", "generic"),
        ("https://vertex.ai/v1", "generic"),
        ("https://api.openai.com.example.org/v1", "generic"),
        ("https://example.org/api.openai.com", "generic"),
        ("https://example.org?@api.openai.com", "generic"),
        ("api.openai.com/v1", "openai"),
        ("", "generic"),
    ],
)
def test_an_address_chooses_the_dialect(url: str, name: str) -> None:
    assert dialect_of(url).name == name


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_can_be_named(name: str) -> None:
    assert dialect_of("https://example.org", name) is DIALECTS[name]


def test_an_unknown_dialect_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        dialect_of("https://api.openai.com/v1", "klingon")
    for part in ("'klingon'", "openai.dialect", "REVIEWSTREAM_OPENAI__DIALECT", "auto", *DIALECTS):
        assert part in str(caught.value)


@given(st.text())
def test_choosing_by_an_address_never_raises(url: str) -> None:
    assert dialect_of(url).name in DIALECTS


def test_names_of_errors_are_in_lower_case_and_in_one_table_only() -> None:
    kinds = ("quota", "account", "moderation", "too_long", "bad_answer", "capacity")
    of_kind = [
        frozenset().union(*(getattr(one, kind) for one in DIALECTS.values())) for kind in kinds
    ]
    assert sum(map(len, of_kind)) == len(KNOWN_NAMES)
    assert all(name == name.lower() and " " not in name for name in KNOWN_NAMES)
    assert "insufficient_quota" in QUOTA_NAMES


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_can_ask_by_the_prompt_alone(dialect: Dialect) -> None:
    assert dialect.response_formats[-1] == "text"


@pytest.mark.parametrize(
    ("name", "headers", "expected"),
    [
        ("openai", {"x-ratelimit-limit-requests": "60"}, RateLimits(requests_per_minute=60)),
        ("openai", {"x-ratelimit-limit-tokens": "6e3"}, RateLimits(tokens_per_minute=6000)),
        ("openai", {"x-ratelimit-limit-tokens": "-1"}, None),
        ("openai", {"x-ratelimit-limit-tokens": "0"}, None),
        ("openai", {"x-ratelimit-limit-tokens": "None"}, None),
        ("openai", {"x-ratelimit-limit-tokens": "9223372036854775807"}, None),
        ("openai", {}, None),
        ("groq", {"x-ratelimit-limit-requests": "14400"}, None),
        ("groq", {"x-ratelimit-limit-tokens": "6000"}, RateLimits(tokens_per_minute=6000)),
        ("together", {"x-ratelimit-limit": "10"}, RateLimits(requests_per_minute=600)),
        ("mistral", {"x-ratelimit-limit-req-minute": "5"}, RateLimits(requests_per_minute=5)),
        (
            "generic",
            {"x-ratelimit-limit-requests": "9", "x-ratelimit-limit-req-minute": "5"},
            RateLimits(requests_per_minute=9),
        ),
        ("openrouter", {"x-ratelimit-limit-requests": "60"}, None),
    ],
)
def test_rate_limits_are_read_by_their_windows(
    name: str, headers: dict[str, str], expected: RateLimits | None
) -> None:
    assert rate_limits(headers, DIALECTS[name]) == expected


@pytest.mark.parametrize(
    ("model", "reasons", "least"),
    [
        ("gpt-4o-mini", False, None),
        ("gpt-4.1", False, None),
        ("gpt-3.5-turbo", False, None),
        ("gpt-5", True, "minimal"),
        ("gpt-5-mini-2025-08-07", True, "minimal"),
        ("OpenAI/GPT-5-nano", True, "minimal"),
        ("ft:gpt-5-mini:org::id", True, "minimal"),
        ("gpt-5-chat-latest", False, None),
        ("gpt-5.1-chat-latest", True, None),
        ("gpt-5-pro", True, "high"),
        ("gpt-5-codex", True, "low"),
        ("gpt-5.1", True, "none"),
        ("gpt-5.2-pro", True, "medium"),
        ("gpt-5.4-mini", True, "none"),
        ("gpt-6-luna", True, "none"),
        ("gpt-10", True, "none"),
        ("gpt-oss:20b", True, "low"),
        ("o1-2024-12-17", True, "low"),
        ("o1-mini", True, None),
        ("o3-mini", True, "low"),
        ("o4-mini", True, "low"),
        ("o3-deep-research", True, "medium"),
        ("gemini-2.0-flash", False, None),
        ("google/gemini-2.5-flash-lite", True, "none"),
        ("gemini-2.5-pro", True, "low"),
        ("gemini-3.5-flash", True, "minimal"),
        ("gemini-3.7-flash", True, "low"),
        ("gemini-3.1-pro-preview", True, "low"),
        ("grok-4-fast-non-reasoning", False, None),
        ("grok-4-fast-reasoning", True, None),
        ("grok-4.3", True, "none"),
        ("grok-4.5", True, "low"),
        ("deepseek-chat", False, None),
        ("deepseek-reasoner", True, None),
        ("deepseek-v4-flash", True, "low"),
        ("mistral-small-latest", True, "none"),
        ("mistral-large-latest", False, None),
        ("qwen/qwen3-32b", True, None),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", False, None),
        ("kimi-k2-thinking", True, None),
        ("my-own-deployment", False, None),
        ("", False, None),
    ],
)
def test_a_model_reasons_as_its_name_says(model: str, reasons: bool, least: str | None) -> None:  # noqa: FBT001
    manners = manners_of(model)
    assert (manners.reasons, manners.least_effort) == (reasons, least)


@pytest.mark.parametrize(
    ("model", "dialect", "least"),
    [
        ("gpt-5-mini", DIALECTS["openai"], "minimal"),
        ("gpt-4o", DIALECTS["openai"], None),
        ("gpt-5-mini", Dialect(name="x", reasoning_efforts=False), None),
        ("gpt-oss:20b", DIALECTS["ollama"], "low"),
        ("gpt-5-mini", DIALECTS["ollama"], None),
    ],
)
def test_the_least_effort_is_one_that_the_endpoint_takes(
    model: str, dialect: Dialect, least: str | None
) -> None:
    assert least_effort(model, dialect) == least


@given(st.text())
def test_asking_for_manners_never_raises(model: str) -> None:
    manners = manners_of(model)
    assert manners.reasons or manners.least_effort is None
