"""Settings that may not be what they are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from reviewstream.settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    OpenAISettings,
    RegistrySettings,
)

URLS: tuple[tuple[type[BaseModel], str], ...] = (
    (OpenAISettings, "base_url"),
    (RegistrySettings, "url"),
    (ConnectSettings, "url"),
    (ElasticsearchSettings, "url"),
    (KafkaSettings, "oauth_token_url"),
)
URL = "https://host.example:8443/path/to?key=value&other#part"


@pytest.mark.parametrize(("section", "name"), URLS)
@given(place=st.integers(0, len(URL)), secret=st.sampled_from(["", "user:", "user:hunter2"]))
def test_a_url_that_may_have_a_password_in_it_is_refused_wherever_its_at_sign_is(
    section: type[BaseModel], name: str, place: int, secret: str
) -> None:
    given: dict[str, Any] = {name: f"{URL[:place]}{secret}@{URL[place:]}"}
    with pytest.raises(ValidationError, match="leave user and password out of the URL") as caught:
        section.model_validate(given)
    assert "hunter2" not in str(caught.value)
