"""Report of an endpoint's capabilities: one line per finding."""

import re
from collections.abc import Iterator
from statistics import median
from typing import Final, Literal

from msgspec import Struct, structs

from reviewstream.core.labelling.capabilities.check import EFFORTS, is_of_key, of_effort
from reviewstream.core.labelling.capabilities.trials import (
    TAKEN,
    Capabilities,
    Outcome,
    Trial,
    hidden_tokens,
)
from reviewstream.core.labelling.chat import ChatAnswer, RateLimits
from reviewstream.core.labelling.costs import MILLION
from reviewstream.core.labelling.endpoint.dialects import dialect_of
from reviewstream.core.labelling.policy import LabelPolicy

SHORT: Final = 160  # characters of an endpoint's message in a finding that is not a failure
MUCH_DEARER: Final = 1.05  # ratio of the reported cost to the cost by the prices

State = Literal["ok", "beware", "failed", "unknown"]


class Finding(Struct, frozen=True, kw_only=True):
    """One line of the report.

    Attributes:
        fix: Suggested action; empty if no action is needed, or if `detail` contains it.
    """

    name: str
    state: State
    detail: str
    fix: str = ""


def report(
    found: Capabilities, policy: LabelPolicy, price: Finding, *, dialect: str, has_key: bool
) -> list[Finding]:
    """Return the findings about an endpoint, one per item checked.

    Args:
        found: Result of the check.
        policy: Policy of the check, with the listed prices.
        price: Finding about the price of the model.
        dialect: A dialect; `auto`: by the address.
        has_key: Whether an API key was sent.
    """
    name = dialect_of(policy.endpoint, dialect).name
    chosen = "by the address" if dialect == "auto" else "as set"
    lines = [*_access(found, policy, has_key=has_key)]
    if found.base is not None and found.base.answer is not None:
        lines += _manners(found, found.base, policy.options.service_tier)
        lines += _figures(found, found.base.answer, policy)
    for one in found.dropped:
        fix = f"leave {' and '.join(one.settings)} out, or set another value"
        lines.append(
            Finding(name=", ".join(one.settings), state="failed", detail=one.words, fix=fix)
        )
    return [*lines, price, Finding(name="dialect", state="ok", detail=f"{name}, {chosen}")]


# --- access ---

_STEPS: Final = ("reachable", "key", "credit", "model", "request", "labels")
_OF_STOPS: Final = (  # phrases of fatal errors of `adapters.openai`, and their step
    ("refuses the API key", "key"),
    ("openai.api_key", "key"),
    ("does not serve", "model"),
)

_NO_MODEL: Final = re.compile(r"\(HTTP 40[04]:")  # other statuses concern the path or a proxy
_STEP_OF: Final = {Outcome.SPENT: "credit", Outcome.UNREADABLE: "labels", Outcome.CUT: "labels"}


def _access(found: Capabilities, policy: LabelPolicy, *, has_key: bool) -> Iterator[Finding]:
    """Yield the steps up to the one that fails; later steps are unknown."""
    base, culprit = found.base, found.spent
    if base is None:
        culprit = found.trials[-1]
    failed = "" if culprit is None else _failed_step(culprit)
    proven = _STEPS if base is not None else _STEPS[: _STEPS.index(failed)]
    if failed == "request":  # a request may be refused before the other steps are checked
        proven = ("reachable",)
    called = base.answer.model if base and base.answer else ""
    details = _details(policy, called, has_key=has_key)
    for step in _STEPS:
        if culprit is not None and step == failed:
            yield Finding(name=step, state="failed", detail=culprit.words, fix=_fix(step, culprit))
        elif step in details and step in proven:
            yield Finding(name=step, state="ok", detail=details[step])
        elif step in details:
            yield Finding(name=step, state="unknown", detail="not known: see what failed")


def _details(policy: LabelPolicy, called: str, *, has_key: bool) -> dict[str, str]:
    """Return the detail of each step that succeeded."""
    is_other = called not in {"", policy.model}
    also = f", which the endpoint calls {called}" if is_other else ""
    return {
        "reachable": policy.endpoint,
        "key": "accepted" if has_key else "none is set, and none is asked for",
        "model": f"{policy.model}{also}",
        "labels": "a label can be read in the answer",
    }


