"""Suggested settings, derived from an endpoint's capabilities."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from reviewstream.app import first_options
from reviewstream.core.labelling.capabilities.check import EFFORTS, of_effort
from reviewstream.core.labelling.capabilities.trials import (
    Capabilities,
    Outcome,
    Trial,
    hidden_tokens,
)
from reviewstream.core.labelling.controls import MAX_CONTROLS
from reviewstream.core.labelling.endpoint.dialects import dialect_of
from reviewstream.core.labelling.endpoint.negotiation import HIDDEN_ROOMS
from reviewstream.settings import OpenAISettings

VERSION_QUERY: Final = "api-version="  # not a secret; other parts of a query may be a key
SMALL: Final = 32  # hidden tokens that fit into the default ceiling of a label


def suggested(found: Capabilities, settings: OpenAISettings) -> dict[str, Any]:
    """Return settings of section `openai` with which the first request succeeds.

    Empty if the endpoint has not answered. Keys, prices and other settings are not included.
    """
    if found.base is None:
        return {}
    options, best = found.base.options, _best_effort(found, found.base, settings)
    effort, needed = best.options.reasoning_effort, 0
    if _hidden(best) > SMALL:
        needed = max(options.hidden_tokens_per_label, HIDDEN_ROOMS[1])
    address, _, query = settings.base_url.partition("?")
    if query and "&" not in query and query.startswith(VERSION_QUERY):
        address = settings.base_url
    values: dict[str, Any] = {
        "base_url": address,
        "model": settings.model,
        "dialect": dialect_of(settings.base_url, settings.dialect).name,
        "response_format": options.response_format,
        "max_tokens_field": options.max_tokens_field,
        "reasoning_effort": "default" if effort is None else effort,
        "temperature": options.temperature,
        "service_tier": options.service_tier,
        "extra_body": dict(settings.extra_body) or None,
    }
    values = {name: value for name, value in values.items() if value is not None}
    return values | _room(needed, settings.model_copy(update=values))


def as_toml(section: str, values: Mapping[str, Any]) -> str:
    """Return a TOML table; values may be any JSON value, but null is omitted inside values."""
    lines = [f"{name} = {_quoted(value)}" for name, value in values.items()]
    return "\n".join([f"[{section}]", *lines])


def _best_effort(found: Capabilities, base: Trial, settings: OpenAISettings) -> Trial:
    """Return the trial with the best effort: the user's, or that with the fewest hidden tokens."""
    is_dropped = any("openai.reasoning_effort" in one.settings for one in found.dropped)
    if settings.reasoning_effort != "auto" and not is_dropped:
        return base
    efforts = (of_effort(found.trials, effort) for effort in EFFORTS)
    answered = [one for one in efforts if one is not None and one.outcome is Outcome.ANSWERED]
    return min([base, *answered], key=_hidden)


def _hidden(trial: Trial) -> int:
    return 0 if trial.answer is None else hidden_tokens(trial.answer)


def _room(needed: int, settings: OpenAISettings) -> dict[str, Any]:
    """Return the settings that make room for hidden tokens, where the default is too small.

    Args:
        needed: Tokens per label.
        settings: Settings with all other suggestions.
    """
    if "max_output_tokens_per_label" in settings.model_fields_set or (
        first_options(settings).hidden_tokens_per_label >= needed
    ):
        return {}
    return {
        "max_output_tokens_per_label": settings.max_output_tokens_per_label + needed,
        "max_pack_tokens": settings.max_pack_tokens + (settings.pack + MAX_CONTROLS) * needed,
    }


def _quoted(value: object) -> str:
    if isinstance(value, dict):
        pairs = [f"{_quoted(k)} = {_quoted(v)}" for k, v in value.items() if v is not None]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_quoted(one) for one in value if one is not None)}]"
    return msgspec.json.encode(value).decode()  # JSON strings and numbers are valid TOML
