"""Dialects: ways in which endpoints differ from OpenAI's. The entries are in `dialect_table`."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reviewstream_testbed.openai_endpoint import errors
from reviewstream_testbed.openai_endpoint.errors import ApiError

Shape = Callable[[ApiError], Any]
FORMATS: Final = ("text", "json_object", "json_schema")
LIMIT_FIELDS: Final = ("max_tokens", "max_completion_tokens")
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Words(NamedTuple):
    """An error in the words of an endpoint; None: as OpenAI says it.

    Attributes:
        status: HTTP status.
        message: `{model}`, `{param}` and `{message}` (OpenAI's words) are filled in.
        type: Family of the error.
        code: Machine-readable; "": there is none.
        more: Further fields.
        has_param: It names the field that is to blame.
    """

    status: int | None = None
    message: str | None = None
    type: str | None = None
    code: str | None = None
    more: Mapping[str, Any] = NOTHING
    has_param: bool = True


class UsageShape(NamedTuple):
    """The shape of `usage`.

    Attributes:
        reasoning: Hidden tokens are `inside` `completion_tokens` (as OpenAI counts), or `beside`
            them, in `total_tokens` only.
        has_details: There are `prompt_tokens_details` and `completion_tokens_details`.
        cached: Cached tokens are in the `details`, as `hit` and miss beside, or `nowhere`.
        has_cost: There is a `cost` in US dollars, where prices are known.
        more: Further fields.
    """

    reasoning: str = "inside"
    has_details: bool = True
    cached: str = "details"
    has_cost: bool = False
    more: Mapping[str, Any] = NOTHING


class LimitHeaders(NamedTuple):
    """Names and windows of the rate-limit headers.

    Attributes:
        requests: Name of the requests in a header; empty: nothing is told of them.
        tokens: Likewise.
        requests_minutes: The window that is told, whatever is enforced: 1,440 is a day.
    """

    requests: str = "requests"
    tokens: str = "tokens"
    requests_minutes: int = 1


class Dialect(NamedTuple):
    """An endpoint's manners.

    Attributes:
        name: As it is asked for.
        shape: Makes the body of an error.
        words: How it says what is wrong, by the cause of an error.
        instead: Kinds of faults that are another one here.
        usage: What an answer says that it cost.
        limits: Headers of limits.
        needs_key: A request without any key is refused.
        knows_models: Only the models that are listed, and their rules, which are OpenAI's.
        has_model_rules: OpenAI's rules for its models hold: temperature, effort, tokens.
        limit_fields: Which of the two fields for the most tokens it takes.
        formats: Which response formats it takes.
        unknown: Fields that it does not know are `refused` or `ignored`.
        refused: Fields of OpenAI's that it refuses.
        ignored: Fields of OpenAI's that it takes, and does not heed.
        efforts: Values of `reasoning_effort` that it takes; None: the model's.
        takes_temperature: Whether it takes one, apart from the rules of models.
        content: `text`, or `parts` where there are hidden tokens.
        reasoning_field: Where a message tells what was thought; empty: nowhere.
        flex: The price of the flex tier in proportion; None: there is no such tier.
        tier: What an answer says of the usual tier; empty: nothing.
        choice: Further fields of a choice.
        answer: Further fields of an answer.
    """

    name: str
    shape: Shape = errors.nested
    words: Mapping[str, Words] = NOTHING
    instead: Mapping[str, str] = NOTHING
    usage: UsageShape = UsageShape()
    limits: LimitHeaders | None = LimitHeaders()
    needs_key: bool = True
    knows_models: bool = False
    has_model_rules: bool = False
    limit_fields: tuple[str, ...] = LIMIT_FIELDS
    formats: tuple[str, ...] = FORMATS
    unknown: str = "refused"
    refused: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()
    efforts: tuple[str, ...] | None = None
    takes_temperature: bool = True
    content: str = "text"
    reasoning_field: str = ""
    flex: Fraction | None = None
    tier: str = ""
    choice: Mapping[str, Any] = NOTHING
    answer: Mapping[str, Any] = NOTHING

    def worded(self, err: ApiError, model: str = "") -> ApiError:
        """Return an error as this endpoint says it.

        Args:
            err: In OpenAI's words.
            model: The one that was asked for.
        """
        words = self.words.get(err.cause)
        if words is None:
            return err
        return ApiError(
            words.status or err.status,
            (words.message or "{message}").format(
                model=model, param=err.param, message=err.message
            ),
            param=err.param if words.has_param else None,
            code=err.code if words.code is None else words.code or None,
            type=err.type if words.type is None else words.type,
            headers=err.headers,
            cause=err.cause,
            more={**words.more, **err.more},
        )


# What a room may change in a dialect; what each may be, in JSON.
_CHANGES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "formats": FORMATS,
        "limit_fields": LIMIT_FIELDS,
        "unknown": ("refused", "ignored"),
        "content": ("text", "parts"),
    }
)


def changed(dialect: Dialect, changes: Mapping[str, Any]) -> Dialect:
    """Return a dialect with some of its manners changed.

    Raises:
        ValueError: there is no such manner, or it cannot be so.
    """
    for name, value in changes.items():
        if name == "takes_temperature" and isinstance(value, bool):
            dialect = dialect._replace(takes_temperature=value)
            continue
        allowed = _CHANGES.get(name)
        if allowed is None:
            known = ", ".join([*_CHANGES, "takes_temperature"])
            raise ValueError(f"{name!r} of a dialect cannot be set; these can: {known}")
        is_one = isinstance(getattr(dialect, name), str)
        given = [value] if is_one else list(value)
        if isinstance(value, str) != is_one or not {*given} <= {*allowed}:
            raise ValueError(f"{name} is {value!r} (of {', '.join(allowed)})")
        change: dict[str, Any] = {name: value if is_one else tuple(value)}
        dialect = dialect._replace(**change)
    return dialect
