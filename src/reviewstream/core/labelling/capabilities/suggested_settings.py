"""Suggested settings, derived from an endpoint's capabilities."""

from typing import Any, Final

from msgspec import structs

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
from reviewstream.core.labelling.endpoint.requested_options import RequestedOptions
from reviewstream.core.labelling.policy import LabelPolicy

VERSION_QUERY: Final = "api-version="  # not a secret; other parts of a query may be a key
SMALL: Final = 32  # hidden tokens that fit into the default ceiling of a label


def suggested(
    found: Capabilities,
    policy: LabelPolicy,
    requested: RequestedOptions,
    *,
    base_url: str,
    dialect: str,
) -> dict[str, Any]:
    """Return settings of section `openai` with which the first request succeeds.

    Empty if the endpoint has not answered. Keys, prices and other settings are not included.

    Args:
        found: Capabilities of the endpoint.
        policy: Policy that was tried.
        requested: Options that were tried first.
        base_url: Address of the endpoint.
        dialect: Name of a dialect, or `auto`.
    """
    if found.base is None:
        return {}
    options, best = found.base.options, _best_effort(found, found.base, requested)
    effort, needed = best.options.reasoning_effort, 0
    if _hidden(best) > SMALL:
        needed = max(options.hidden_tokens_per_label, HIDDEN_ROOMS[1])
    address, _, query = base_url.partition("?")
    if query and "&" not in query and query.startswith(VERSION_QUERY):
        address = base_url
    spoken = dialect_of(base_url, dialect)
    values: dict[str, Any] = {
        "base_url": address,
        "model": policy.model,
        "dialect": spoken.name,
        "response_format": options.response_format,
        "max_tokens_field": options.max_tokens_field,
        "reasoning_effort": "default" if effort is None else effort,
        "temperature": options.temperature,
        "service_tier": options.service_tier,
        "extra_body": dict(requested.extra_body) or None,
    }
    values = {name: value for name, value in values.items() if value is not None}
    suggestion = structs.replace(requested, reasoning_effort=values["reasoning_effort"])
    room = suggestion.first(policy.model, spoken).hidden_tokens_per_label
    if requested.is_ceiling_set or room >= needed:
        return values
    return values | {  # the default ceiling is too small for the hidden tokens
        "max_output_tokens_per_label": policy.tokens_per_label + needed,
        "max_pack_tokens": policy.max_pack_tokens + (policy.pack + MAX_CONTROLS) * needed,
    }


def _best_effort(found: Capabilities, base: Trial, requested: RequestedOptions) -> Trial:
    """Return the trial with the best effort: the user's, or that with the fewest hidden tokens."""
    is_dropped = any("openai.reasoning_effort" in one.settings for one in found.dropped)
    if requested.reasoning_effort != "auto" and not is_dropped:
        return base
    efforts = (of_effort(found.trials, effort) for effort in EFFORTS)
    answered = [one for one in efforts if one is not None and one.outcome is Outcome.ANSWERED]
    return min([base, *answered], key=_hidden)


def _hidden(trial: Trial) -> int:
    return 0 if trial.answer is None else hidden_tokens(trial.answer)
