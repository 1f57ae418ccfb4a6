"""Dialects: differences of endpoints from OpenAI's. The entries are in `dialect_table`."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reviewstream_testbed.mock_openai import error_bodies
from reviewstream_testbed.mock_openai.error_bodies import ApiError

Shape = Callable[[ApiError], Any]
FORMATS: Final = ("text", "json_object", "json_schema")
LIMIT_FIELDS: Final = ("max_tokens", "max_completion_tokens")
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Words(NamedTuple):
    """An endpoint's version of an error; a field that is None is the same as OpenAI's.

    Attributes:
        status: HTTP status.
        message: Template with `{model}`, `{param}` and `{message}` (OpenAI's message).
        type: Type of the error.
        code: Machine-readable code; "" for no code.
        more: Additional fields.
        has_param: Whether the error names the invalid field.
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
        reasoning: `inside` if `completion_tokens` includes the hidden tokens (as OpenAI's does),
            `beside` if only `total_tokens` does.
        has_details: Has `prompt_tokens_details` and `completion_tokens_details`.
        cached: Location of the cached tokens: in the `details`, in separate `hit` and miss fields,
            or `nowhere`.
        has_cost: Has a `cost` in US dollars if prices are known.
        more: Additional fields.
    """

    reasoning: str = "inside"
    has_details: bool = True
    cached: str = "details"
    has_cost: bool = False
    more: Mapping[str, Any] = NOTHING


class LimitHeaders(NamedTuple):
    """Names and windows of the rate-limit headers.

    Attributes:
        requests: Header name part for requests; empty for no such headers.
        tokens: The same for tokens.
        requests_minutes: Reported window in minutes, whatever is enforced; 1,440 is a day.
    """

    requests: str = "requests"
    tokens: str = "tokens"
    requests_minutes: int = 1


class MockDialect(NamedTuple):
    """Behaviour of one endpoint.

    Attributes:
        name: Name of the dialect.
        shape: Function that formats the body of an error.
        words: Errors of this endpoint, by cause.
        instead: Kinds of faults that this endpoint replaces by another kind.
        usage: Shape of the `usage` field.
        limits: Rate-limit headers.
        needs_key: Refuses a request without a key.
        knows_models: Accepts only the listed models, with OpenAI's rules for them.
        has_model_rules: Applies OpenAI's model rules for temperature, effort and tokens.
        limit_fields: Accepted fields for the output token limit.
        formats: Accepted response formats.
        unknown: Unknown fields are `refused` or `ignored`.
        refused: OpenAI fields that it refuses.
        ignored: OpenAI fields that it accepts and ignores.
        efforts: Accepted values of `reasoning_effort`; None for the model's own.
        takes_temperature: Accepts a temperature, apart from the model rules.
        content: `text`, or `parts` for answers with hidden tokens.
        reasoning_field: Message field with the reasoning text; empty for no field.
        flex: Price of the flex tier relative to the default tier; None for no flex tier.
        tier: Reported name of the default tier; empty for no report.
        choice: Additional fields of a choice.
        answer: Additional fields of an answer.
    """

    name: str
    shape: Shape = error_bodies.nested
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
        """Return this endpoint's version of an error.

        Args:
            err: The error in OpenAI's words.
            model: The requested model.
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


# Dialect fields that a tenant may change, each with its JSON type.
_CHANGES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "formats": FORMATS,
        "limit_fields": LIMIT_FIELDS,
        "unknown": ("refused", "ignored"),
        "content": ("text", "parts"),
    }
)


def changed(dialect: MockDialect, changes: Mapping[str, Any]) -> MockDialect:
    """Return a dialect with some fields changed.

    Raises:
        ValueError: A field does not exist or has an invalid value.
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
