"""Reads the JSON of a request, as strictly as the real endpoint does."""

import json
from typing import Any

from aiohttp import web

from reviewstream_testbed.openai_endpoint.errors import bad_request


async def json_of(request: web.Request) -> Any:  # noqa: ANN401 - a request may hold anything
    """Return what the body of a request holds.

    Raises:
        ApiError: 400, it is no JSON.
    """
    try:
        text = await request.text()
        body = _decoder.decode(text)
        if "\\u" in text:  # only by an escape can there be a lone surrogate
            json.dumps(body, ensure_ascii=False).encode()
        return body  # noqa: TRY300 - an else would have to repeat the type
    except (ValueError, RecursionError, LookupError) as err:  # LookupError: an unknown charset
        raise bad_request(
            "We could not parse the JSON body of your request. The OpenAI API expects a JSON"
            f" payload, but what was sent was not valid JSON: {err}"
        ) from err


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)
