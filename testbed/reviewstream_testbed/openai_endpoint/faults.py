"""Scripted misbehaviour: which request meets which fault.

A script is a JSON object, sent to `POST /_mock/fault`:

    {"sequence": [{"kind": "rate_429", "retry_after": 2, "times": 3}, {"kind": "ok"}, "reset"],
     "rate": 0.2, "faults": ["500", {"kind": "slow", "seconds": 1}], "seed": 7,
     "match": "only requests whose messages hold these words"}

The items of `sequence` meet the first requests that match, each one `times` (1) times; after them,
each request meets one of `faults` with the probability `rate`.
"""

import random
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from reviewstream_testbed.openai_endpoint.errors import ApiError, bad_request

KINDS: Final[Mapping[str, str]] = {
    "ok": "no fault",
    "400": "HTTP 400",
    "401": "HTTP 401",
    "500": "HTTP 500",
    "503": "HTTP 503",
    "rate_429": "HTTP 429, too many requests; `retry_after` seconds or `retry_after_header` as is",
    "quota_429": "HTTP 429, the quota is spent",
    "slow": "answers after `seconds`",
    "hang": "never answers",
    "reset": "resets the connection without an answer",
    "truncated_json": "HTTP 200, the body breaks off",
    "html": "HTTP 200, a page of HTML, as a proxy in between may send",
    "empty_choices": "HTTP 200, no choice",
    "refusal": "the model refuses",
    "length": "the answer is cut short by the token limit",
    "off_list_label": "a sentiment that the schema does not allow",
    "wrong_id": "the last id is another one",
    "missing_id": "the last label is missing",
    "extra_id": "one label more, under an id that nobody asked about",
}


class Fault(NamedTuple):
    """One fault.

    Attributes:
        kind: A key of `KINDS`.
        seconds: How long `slow` takes.
        retry_after: What `rate_429` asks for, in seconds; None: it does not say.
        retry_after_header: Sent as it is in place of `retry_after`, such as an HTTP date.
    """

    kind: str
    seconds: float = 1.0
    retry_after: float | None = None
    retry_after_header: str | None = None


NONE: Final = Fault("ok")


class Script:
    """Deals out faults, one decision per request.

    Args:
        script: As described above.

    Raises:
        ValueError: the script is malformed; says where.
    """

    def __init__(self, script: Mapping[str, Any]) -> None:
        unknown = script.keys() - {"sequence", "rate", "faults", "seed", "match"}
        if unknown:
            raise ValueError(f"a script has no field {min(unknown)!r}")
        self._sequence = deque(
            fault for item in script.get("sequence", ()) for fault in [_fault(item)] * _times(item)
        )
        self._rate = float(script.get("rate", 0))
        self._faults = [_fault(item) for item in script.get("faults", ())]
        self._random = random.Random(script.get("seed", 0))  # noqa: S311 - repeatable, not secret
        self._match = str(script.get("match", ""))
        if not 0 <= self._rate <= 1:
            raise ValueError(f"rate is {self._rate:g} (0 to 1)")
        if self._rate and not self._faults:
            raise ValueError("a rate needs faults to choose from")

    def next(self, messages: str) -> Fault | None:
        """Return the fault that the next request meets, or None.

        Args:
            messages: All text of the request.
        """
        if self._match not in messages:
            return None
        if self._sequence:
            return self._sequence.popleft()
        if self._random.random() < self._rate:
            return self._random.choice(self._faults)
        return None


def _fault(item: Any) -> Fault:  # noqa: ANN401 - comes from JSON
    fields = {"kind": item} if isinstance(item, str) else dict(item)
    fields.pop("times", None)
    if fields.get("kind") not in KINDS:
        raise ValueError(f"there is no fault {fields.get('kind')!r}; there are {', '.join(KINDS)}")
    try:
        return Fault(**fields)
    except TypeError as err:
        raise ValueError(f"fault {fields['kind']!r}: {err}") from err


def _times(item: Any) -> int:  # noqa: ANN401 - comes from JSON
    return int(item.get("times", 1)) if isinstance(item, Mapping) else 1


_ERRORS: Final[Mapping[str, ApiError]] = {
    "400": bad_request("This request was refused by a script.", code="scripted"),
    "401": ApiError(401, "Incorrect API key provided: sk-****.", code="invalid_api_key"),
    "500": ApiError(
        500, "The server had an error while processing your request.", type="server_error"
    ),
    "503": ApiError(
        503, "The engine is currently overloaded, please try again later.", type="server_error"
    ),
    "rate_429": ApiError(
        429,
        "Rate limit reached for requests. Please try again later.",
        type="requests",
        code="rate_limit_exceeded",
    ),
    "quota_429": ApiError(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        type="insufficient_quota",
        code="insufficient_quota",
    ),
}


def error_of(fault: Fault) -> ApiError | None:
    """Return the error that a fault answers with, or None if it does something else."""
    base = _ERRORS.get(fault.kind)
    if base is None:
        return None
    headers = {}
    if fault.retry_after_header is not None:
        headers["Retry-After"] = fault.retry_after_header
    elif fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
        headers["retry-after-ms"] = f"{fault.retry_after * 1000:.0f}"
    return ApiError(
        base.status,
        base.message,
        param=base.param,
        code=base.code,
        type=base.type,
        headers=headers,
    )
