"""Decides whose fault a refused request is: one table, by names first, then by status.

Names (`code`, `type`, `reason`) win over the status, as gateways send them under any status. What
the status leaves open is `UNCLEAR`: then the probe, a text of our own, decides. An endpoint's free
words are looked at for a spent quota alone, under the statuses that may mean one, as a text of a
review may be repeated in them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from reviewstream.core.labelling.endpoint.dialects import (
    ACCOUNT_NAMES,
    BAD_ANSWER_NAMES,
    CAPACITY_NAMES,
    MODERATION_NAMES,
    QUOTA_NAMES,
    TOO_LONG_NAMES,
)
from reviewstream.core.labelling.endpoint.refusals import Refused

HOPELESS_WAIT: Final = 3600.0  # seconds: a limit that lifts later than this is a quota


class Blame(StrEnum):
    """Whose fault a refused request is.

    Attributes:
        TEXT: This text: split the pack, then reject the text.
        MODERATED: This text, as a content filter says.
        ANSWER: The model's answer was bad, and the endpoint says so instead of sending it.
        REQUEST: A setting: no other text will fare better.
        ACCOUNT: The key, or what it may do.
        QUOTA: Credit, a budget or a quota is spent.
        RATE: Too many requests or tokens just now.
        CAPACITY: No capacity for the service tier just now; no rate limit is met.
        ENDPOINT: The endpoint, just now.
        UNCLEAR: The probe decides.
    """

    TEXT = "TEXT"
    MODERATED = "MODERATED"
    ANSWER = "ANSWER"
    REQUEST = "REQUEST"
    ACCOUNT = "ACCOUNT"
    QUOTA = "QUOTA"
    RATE = "RATE"
    CAPACITY = "CAPACITY"
    ENDPOINT = "ENDPOINT"
    UNCLEAR = "UNCLEAR"


# The first that holds a name of the error decides. Quota comes before the rest, as it is what the
# others are told with; the filter before the key, as 403 may mean both.
_BY_NAME: Final = (
    (QUOTA_NAMES, Blame.QUOTA),
    (MODERATION_NAMES, Blame.MODERATED),
    (BAD_ANSWER_NAMES, Blame.ANSWER),
    (TOO_LONG_NAMES, Blame.TEXT),
    (CAPACITY_NAMES, Blame.CAPACITY),
    (ACCOUNT_NAMES, Blame.ACCOUNT),
)

_BY_STATUS: Final[Mapping[int, Blame]] = {
    401: Blame.ACCOUNT,
    402: Blame.QUOTA,
    404: Blame.REQUEST,  # every request has the same path and the same model
    405: Blame.REQUEST,  # likewise
    407: Blame.REQUEST,  # a proxy wants a password
    408: Blame.ENDPOINT,
    409: Blame.ENDPOINT,
    413: Blame.TEXT,
    421: Blame.ENDPOINT,
    423: Blame.ENDPOINT,
    424: Blame.ENDPOINT,  # Groq: what it depends on has failed
    425: Blame.ENDPOINT,
    426: Blame.REQUEST,
    429: Blame.RATE,
    498: Blame.CAPACITY,  # Groq: flex
    499: Blame.ENDPOINT,
}

# A day's quota of Google's, e.g. `GenerateRequestsPerDayPerProjectPerModel-FreeTier`: the wait that
# comes with it is shorter than a day, and wrong.
_DAILY: Final = "perday"

# What spent quotas are told with by endpoints that have no name for them. On 429 they count only
# where no shorter wait is told, and not from Google, which says the same of a minute's limit.
QUOTA_WORDS: Final = (
    "add credits",
    "available credits",
    "credit balance",
    "exceeded your current quota",
    "insufficient balance",
    "insufficient credit",
    "insufficient quota",
    "more credits",
    "out of call volume quota",
    "out of credits",
    "quota exceeded",
    "recharge your account",
    "spending limit",
)
_MAY_BE_QUOTA: Final = frozenset({402, 403, 429})
_OF_GOOGLE: Final = "resource_exhausted"

_IF_ANSWERED: Final[Mapping[Blame, Blame]] = {
    Blame.UNCLEAR: Blame.TEXT,
    Blame.REQUEST: Blame.TEXT,
}
_IF_REFUSED: Final[Mapping[Blame, Blame]] = {
    Blame.UNCLEAR: Blame.REQUEST,
    Blame.TEXT: Blame.REQUEST,
    Blame.MODERATED: Blame.REQUEST,
    Blame.ANSWER: Blame.REQUEST,
}


def blame(refused: Refused) -> Blame:
    """Return whose fault a refusal is, as far as it says. Never raises.

    Args:
        refused: Its `words` without what they repeat of the request: a review that speaks of a
            spent quota must not end a run.
    """
    named = next((found for names, found in _BY_NAME if names & refused.names), None)
    if named is not None and refused.status < 500:
        return named
    if _is_quota(refused):
        return Blame.QUOTA
    return _BY_STATUS.get(refused.status) or _by_hundreds(refused.status)


def settled(found: Blame, *, is_probe_answered: bool) -> Blame:
    """Return whose fault it is once the probe was asked. Never returns `UNCLEAR`.

    Args:
        found: Of the refusal.
        is_probe_answered: False: the endpoint refuses the probe too. A probe that fails otherwise
            (an outage) decides nothing: ask it again.
    """
    return (_IF_ANSWERED if is_probe_answered else _IF_REFUSED).get(found, found)


def _is_quota(refused: Refused) -> bool:
    if refused.status not in _MAY_BE_QUOTA:
        return False
    is_said = any(said in refused.words.lower() for said in QUOTA_WORDS)
    if refused.status != 429:
        return is_said
    if refused.retry_after is not None and refused.retry_after >= HOPELESS_WAIT:
        return True
    if any(_DAILY in name for name in refused.names):
        return True
    return is_said and refused.retry_after is None and _OF_GOOGLE not in refused.names


def _by_hundreds(status: int) -> Blame:
    if 300 <= status < 400:
        return Blame.REQUEST
    if 400 <= status < 500:
        return Blame.UNCLEAR
    return Blame.ENDPOINT
