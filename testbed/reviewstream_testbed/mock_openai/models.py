"""The models, with their hidden tokens and accepted parameters.

Sources, read in November 2026: OpenAI's API reference (`reasoning_effort`), its guides "Reasoning
models" and "Flex processing", and the error words in anomalyco/opencode#4451,
livekit/agents#3966, bolna-ai/bolna#852 and repowise-dev/repowise#987. No model was called.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

# Hidden tokens by effort, in per cent of those with "medium".
EFFORTS: Final[Mapping[str, int]] = MappingProxyType(
    {"none": 0, "minimal": 5, "low": 30, "medium": 100, "high": 200, "xhigh": 400, "max": 400}
)


class Family(NamedTuple):
    """Rules shared by the models of a family.

    Attributes:
        efforts: Accepted values of `reasoning_effort`; empty if the models do not reason.
        default: Effort if the request does not set one.
        has_flex: Available in the flex tier.
        is_open: Accept a temperature and `max_tokens`, like models that do not reason.
    """

    efforts: tuple[str, ...] = ()
    default: str = "none"
    has_flex: bool = False
    is_open: bool = False

    @property
    def reasons(self) -> bool:
        """Report whether the models have hidden tokens."""
        return bool(self.efforts)

    def percent(self, effort: str | None) -> int:
        """Return the number of hidden tokens, in per cent of the usual number."""
        return EFFORTS.get(effort or self.default, EFFORTS["medium"]) if self.reasons else 0


PLAIN: Final = Family(is_open=True)
ANY: Final = Family(tuple(EFFORTS), "medium", has_flex=True, is_open=True)
_LATER: Final = ("none", "low", "medium", "high")
_FAMILIES: Final[tuple[tuple[str, Family], ...]] = (
    (r"gpt-3\.5|gpt-4|chatgpt-|gpt-5[\d.]*-chat", PLAIN),
    (r"gpt-5\.1\b", Family(_LATER, "none", has_flex=True)),
    (r"gpt-5\.\d|gpt-[6-9]", Family((*_LATER, "xhigh"), "none", has_flex=True)),
    (r"gpt-5\b", Family(("minimal", "low", "medium", "high"), "medium", has_flex=True)),
    (r"o3(-\d{4}|\Z)|o4-mini", Family(("low", "medium", "high"), "medium", has_flex=True)),
    (r"o\d", Family(("low", "medium", "high"), "medium")),
)
_PATTERNS: Final = tuple((re.compile(pattern), family) for pattern, family in _FAMILIES)
OPENAI: Final[Mapping[str, str]] = MappingProxyType(
    {  # name in the request -> name in the answer
        "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
        "gpt-4o": "gpt-4o-2024-08-06",
        "gpt-4.1": "gpt-4.1-2025-04-14",
        "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
        "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
        "gpt-5": "gpt-5-2025-08-07",
        "gpt-5-mini": "gpt-5-mini-2025-08-07",
        "gpt-5-nano": "gpt-5-nano-2025-08-07",
        "gpt-5.1": "gpt-5.1-2025-11-13",
        "gpt-5.2": "gpt-5.2-2025-12-11",
        **{name: name for name in ("gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.5")},
        **{name: name for name in ("gpt-5.6-luna", "gpt-5.6-sol", "gpt-5.6-terra")},
        **{name: name for name in ("gpt-6-luna", "gpt-6-sol", "gpt-6.1-sol", "gpt-6.1-terra")},
        "o1": "o1-2024-12-17",
        "o3": "o3-2025-04-16",
        "o3-mini": "o3-mini-2025-01-31",
        "o4-mini": "o4-mini-2025-04-16",
    }
)


NAMES: Final = frozenset({*OPENAI, *OPENAI.values()})


@lru_cache(maxsize=1024)
def family_of(name: str) -> Family:
    """Return the family of a model; an owner prefix in the name is ignored."""
    own = name.rpartition("/")[2]
    return next((family for pattern, family in _PATTERNS if pattern.match(own)), ANY)


def dated(name: str) -> str:
    """Return the model name that answers contain."""
    return OPENAI.get(name, name)
