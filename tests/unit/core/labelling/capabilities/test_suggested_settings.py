"""The settings that are suggested after an endpoint was checked, as somebody pastes them."""

import tomllib

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.app import first_options
from reviewstream.app import suggested_settings as suggested
from reviewstream.cli.toml_table import as_toml
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.errors import RefusedError
from reviewstream.settings import Settings
from tests.unit.core.labelling.capabilities.test_check import answered, check, settings_of


@given(
    st.sampled_from(["json_schema", "json_object", "text"]),
    st.sampled_from(["max_completion_tokens", "max_tokens"]),
    st.sampled_from(["openai", "deepseek", "mistral", "xai", "generic"]),
    st.sampled_from(["gpt-5-mini", "some-model"]),
)
def test_with_the_pasted_settings_the_first_request_is_the_one_that_was_answered(
    form: str, field: str, dialect: str, model: str
) -> None:
    forms = ["json_schema", "json_object", "text"]
    refused = forms[: forms.index(form)]

    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        if request.options.response_format in refused:
            return RefusedError("HTTP 400: no", field="response_format")
        if request.options.max_tokens_field != field:
            return RefusedError("HTTP 400: no", field="max_tokens")
        return answered(request)

    settings = settings_of(model=model, dialect=dialect)
    found, _, _ = check(behave, settings)
    assert found.base is not None
    table = tomllib.loads(as_toml("openai", suggested(found, settings)))
    pasted = Settings(**table).openai
    assert first_options(pasted) == structs.replace(
        found.base.options,
        hidden_tokens_per_label=first_options(pasted).hidden_tokens_per_label,
    )
    assert "auto" not in msgspec.json.encode(table).decode()


def test_a_pasted_address_keeps_the_version_and_nothing_else_of_its_query() -> None:
    def address(query: str) -> object:
        settings = settings_of(base_url=f"https://model.example/v1{query}")
        return suggested(check(answered, settings)[0], settings)["base_url"]

    assert address("?api-version=2026-01-01") == "https://model.example/v1?api-version=2026-01-01"
    assert address("?key=secret") == "https://model.example/v1"
    assert address("?api-version=1&key=secret") == "https://model.example/v1"


def test_fields_of_the_user_s_own_are_suggested_as_they_are() -> None:
    body = {"seed": 1, "top k": 0.5, "is on": True, "chat": {"tags": ["a", {"b": 2}]}}
    settings = settings_of(extra_body={**body, "none": None})
    table = tomllib.loads(as_toml("openai", suggested(check(answered, settings)[0], settings)))
    assert table["openai"]["extra_body"] == body
