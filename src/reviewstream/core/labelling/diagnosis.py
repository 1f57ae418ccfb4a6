"""Whose fault is a refusal: this text's, or everybody's?

Before a text is rejected for anything that may be everybody's, the endpoint must have answered some
other request that was sent after the refusal came: another pack's, or the probe's. If the probe
fares no better, no text is at fault. Then what is `auto` in the settings is changed, one step at a
time, or the run ends with the endpoint's words. Nothing is rejected in either case.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NoReturn

from reviewstream.core.labelling.chat import ChatOptions
from reviewstream.core.labelling.circuit_breaker import CircuitBreaker
from reviewstream.core.labelling.controls import known_label
from reviewstream.core.labelling.endpoint.negotiation import Negotiation, setting_of
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.probe import Probe, ProbeResult, Verdict
from reviewstream.errors import FatalError

UNREADABLE: Final = 5  # answers about the probe in a row that cannot be read: no accident
REFUSALS: Final = 2  # of the probe in a row: behind some gateways one of several endpoints refuses
_log = logging.getLogger("reviewstream.labelling")


class Diagnosis:
    """Decides by the probe, once for all who ask at the same time."""

    def __init__(
        self, breaker: CircuitBreaker, probe: Probe, negotiation: Negotiation, policy: LabelPolicy
    ) -> None:
        self._breaker = breaker
        self._probe = probe
        self._negotiation = negotiation
        self._policy = policy
        self._events = 0  # requests sent and refusals that came, in their order
        self._proven = 0  # event at which a request was sent that was answered well
        self._deciding = asyncio.Lock()

    def event(self) -> int:
        """Number something that happens: a request is sent, a refusal has come."""
        self._events += 1
        return self._events

    def prove(self, sent: int) -> None:
        """Note that the request sent at this event was answered well."""
        self._proven = max(self._proven, sent)

    async def is_text_at_fault(self, why: str, options: ChatOptions) -> bool:
        """Say whether the text is at fault; if not, it can be asked about again.

        Args:
            why: What the endpoint said of the text, or what was wrong with the answer.
            options: With which it was asked about.

        Raises:
            FatalError: Everybody is refused, or answered so that nobody can read it.
        """
        since = self.event()
        async with self._deciding:
            await self._ask_until_proven(since, why)
        return options == self._negotiation.options

    async def knows(self, controls: Sequence[str]) -> bool:
        """Say whether the model labels control texts rightly, each asked about alone.

        If it does not, a pack says nothing by contradicting them, and packs go without.
        """
        async with self._deciding:
            if self._negotiation.labels_controls is None:
                found = [await self._is_right(text) for text in controls]
                if None in found:
                    return True  # not known yet: to split a pack is the safe side
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
        """Ask about a control text alone, and again if its label is wrong: that may be chance.

        Returns:
            Whether one of the labels is right; None: there is no answer now.
        """
        for _ in range(2):
            label = await self._probe.label(control)
            if label is None:
                return None
            if label is known_label(control):
                return True
        return False

    def make_room(self, why: str) -> None:
        """Give hidden reasoning more room after an answer that it cut short.

        Raises:
            FatalError: There is no more room to give.
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
            result = await self._breaker.ask_probe()
            match result.verdict:
                case Verdict.ANSWERED:
                    self.prove(sent)
                case Verdict.BUSY | Verdict.FAILED:
                    failures += 1
                    await self._breaker.pause(failures, result)
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
        if result.options == self._negotiation.options:  # else a pack has made room meanwhile
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
