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
from typing import Any

from reviewstream_testbed.openai_endpoint.faults import Fault, fault_of


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


def _repeated(item: Any) -> list[Fault]:  # noqa: ANN401 - comes from JSON
    if isinstance(item, str):
        return [fault_of(item)]
    fields = dict(item)
    times = int(fields.pop("times", 1))
    return [fault_of(fields)] * times
