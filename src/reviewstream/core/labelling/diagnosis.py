"""Diagnosis of a refusal: is this text at fault, or does the endpoint refuse every request?

A text is rejected for an ambiguous reason only after the endpoint has answered another request that
was sent after the refusal arrived: that of another pack, or the probe. If the probe fails as well,
no text is at fault. Then the settings that are `auto` are changed one step at a time, or the run
ends with the endpoint's message. In both cases no review is rejected.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NoReturn

from reviewstream.core.labelling.chat import ChatOptions
from reviewstream.core.labelling.circuit_breaker import Circuit
from reviewstream.core.labelling.controls import known_label
from reviewstream.core.labelling.endpoint.negotiation import Negotiation, setting_of
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.probe import Probe, ProbeResult, Verdict
from reviewstream.errors import FatalError

UNREADABLE: Final = 5  # consecutive unparsable answers to the probe
REFUSALS: Final = 2  # consecutive refusals of the probe; one endpoint behind a gateway may refuse
_log = logging.getLogger("reviewstream.labelling")


class Diagnosis:
    """A shared diagnosis by the probe: concurrent callers wait for the same result."""

    def __init__(
        self, circuit: Circuit, probe: Probe, negotiation: Negotiation, policy: LabelPolicy
    ) -> None:
        self._circuit = circuit
        self._probe = probe
        self._negotiation = negotiation
        self._policy = policy
        self._events = 0  # counter of requests sent and refusals received
        self._proven = 0  # event number of the latest sent request that was answered well
        self._deciding = asyncio.Lock()

    def event(self) -> int:
        """Return a new event number, for a request sent or a refusal received."""
        self._events += 1
        return self._events

    def prove(self, sent: int) -> None:
        """Record that the request sent at this event was answered well."""
        self._proven = max(self._proven, sent)

    async def is_text_at_fault(self, why: str, options: ChatOptions) -> bool:
        """Say whether the text is at fault; if not, the caller can send it again.

        Args:
            why: The endpoint's message about the text, or the error in its answer.
            options: Options of the request.

        Raises:
            FatalError: The endpoint refuses every request, or no answer can be parsed.
        """
        since = self.event()
        async with self._deciding:
            await self._ask_until_proven(since, why)
        return options == self._negotiation.options

    async def knows(self, controls: Sequence[str]) -> bool:
        """Say whether the model labels control texts correctly, each in a separate request.

        If it does not, a wrong control label proves nothing, and packs are sent without control
        texts.
        """
        async with self._deciding:
            if self._negotiation.labels_controls is None:
                found = [await self._is_right(text) for text in controls]
                if None in found:
                    return True  # unknown so far; splitting the pack is the safe choice
                self._negotiation.labels_controls = all(found)
                if not self._negotiation.labels_controls:
                    _log.warning(
                        "%s labels texts of ours wrongly that are beyond doubt: packs go without"
                        " control texts, and a review could label the others of its pack."
                        " openai.pack=1 keeps them apart.",
                        self._policy.model,
                    )
            return self._negotiation.labels_controls

    async def _is_right(self, control: str) -> bool | None:
        """Request the label of a control text, and once more if it is wrong by chance.

        Returns:
            Whether one of the labels is correct; None if the endpoint does not answer.
        """
        for _ in range(2):
            label = await self._probe.label(control)
            if label is None:
                return None
            if label is known_label(control):
                return True
        return False

    def make_room(self, why: str) -> None:
        """Raise the ceiling for hidden reasoning after it truncated an answer.

        Raises:
            FatalError: The ceiling is at its maximum.
        """
        changed = self._negotiation.make_room()
        if changed is None:
            self._negotiation.reset()
            raise FatalError(
                f"{self._policy.model} at {self._policy.endpoint} uses up its room by reasoning"
                f" that the answer does not show ({why}): ask for less by"
                " openai.reasoning_effort, or give it more by openai.max_output_tokens_per_label"
            )
        _log.warning(
            "%s reasons before it answers (%s): each label gets room for %d hidden tokens from now"
            " on. openai.reasoning_effort asks for less reasoning;"
            " openai.max_output_tokens_per_label sets the room.",
            self._policy.model,
            why,
            self._negotiation.options.hidden_tokens_per_label,
        )

    async def _ask_until_proven(self, since: int, why: str) -> None:
        failures = unreadable = refusals = 0
        while self._proven <= since:
            sent = self.event()
            result = await self._circuit.ask_probe()
            match result.verdict:
                case Verdict.ANSWERED:
                    self.prove(sent)
                case Verdict.BUSY | Verdict.FAILED:
                    failures += 1
                    await self._circuit.pause(failures, result)
                case Verdict.CUT:
                    self._widen(result)
                case Verdict.REFUSED:
                    refusals += 1
                    if result.field or refusals == REFUSALS:
                        refusals = 0
                        self._adapt(result, why)
                case _:
                    unreadable += 1
                    if unreadable == UNREADABLE:
                        self._stop_unreadable(result)

    def _widen(self, result: ProbeResult) -> None:
        if result.options == self._negotiation.options:  # else a pack has done so meanwhile
            self.make_room(result.words)

    def _adapt(self, result: ProbeResult, why: str) -> None:
        changed = None
        if result.may_adapt:
            changed = self._negotiation.adapt(result.field, result.words)
        if changed is None:
            self._stop_refused(result, why)
        _log.warning(
            "%s refuses requests as they were made (%s): trying %s. Set it to save the attempts.",
            self._policy.endpoint,
            result.words,
            changed,
        )

    def _stop_refused(self, result: ProbeResult, why: str) -> NoReturn:
        self._negotiation.reset()
        setting = setting_of(result.field)
        hint = f"see {setting}" if setting else "`reviewstream doctor --model` tries what it takes"
        also = "" if why == result.words else f"; first it said: {why}"
        raise FatalError(
            f"{self._policy.endpoint} refuses every request to {self._policy.model}, even one"
            f" about a text of ours: {result.words}{also}; {hint}"
        )

    def _stop_unreadable(self, result: ProbeResult) -> NoReturn:
        self._negotiation.reset()
        raise FatalError(
            f"{self._policy.model} at {self._policy.endpoint} answers nothing that can be read,"
            f" even about a text of ours: {result.words}; see openai.model and"
            " openai.response_format"
        )
