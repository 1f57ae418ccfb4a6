"""What every endpoint with OpenAI's chat completions must do; provide `openai_api`.

Spoken with OpenAI's own client. What is `paid` costs money where the endpoint is a real one.

Source: OpenAI, "API reference": "Chat completions", "Models"; "Structured outputs".
"""

import json
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest
from openai import APIStatusError, OpenAI

JOY, GRIEF = "I love it, wonderful!", "I hate it, horrible!"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["POSITIVE", "NEGATIVE"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class OpenAIApi:
    """An endpoint, and the model to ask there."""

    client: OpenAI
    model: str

    def ask(self, text: str, **more: Any) -> Any:
        """Ask for the sentiment of a text."""
        messages = [
            {"role": "system", "content": "Is the review POSITIVE or NEGATIVE? Answer in JSON."},
            {"role": "user", "content": text},
        ]
        usual = {"model": self.model, "messages": messages}
        return self.client.chat.completions.create(**(usual | more))


def following(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the response format that makes an answer follow a schema."""
    named = {"name": "label", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}


@pytest.mark.paid
class CompletionsContract:
    @pytest.mark.parametrize(("text", "sentiment"), [(JOY, "POSITIVE"), (GRIEF, "NEGATIVE")])
    def test_an_answer_follows_the_schema_and_depends_on_the_text(
        self, openai_api: OpenAIApi, text: str, sentiment: str
    ) -> None:
        (choice,) = openai_api.ask(text, response_format=following(SCHEMA)).choices
        answer = json.loads(choice.message.content)
        jsonschema.validate(answer, SCHEMA)
        assert answer == {"sentiment": sentiment}
        assert (choice.index, choice.finish_reason) == (0, "stop")
        assert not choice.message.refusal

    def test_what_was_used_is_counted(self, openai_api: OpenAIApi) -> None:
        answer = openai_api.ask(JOY, response_format=following(SCHEMA))
        assert answer.usage.prompt_tokens > 0
        assert answer.usage.completion_tokens > 0
        total = answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert answer.usage.total_tokens == total

    def test_a_longer_text_takes_more_tokens(self, openai_api: OpenAIApi) -> None:
        short, long = (
            openai_api.ask(text, response_format=following(SCHEMA)).usage.prompt_tokens
            for text in (JOY, JOY * 50)
        )
        assert long > short + 50

    def test_an_answer_says_what_it_is(self, openai_api: OpenAIApi) -> None:
        answer = openai_api.ask(JOY, response_format=following(SCHEMA))
        assert answer.object == "chat.completion"
        assert answer.model.startswith(openai_api.model)
        assert answer.id

    def test_an_answer_stops_at_the_token_limit(self, openai_api: OpenAIApi) -> None:
        answer = openai_api.ask(JOY, response_format=following(SCHEMA), max_completion_tokens=2)
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens <= 2

    def test_json_is_answered_where_json_is_asked_for(self, openai_api: OpenAIApi) -> None:
        answer = openai_api.ask(JOY, response_format={"type": "json_object"})
        assert isinstance(json.loads(answer.choices[0].message.content), dict)

    def test_several_choices_are_given_where_they_are_asked_for(
        self, openai_api: OpenAIApi
    ) -> None:
        choices = openai_api.ask(JOY, response_format=following(SCHEMA), n=2).choices
        assert [choice.index for choice in choices] == [0, 1]

    def test_a_stream_adds_up_to_an_answer(self, openai_api: OpenAIApi) -> None:
        *chunks, last = openai_api.ask(
            JOY,
            response_format=following(SCHEMA),
            stream=True,
            stream_options={"include_usage": True},
        )
        content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        jsonschema.validate(json.loads(content), SCHEMA)
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "stop"]
        assert (last.choices, last.usage.completion_tokens > 0) == ([], True)


class RefusalsContract:
    """What is refused before a model is asked, and costs nothing."""

    def test_a_wrong_key_is_401(self, openai_api: OpenAIApi) -> None:
        other = OpenAIApi(openai_api.client.with_options(api_key="wrong"), openai_api.model)
        with pytest.raises(APIStatusError) as caught:
            other.ask(JOY)
        assert caught.value.status_code == 401

    def test_an_unknown_model_is_404(self, openai_api: OpenAIApi) -> None:
        with pytest.raises(APIStatusError) as caught:
            openai_api.ask(JOY, model="no-such-model")
        assert (caught.value.status_code, caught.value.code) == (404, "model_not_found")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"messages": []},
            {"messages": [{"role": "robot", "content": "hi"}]},
            {"temperature": 3},
            {"n": 0},
            {"stream_options": {"include_usage": True}},
            {"tool_choice": "auto"},
            {"response_format": {"type": "xml"}},
            {"response_format": following({"type": "string"})},
            {"response_format": following({**SCHEMA, "additionalProperties": True})},
            {"response_format": following({**SCHEMA, "required": []})},
        ],
        ids=str,
    )
    def test_a_request_that_makes_no_sense_is_400(
        self, openai_api: OpenAIApi, wrong: dict[str, Any]
    ) -> None:
        with pytest.raises(APIStatusError) as caught:
            openai_api.ask(JOY, **wrong)
        assert caught.value.status_code == 400
        assert caught.value.type == "invalid_request_error"
        assert caught.value.param

    def test_the_model_is_listed_and_described(self, openai_api: OpenAIApi) -> None:
        assert openai_api.model in {model.id for model in openai_api.client.models.list()}
        assert openai_api.client.models.retrieve(openai_api.model).id == openai_api.model