def _failed_step(last: Trial) -> str:
    is_told = last.words.startswith("HTTP")  # otherwise the message is our own
    if last.outcome is Outcome.DENIED and not is_told:
        found = next((step for said, step in _OF_STOPS if said in last.words), "reachable")
        return "request" if found == "model" and _NO_MODEL.search(last.words) is None else found
    if last.outcome in {Outcome.FAILED, Outcome.UNANSWERED} and not is_told:
        return "reachable"
    if last.outcome is Outcome.REFUSED and is_of_key(last):
        return "key"
    if last.outcome is Outcome.REFUSED and last.field == "model":
        return "model"
    return _STEP_OF.get(last.outcome, "request")


def _fix(failed: str, last: Trial) -> str:
    """Return the suggested action for a failed step; empty if its message contains it."""
    if last.outcome in {Outcome.SPENT, Outcome.DENIED} and not last.words.startswith("HTTP"):
        return ""
    if failed == "request" and last.outcome not in {Outcome.REFUSED, Outcome.DENIED}:
        return "ask again later: the endpoint does not take this request now"
    return {
        "reachable": "see openai.base_url, and the proxy if there is one",
        "key": "set OPENAI_API_KEY, or openai.api_key_command, to a key that may use the model",
        "model": "set openai.model to a model that the endpoint serves",
        "labels": "try another openai.model, or another openai.response_format",
    }.get(failed, "see the words: a setting of openai, or what the key may do")


# --- accepted options ---


def _manners(found: Capabilities, base: Trial, set_tier: str | None) -> Iterator[Finding]:
    yield _structure(found, base)
    yield Finding(
        name="max_tokens_field",
        state="ok",
        detail=f"{base.options.max_tokens_field}, for the ceiling of an answer",
    )
    yield from _temperature(found, base)
    yield _reasoning(found, base)
    yield _efforts(found)
    yield _tier(base.answer or ChatAnswer(text=""), base.options.service_tier, set_tier)


def _structure(found: Capabilities, base: Trial) -> Finding:
    name, form = "structured output", base.options.response_format
    others = {one.options.response_format: one for one in found.trials if one is not base}
    refused = others.get("json_schema")
    if form == "json_schema":
        against = next((one for one in found.trials if one.question.is_against_schema), None)
        if against is None or against.outcome not in {Outcome.ANSWERED, Outcome.UNREADABLE}:
            return Finding(name=name, state="ok", detail="json_schema")
        if against.outcome is Outcome.ANSWERED:
            detail = "json_schema, and the endpoint enforces it"
            return Finding(name=name, state="ok", detail=detail)
        detail = "json_schema is taken, but a request for prose got prose: it is not enforced"
        return Finding(name=name, state="beware", detail=detail)
    if refused is not None and refused.outcome in TAKEN:
        detail = f"{form}, as it is set; json_schema is taken too"
        return Finding(
            name=name, state="ok", detail=detail, fix='set response_format = "json_schema"'
        )
    why = "" if refused is None else f": json_schema is refused ({_short(refused.words)})"
    if form == "json_object":
        return Finding(name=name, state="ok", detail=f"JSON mode{why}")
    detail = f"neither json_schema nor JSON mode: the prompt alone asks for the form{why}"
    return Finding(name=name, state="beware", detail=detail)


def _temperature(found: Capabilities, base: Trial) -> Iterator[Finding]:
    name = "temperature"
    if base.options.temperature is not None:
        yield Finding(name=name, state="ok", detail=f"{base.options.temperature:g} is accepted")
        return
    for one in found.trials:
        if one.options.temperature == 0 and one.outcome in TAKEN:
            yield Finding(name=name, state="ok", detail="accepted (0 was tried)")
            return
        if one.options.temperature == 0 and one.outcome is Outcome.REFUSED:
            detail = f"refused, leave openai.temperature unset ({_short(one.words)})"
            yield Finding(name=name, state="ok", detail=detail)
            return
    if not any("openai.temperature" in one.settings for one in found.dropped):
        yield _not_tried(name)


def _reasoning(found: Capabilities, base: Trial) -> Finding:
    answers = [one.answer for one in found.trials if one.answer is not None]
    if not any(map(hidden_tokens, answers)):
        return Finding(name="reasoning", state="ok", detail="no answer has hidden tokens")
    first = _hidden_words(base)
    here = f"{first} in the first answer" if first else "hidden tokens under some efforts only"
    detail = f"{here}; they are billed like the rest of an answer"
    return Finding(name="reasoning", state="ok", detail=detail)


