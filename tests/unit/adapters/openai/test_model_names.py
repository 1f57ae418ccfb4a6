"""The name under which a model's labels are in the ledger."""

import pytest

from reviewstream.adapters.openai.model_names import ledger_name
from reviewstream.settings import OpenAISettings


@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        ("https://api.openai.com/v1", "m"),
        ("https://eu.api.openai.com/v1/", "m"),
        ("https://api.openai.com.evil.example/v1", "m at api.openai.com.evil.example/v1"),
        ("https://notapi.openai.com", "m at notapi.openai.com"),
        ("http://127.0.0.1:8089/v1/", "m at 127.0.0.1:8089/v1"),
        ("https://gate.example/v1?key=secret", "m at gate.example/v1"),
    ],
)
def test_a_model_of_another_endpoint_has_another_name(base_url: str, name: str) -> None:
    assert ledger_name(OpenAISettings(model="m", base_url=base_url)) == name
    assert ledger_name(OpenAISettings(base_url=base_url, ledger_name="mine")) == "mine"
