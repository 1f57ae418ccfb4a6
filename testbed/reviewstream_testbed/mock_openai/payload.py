"""Parses the JSON of a request as strictly as the real endpoint."""

import json
from typing import Any

from aiohttp import web

from reviewstream_testbed.mock_openai.error_bodies import bad_request


async def json_of(request: web.Request) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON value in the body of a request.

    Raises:
        ApiError: 400, the body is not JSON.
    """
    try:
        text = await request.text()
        body = _decoder.decode(text)
        if "\\u" in text:  # only an escape can produce a lone surrogate
            json.dumps(body, ensure_ascii=False).encode()
        return body  # noqa: TRY300 - an else would repeat the type
    except (ValueError, RecursionError, LookupError) as err:  # LookupError: an unknown charset
        raise bad_request(
            "We could not parse the JSON body of your request. The OpenAI API expects a JSON"
            f" payload, but what was sent was not valid JSON: {err}"
        ) from err


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
