"""How endpoints that speak OpenAI's chat completions differ from OpenAI's, as data."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct

from reviewstream.core.chat import MaxTokensField, ResponseFormat
from reviewstream.errors import ConfigError

MINUTE: Final = 60  # seconds
DAY: Final = 86_400  # seconds


class LimitHeader(Struct, frozen=True):
    """A response header that holds a rate limit.

    Attributes:
        name: In lower case.
        of: What is limited.
        window_seconds: Period that the limit is for.
    """

    name: str
    of: Literal["requests", "tokens"]
    window_seconds: int = MINUTE


class Dialect(Struct, frozen=True, kw_only=True):
    """What an endpoint takes and how it reports errors and limits.

    Attributes:
        hosts: Suffixes of host names, or `:port` of local servers, that choose the dialect.
        provider: Id that genai-prices uses for the endpoint, or None.
        max_tokens_field: Name of the field that holds the ceiling of the answer.
        response_formats: What it takes, strictest first.
        reasoning_efforts: Values of `reasoning_effort` that it takes: True: those of the model;
            False: the field is refused.
        limit_headers: Its rate limits.
        quota: Names of errors: credit or a budget is spent.
        account: The key or its permissions.
        moderation: A content filter.
        too_long: The request does not fit the model's context.
        bad_answer: The model's answer did not follow the schema.
        capacity: No capacity for the service tier.
    """

    name: str
    hosts: tuple[str, ...] = ()
    provider: str | None = None
    max_tokens_field: MaxTokensField = "max_tokens"
    response_formats: tuple[ResponseFormat, ...] = ("json_schema", "json_object", "text")
    reasoning_efforts: bool | tuple[str, ...] = True
    limit_headers: tuple[LimitHeader, ...] = ()
    quota: frozenset[str] = frozenset()
    account: frozenset[str] = frozenset()
    moderation: frozenset[str] = frozenset()
    too_long: frozenset[str] = frozenset()
    bad_answer: frozenset[str] = frozenset()
    capacity: frozenset[str] = frozenset()


class ModelManners(Struct, frozen=True, kw_only=True):
    """How a model reasons.

    Attributes:
        reasons: It may spend tokens that the answer does not show.
        least_effort: Least `reasoning_effort` that it takes, or None if it takes none.
    """

    reasons: bool = False
    least_effort: str | None = None


_ALL: Final = (
    Dialect(name="openai", hosts=("api.openai.com",), max_tokens_field="max_completion_tokens"),
    Dialect(name="generic"),
)
DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({one.name: one for one in _ALL})
QUOTA_NAMES: Final = frozenset[str]().union(*(one.quota for one in _ALL))
ACCOUNT_NAMES: Final = frozenset[str]().union(*(one.account for one in _ALL))
MODERATION_NAMES: Final = frozenset[str]().union(*(one.moderation for one in _ALL))
TOO_LONG_NAMES: Final = frozenset[str]().union(*(one.too_long for one in _ALL))
BAD_ANSWER_NAMES: Final = frozenset[str]().union(*(one.bad_answer for one in _ALL))
CAPACITY_NAMES: Final = frozenset[str]().union(*(one.capacity for one in _ALL))


def dialect_of(base_url: str, name: str = "auto") -> Dialect:
    """Return a dialect by its name, or by the address if the name is `auto`.

    Raises:
        ConfigError: there is no such dialect; names those that there are.
    """
    del base_url
    if name == "auto":
        return DIALECTS["generic"]
    if name not in DIALECTS:
        raise ConfigError(f"openai.dialect (REVIEWSTREAM_OPENAI__DIALECT) is {name!r}")
    return DIALECTS[name]


def manners_of(model: str) -> ModelManners:
    """Return how a model reasons, by its name. Never raises."""
    del model
    return ModelManners()
