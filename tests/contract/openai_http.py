"""Speaks with the mock endpoint over plain HTTP."""

import json
import urllib.error
import urllib.request
from typing import Any, NamedTuple

from reviewstream_testbed.mock_openai import OpenAIEndpoint

PATIENCE = 30.0  # seconds
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "labels": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "sentiment": {"type": "string", "enum": ["POSITIVE", "NEUTRAL", "NEGATIVE"]},
                    "confidence": {"type": "number"},
                },
                "required": ["id", "sentiment", "confidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["labels"],
    "additionalProperties": False,
}
TEXTS = ["I love it, wonderful!", "I hate it, horrible!", "the chair", "😍😍", "Стул"]
LABELS = ["POSITIVE", "NEGATIVE", "NEUTRAL", "POSITIVE", "NEUTRAL"]


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Any
    text: str

    def json(self) -> Any:
        return json.loads(self.text)

    def labels(self) -> list[dict[str, Any]]:
        content = self.json()["choices"][0]["message"]["content"]
        labels: list[dict[str, Any]] = json.loads(content)["labels"]
        return labels


def body_of(*texts: str, **changes: Any) -> dict[str, Any]:
    """Return a request about texts; a change to `...` leaves a field out."""
    reviews = [{"id": f"r{number}", "text": text} for number, text in enumerate(texts or TEXTS)]
    body = {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Label the reviews."},
            {"role": "user", "content": json.dumps({"reviews": reviews})},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "labels", "strict": True, "schema": SCHEMA},
        },
    } | changes
    return {name: value for name, value in body.items() if value is not ...}


def with_schema(**changes: Any) -> dict[str, Any]:
    """Return a response format with a changed schema."""
    schema = {name: value for name, value in (SCHEMA | changes).items() if value is not ...}
    return {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}


def send(
    endpoint: OpenAIEndpoint,
    body: Any = None,
    *,
    path: str = "/v1/chat/completions",
    key: str | None = "sk-any",
    timeout: float = PATIENCE,
) -> Answer:
    """Send a body, to an address that `path` may name whole, and return whatever is answered."""
    address = path if path.startswith("http") else endpoint.url + path
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers=headers)  # noqa: S310 - http, ours
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as err:
        with err:
            return Answer(err.code, err.headers, err.read().decode())
