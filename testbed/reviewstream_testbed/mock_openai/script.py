"""Scripts of faults, which decide the fault of each request.

A script is a JSON object, sent to `POST /_mock/fault`:

    {"sequence": [{"kind": "rate_429", "retry_after": 2, "times": 3}, {"kind": "ok"}, "reset"],
     "rate": 0.2, "faults": ["500", {"kind": "slow", "seconds": 1}], "seed": 7,
     "match": "only requests whose messages hold these words",
     "always": [{"kind": "moderation_403", "words": ["kill", "bomb"]}]}

A request with a word of an `always` item in its messages gets that fault. The first other requests
that match get the items of `sequence`, each one `times` (default 1) times. After these, each
request gets one of `faults` with the probability `rate`.
"""

import random
from collections import deque
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, Final, NamedTuple

from reviewstream_testbed.mock_openai.error_bodies import ApiError
from reviewstream_testbed.mock_openai.fault_kinds import KINDS


class ScriptedFault(NamedTuple):
    """One fault.

    Attributes:
        kind: A key of `KINDS`.
        seconds: Duration of `slow`.
        retry_after: Seconds that the error asks a client to wait; None for no header.
        retry_after_header: Raw header value in place of `retry_after`, such as an HTTP date.
        skew: Seconds by which the clock of `skewed_429` is ahead.
        should_retry: Value of `x-should-retry`; None for no header.
    """

    kind: str
    seconds: float = 1.0
    retry_after: float | None = None
    retry_after_header: str | None = None
    skew: float = 3600.0
    should_retry: bool | None = None


NONE: Final = ScriptedFault("ok")
_FIELDS: Final = {"sequence", "rate", "faults", "seed", "match", "always"}
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "seconds": (int, float),
    "retry_after": (int, float),
    "retry_after_header": (str,),
    "skew": (int, float),
    "should_retry": (bool,),
}


class Script:
    """A parsed script, which decides the fault of each request in turn.

    Args:
        script: JSON object as described in the module docstring.

    Raises:
        ValueError: The script is malformed; the message says where.
    """

    def __init__(self, script: Mapping[str, Any]) -> None:
        unknown = script.keys() - _FIELDS
        if unknown:
            raise ValueError(f"a script has no field {min(unknown)!r}")
        self._always = [_worded(item) for item in script.get("always", ())]
        self._sequence = deque(
            fault for item in script.get("sequence", ()) for fault in _repeated(item)
        )
        self._rate = float(script.get("rate", 0))
        self._faults = [fault_of(item) for item in script.get("faults", ())]
        self._random = random.Random(script.get("seed", 0))  # noqa: S311 - repeatable, not secret
        self._match = str(script.get("match", ""))
        if not 0 <= self._rate <= 1:
            raise ValueError(f"rate is {self._rate:g} (0 to 1)")
        if self._rate and not self._faults:
            raise ValueError("a rate needs faults to choose from")

    def next(self, messages: str) -> ScriptedFault | None:
        """Return the fault of the next request, or None.

        Args:
            messages: All text of the request.
        """
        for words, fault in self._always:
            if any(word in messages for word in words):
                return fault
        if self._match not in messages:
            return None
        if self._sequence:
            return self._sequence.popleft()
        if self._random.random() < self._rate:
            return self._random.choice(self._faults)
        return None


def fault_of(item: Any) -> ScriptedFault:  # noqa: ANN401 - comes from JSON
    """Return the fault that an item of a script describes.

    Raises:
        ValueError: The kind is unknown, or a field is unknown or invalid.
    """
    fields = {"kind": item} if isinstance(item, str) else dict(item)
    kind = str(fields.get("kind"))
    if kind not in KINDS:
        raise ValueError(f"there is no fault {kind!r}; there are {', '.join(KINDS)}")
    for name, value in fields.items():
        if name != "kind":
            _check_field(kind, name, value)
    return ScriptedFault(**fields)


def error_of(fault: ScriptedFault, *, clock: float) -> ApiError | None:
    """Return the error response of a fault, or None if the fault is not an error response.

    Args:
        fault: The fault.
        clock: Seconds since 1970.
    """
    base = KINDS[fault.kind].error
    if base is None:
        return None
    return ApiError(
        base.status,
        base.message,
        param=base.param,
        code=base.code,
        type=base.type,
        headers=_retry_after(fault, clock) | _should_retry(fault),
        cause=base.cause,
        more=base.more,
    )


def _worded(item: Any) -> tuple[tuple[str, ...], ScriptedFault]:  # noqa: ANN401 - comes from JSON
    fields = dict(item)
    words = fields.pop("words", ())
    if isinstance(words, str) or not words or not all(words):
        raise ValueError(f"words is {words!r} (an array of texts, none of them empty)")
    return tuple(map(str, words)), fault_of(fields)


def _repeated(item: Any) -> list[ScriptedFault]:  # noqa: ANN401 - comes from JSON
    if isinstance(item, str):
        return [fault_of(item)]
    fields = dict(item)
    times = int(fields.pop("times", 1))
    return [fault_of(fields)] * times


def _check_field(kind: str, name: str, value: object) -> None:
    known = KINDS[kind].fields
    if name not in known:
        raise ValueError(
            f"fault {kind!r} has no field {name!r} (it has {', '.join(known) or None})"
        )
    types = _TYPES[name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"fault {kind!r}: {name} is {value!r}")


def _should_retry(fault: ScriptedFault) -> dict[str, str]:
    told = fault.should_retry
    return {} if told is None else {"x-should-retry": str(told).lower()}


def _retry_after(fault: ScriptedFault, clock: float) -> dict[str, str]:
    if fault.retry_after_header is not None:
        return {"Retry-After": fault.retry_after_header}
    if fault.kind == "past_429":
        return {"Retry-After": formatdate(clock - 3600, usegmt=True)}
    if fault.kind == "skewed_429":
        theirs = clock + fault.skew
        wait = 1.0 if fault.retry_after is None else fault.retry_after
        dates = {"Date": theirs, "Retry-After": theirs + wait}
        return {name: formatdate(date, usegmt=True) for name, date in dates.items()}
    if fault.retry_after is None:
        return {}
    return {
        "Retry-After": f"{fault.retry_after:g}",
        "retry-after-ms": f"{fault.retry_after * 1000:.0f}",
    }
