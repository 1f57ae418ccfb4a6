"""What models cost, as their makers listed it on a certain day. What a user says wins."""

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from reviewstream.core.costs import Prices

AS_OF: Final = date(2026, 3, 1)
USD_PER_MILLION: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {  # tokens of the prompt, of the completion
        "gpt-4.1": (2.00, 8.00),
        "gpt-4.1-mini": (0.40, 1.60),
        "gpt-4.1-nano": (0.10, 0.40),
        "gpt-4o": (2.50, 10.00),
        "gpt-4o-mini": (0.15, 0.60),
        "gpt-5": (1.25, 10.00),
        "gpt-5-mini": (0.25, 2.00),
        "gpt-5-nano": (0.05, 0.40),
        "o3": (2.00, 8.00),
        "o3-mini": (1.10, 4.40),
        "o4-mini": (1.10, 4.40),
    }
)

_SNAPSHOT: Final = re.compile(r"-\d{4}-\d\d-\d\d\Z")  # a dated model costs what its name does


def prices_of(model: str, *, prompt: float | None, completion: float | None) -> Prices | None:
    """Return the prices of a model, or None if they are not known.

    Args:
        model: As it is asked for.
        prompt: US dollars for a million tokens, if the user says so.
        completion: Likewise.
    """
    listed = USD_PER_MILLION.get(_SNAPSHOT.sub("", model))
    if listed is not None:
        prompt = listed[0] if prompt is None else prompt
        completion = listed[1] if completion is None else completion
    if prompt is None or completion is None:
        return None
    return Prices.from_usd(prompt=prompt, completion=completion)
