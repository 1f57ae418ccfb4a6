"""Negotiation of the optional request fields that an endpoint accepts.

Endpoints that speak OpenAI's protocol differ in the fields that they accept, and report it only by
refusing a request. Settings of the user are never changed: if one is refused, the run ends.
Settings that are `auto` are changed one step at a time, from the strictest to the weakest, after
the endpoint refused the probe, which contains no text of a user.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import structs

from reviewstream.core.labelling.chat import ChatOptions, MaxTokensField

HIDDEN_ROOMS: Final = (0, 1_500, 6_000)  # tokens per label; a truncated answer selects the next
EFFORTS: Final = ("none", "minimal", "low", None)  # from the least; None: not sent
FORMATS: Final = ("json_schema", "json_object", "text")  # from the strictest
FIELDS: Final = ("response_format", "max_tokens_field", "reasoning_effort")  # may be `auto`

_OTHER: Final[Mapping[MaxTokensField, MaxTokensField]] = {
    "max_completion_tokens": "max_tokens",
    "max_tokens": "max_completion_tokens",
}
_TOO_LARGE: Final = re.compile(r"too (?:large|big|high)|at most|maximum|exceed|less than|greater")
_OPTION_OF: Final = {  # field of a request -> option
    "response_format": "response_format",
    "json_schema": "response_format",
    "strict": "response_format",
    "max_completion_tokens": "max_tokens_field",
    "max_tokens": "max_tokens_field",
    "reasoning_effort": "reasoning_effort",
    "reasoning": "reasoning_effort",
}
_SETTING_OF: Final = {
    "max_tokens_field": "openai.max_tokens_field",
    "response_format": "openai.response_format",
    "reasoning_effort": "openai.reasoning_effort",
    "temperature": "openai.temperature",
    "service_tier": "openai.service_tier",
    "model": "openai.model",
}


class Negotiation:
    """The request options of a process, and the options still to try.

    Args:
        options: Initial options.
        auto: Names of the options that may be changed: of `FIELDS`, and `hidden_tokens_per_label`.

    Attributes:
        options: Options of the next request.
        has_answered: Whether the endpoint has ever answered this process.
        labels_controls: Whether the model labels control texts correctly; None: not tried yet.
    """

    def __init__(self, options: ChatOptions, auto: frozenset[str] = frozenset()) -> None:
        self._first = options
        self._auto = auto
        self.has_answered = False
        self.labels_controls: bool | None = None
        self.reset()

    def reset(self) -> None:
        """Restore the initial options."""
        self.options = self._first
        self._tried = [self._first]

    @property
    def is_roomiest(self) -> bool:
        """Whether the ceiling for hidden reasoning cannot be raised any more."""
        return self._roomier() is None

    def adapt(self, field: str, words: str) -> str | None:
        """Change the options after the endpoint refused the probe.

        Args:
            field: Request field that the endpoint names; empty if it names none.
            words: The endpoint's message.

        Returns:
            The changed settings with their values; None if nothing is left to try.
        """
        for options in self._steps(field, words):
            if options not in self._tried:
                return self._take(options)
        return None

    def make_room(self) -> str | None:
        """Raise the ceiling for hidden reasoning, after it truncated an answer.

        Returns:
            See `adapt`.
        """
        options = self._roomier()
        return None if options is None else self._take(options)

    def _roomier(self) -> ChatOptions | None:
        """Return the options with the next ceiling; None if it is fixed, the last or tried."""
        now = self.options.hidden_tokens_per_label
        larger = next((room for room in HIDDEN_ROOMS if room > now), None)
        if larger is None or "hidden_tokens_per_label" not in self._auto:
            return None
        options = structs.replace(self.options, hidden_tokens_per_label=larger)
        return None if options in self._tried else options

    def _take(self, options: ChatOptions) -> str:
        before, self.options = self.options, options
        self._tried.append(options)
        return ", ".join(
            f"{_SETTING_OF.get(name, 'openai.max_output_tokens_per_label room')}={value}"
            for name in options.__struct_fields__
            if (value := getattr(options, name)) != getattr(before, name)
        )

    def _steps(self, field: str, words: str) -> Iterator[ChatOptions]:
        """Yield options to try, most likely first: for the named field, or else for all."""
        named = _OPTION_OF.get(field)
        if field and named is None:
            return
        if named == "max_tokens_field" and _TOO_LARGE.search(words):
            yield from self._smaller()
        for name in FIELDS if named is None else (named,):
            if name in self._auto:
                yield from self._weaker(name, is_named=named is not None)

    def _smaller(self) -> Iterator[ChatOptions]:
        room = self.options.hidden_tokens_per_label
        if "hidden_tokens_per_label" in self._auto and room > 0:
            yield structs.replace(self.options, hidden_tokens_per_label=room // 2)

    def _weaker(self, name: str, *, is_named: bool) -> Iterator[ChatOptions]:
        now = self.options
        match name:
            case "response_format":
                for form in FORMATS[FORMATS.index(now.response_format) + 1 :]:
                    yield structs.replace(now, response_format=form)
            case "max_tokens_field":
                if now.max_tokens_field == self._first.max_tokens_field:
                    yield structs.replace(now, max_tokens_field=_OTHER[now.max_tokens_field])
            case _:
                efforts = EFFORTS if is_named else (None,)
                if now.reasoning_effort is not None:
                    yield from [structs.replace(now, reasoning_effort=one) for one in efforts]


def setting_of(field: str) -> str:
    """Return the setting of a request field; empty if there is no such setting."""
    return _SETTING_OF.get(_OPTION_OF.get(field, field), "")
