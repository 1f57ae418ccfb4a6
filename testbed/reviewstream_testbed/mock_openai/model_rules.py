"""Refuses parameters that the model, or the endpoint for all models, does not support."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from reviewstream_testbed.mock_openai import models
from reviewstream_testbed.mock_openai.error_bodies import ApiError, bad_request
from reviewstream_testbed.mock_openai.field_errors import off_list
from reviewstream_testbed.mock_openai.mock_dialects import MockDialect

FLEX: Final = "flex"
_ONLY_ONE: Final = ("temperature", "top_p")  # a reasoning model accepts only the default


def check_model_rules(body: Mapping[str, Any], dialect: MockDialect) -> None:
    """Refuse an unsupported temperature, effort, token limit or tier.

    Args:
        body: The request; each parameter has the right type.
        dialect: Dialect of the endpoint.

    Raises:
        ApiError: 400.
    """
    family = family_in(body, dialect)
    if dialect.has_model_rules and not family.is_open:
        _check_closed(body)
    if body.get("temperature") is not None and not dialect.takes_temperature:
        raise _only_default("temperature", body["temperature"])
    _check_effort(body.get("reasoning_effort"), family, dialect)
    if body.get("service_tier") == FLEX and not has_flex(body, dialect):
        raise bad_request(f"Unsupported service_tier: {FLEX}", param="service_tier", cause="tier")


def family_in(body: Mapping[str, Any], dialect: MockDialect) -> models.Family:
    """Return the rules of the requested model."""
    return models.family_of(body["model"]) if dialect.has_model_rules else models.ANY


def has_flex(body: Mapping[str, Any], dialect: MockDialect) -> bool:
    """Report whether the model is available in the flex tier."""
    return dialect.flex is not None and family_in(body, dialect).has_flex


def _check_closed(body: Mapping[str, Any]) -> None:
    for name in _ONLY_ONE:
        if body.get(name) not in (None, 1):
            raise _only_default(name, body[name])
    if body.get("max_tokens") is not None:
        raise bad_request(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
            " 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )


def _only_default(name: str, value: float) -> ApiError:
    return bad_request(
        f"Unsupported value: '{name}' does not support {value:g} with this model. Only the default"
        " (1) value is supported.",
        param=name,
        code="unsupported_value",
        cause="temperature",
    )


def _check_effort(effort: str | None, family: models.Family, dialect: MockDialect) -> None:
    if effort is None:
        return
    if dialect.has_model_rules and not family.reasons:
        raise bad_request(
            "Unsupported parameter: 'reasoning_effort' is not supported with this model.",
            param="reasoning_effort",
            code="unsupported_parameter",
            cause="effort",
        )
    taken = family.efforts if dialect.efforts is None else dialect.efforts
    if effort in taken:
        return
    if effort not in models.EFFORTS:
        raise off_list("reasoning_effort", effort, tuple(models.EFFORTS))
    raise bad_request(
        f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model."
        f" Supported values are: {_listed(taken)}.",
        param="reasoning_effort",
        code="unsupported_value",
        cause="effort",
    )


def _listed(values: Sequence[str]) -> str:
    *others, last = [f"'{value}'" for value in values]
    return f"{', '.join(others)}, and {last}" if others else last