def _efforts(found: Capabilities) -> Finding:
    name = "reasoning_effort"
    trials = {effort: of_effort(found.trials, effort) for effort in EFFORTS}
    known = {effort: trial for effort, trial in trials.items() if trial is not None}
    if not known:
        return _not_tried(name)
    taken = [
        f"{effort} ({words})" if (words := _hidden_words(one)) else effort
        for effort, one in known.items()
        if one.outcome in TAKEN
    ]
    refused = [effort for effort, one in known.items() if one.outcome not in TAKEN]
    parts = [f"takes {', '.join(taken)}"] if taken else []
    if refused:
        parts.append(f"refuses {', '.join(refused)} ({_short(known[refused[0]].words)})")
    return Finding(name=name, state="ok", detail="; ".join(parts))


def _hidden_words(trial: Trial) -> str:
    """Return the number of hidden tokens as words; empty for 0, or if the answer is cut."""
    if trial.answer is None or trial.outcome is Outcome.CUT:
        return ""
    tokens = hidden_tokens(trial.answer)
    least = "" if tokens == trial.answer.reasoning_tokens else "at least "
    return f"{least}{tokens:,} hidden tokens" if tokens else ""


def _tier(answer: ChatAnswer, asked: str | None, set_tier: str | None) -> Finding:
    name, told = "service tier", answer.service_tier
    if asked is None:
        refused = f"{set_tier} is refused" if set_tier else "none is set"
        detail = f"{refused}; the answer names {told or 'none'}"
        return Finding(name=name, state="ok", detail=detail)
    if not told:
        detail = f"{asked} is taken, but the answer does not name its tier: compare with the bill"
        return Finding(name=name, state="beware", detail=detail)
    if asked not in {told, "auto"}:
        detail = f"{asked} was asked for, {told} has answered, and is billed"
        return Finding(name=name, state="beware", detail=detail)
    return Finding(name=name, state="ok", detail=f"{asked} is asked for, {told} has answered")


# --- figures ---


def _figures(found: Capabilities, answer: ChatAnswer, policy: LabelPolicy) -> Iterator[Finding]:
    limits = next((a.limits for one in found.trials if (a := one.answer) and a.limits), None)
    yield Finding(name="rate limits", state="ok", detail=_limits(limits))
    yield _usage(found, answer, policy)
    seconds = [one.seconds for one in found.trials if one.answer is not None]
    detail = f"{median(seconds):.2f} s, the median of {len(seconds)} answers"
    yield Finding(name="latency", state="ok", detail=detail)


def _limits(limits: RateLimits | None) -> str:
    if limits is None:
        return "no header tells them: the first 429 does, or set limits.requests_per_minute"
    parts = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
    told = [f"{number:,.0f} {name}" for name, number in parts.items() if number is not None]
    return f"{' and '.join(told)} a minute"


def _usage(found: Capabilities, answer: ChatAnswer, policy: LabelPolicy) -> Finding:
    if not answer.has_usage:
        detail = "not reported: each request is booked at the most that it may cost"
        return Finding(name="usage", state="beware", detail=detail)
    cached = max(one.answer.cached_tokens for one in found.trials if one.answer is not None)
    detail = (
        f"{answer.prompt_tokens:,} tokens of a question ({cached:,} of them cached),"
        f" {answer.completion_tokens:,} of its answer"
    )
    if answer.cost_micro_usd is None:
        return Finding(name="usage", state="ok", detail=f"{detail}; no cost is reported")
    detail += f"; cost {answer.cost_micro_usd / MILLION:.6f} US dollars, as reported"
    listed = policy.cost_of(structs.replace(answer, cost_micro_usd=None))
    if listed and answer.cost_micro_usd > MUCH_DEARER * listed + 1:
        detail += f": more than {listed / MILLION:.6f} by the prices"
        return Finding(name="usage", state="beware", detail=detail)
    return Finding(name="usage", state="ok", detail=detail)


def _short(words: str) -> str:
    return words if len(words) <= SHORT else f"{words[: SHORT - 1]}…"


def _not_tried(name: str) -> Finding:
    return Finding(name=name, state="unknown", detail="not known: the endpoint answered no more")
