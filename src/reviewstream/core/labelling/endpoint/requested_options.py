"""Options of a request as the user asks for them, where `auto` leaves the choice to us."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from reviewstream.core.labelling.chat import ChatOptions, MaxTokensField, ResponseFormat
from reviewstream.core.labelling.endpoint.dialects import Dialect, least_effort
from reviewstream.core.labelling.endpoint.negotiation import FIELDS, HIDDEN_ROOMS
from reviewstream.core.labelling.endpoint.reasoning import manners_of


class RequestedOptions(Struct, frozen=True, kw_only=True):
    """The options that the user set.

    Attributes:
        response_format: A format; `auto`: the dialect's strictest.
        max_tokens_field: A field; `auto`: the dialect's.
        reasoning_effort: An effort; `auto`: the model's least; `default`: not sent.
        temperature: 0 to 2; None: not sent.
        service_tier: A tier; None: not sent.
        extra_body: Additional fields, sent verbatim.
        is_ceiling_set: The user set the ceiling of a label, so that no room for hidden tokens is
            added to it.
    """

    response_format: ResponseFormat | Literal["auto"] = "auto"
    max_tokens_field: MaxTokensField | Literal["auto"] = "auto"
    reasoning_effort: str = "auto"
    temperature: float | None = None
    service_tier: str | None = None
    extra_body: Mapping[str, Any] = {}
    is_ceiling_set: bool = False

    @property
    def auto(self) -> frozenset[str]:
        """The options that may be changed after the endpoint refused them."""
        left = {name for name in FIELDS if getattr(self, name) == "auto"}
        if not self.is_ceiling_set:
            left.add("hidden_tokens_per_label")
        return frozenset(left)

    def first(self, model: str, dialect: Dialect) -> ChatOptions:
        """Return the options of the first request to a model."""
        form, field, effort = self.response_format, self.max_tokens_field, self.reasoning_effort
        if effort == "auto":
            effort = least_effort(model, dialect) or "default"
        has_room = manners_of(model).reasons and effort != "none" and not self.is_ceiling_set
        return ChatOptions(
            response_format=dialect.response_formats[0] if form == "auto" else form,
            max_tokens_field=dialect.max_tokens_field if field == "auto" else field,
            reasoning_effort=None if effort == "default" else effort,
            temperature=self.temperature,
            service_tier=self.service_tier,
            hidden_tokens_per_label=HIDDEN_ROOMS[1] if has_room else 0,
            extra_body=self.extra_body,
        )
