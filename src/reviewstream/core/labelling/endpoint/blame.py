"""Classification of refused requests: one table, by error names first, then by status.

Names (`code`, `type`, `reason`) take precedence over the status, because gateways send them with
any status. If the status is ambiguous, the result is `UNCLEAR`, and the probe decides. An
endpoint's message is searched only for a spent quota, and only with statuses that may mean one,
because it may quote a review.
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

HOPELESS_WAIT: Final = 3600.0  # seconds; a limit that lifts later is a quota


class Blame(StrEnum):
    """The cause of a refused request.

    Attributes:
        TEXT: This text: split the pack, then reject the text.
        MODERATED: This text, refused by a content filter.
        ANSWER: The model's answer was invalid; the endpoint sends an error instead of it.
        REQUEST: A setting: other texts are refused as well.
        ACCOUNT: The key or its permissions.
        QUOTA: Credit, a budget or a quota is spent.
        RATE: Too many requests or tokens at present.
        CAPACITY: No capacity for the service tier at present; not a rate limit.
        ENDPOINT: A temporary failure of the endpoint.
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


# The first entry that contains a name of the error decides. Quota comes first, because its errors
# carry names of the others, too; the filter precedes the key, because 403 may mean both.
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
    405: Blame.REQUEST,  # the same
    407: Blame.REQUEST,  # a proxy requires a password
    408: Blame.ENDPOINT,
    409: Blame.ENDPOINT,
    413: Blame.TEXT,
    421: Blame.ENDPOINT,
    423: Blame.ENDPOINT,
    424: Blame.ENDPOINT,  # Groq: a dependency has failed
    425: Blame.ENDPOINT,
    426: Blame.REQUEST,
    429: Blame.RATE,
    498: Blame.CAPACITY,  # Groq: flex
    499: Blame.ENDPOINT,
}

# A daily quota of Google, e.g. `GenerateRequestsPerDayPerProjectPerModel-FreeTier`: the wait in
# its error is shorter than a day, and wrong.
_DAILY: Final = "perday"

# Phrases for spent quotas of endpoints without an error name for them. With 429 they count only
# without a shorter wait, and not from Google, whose per-minute limits have the same message.
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
    """Return the cause of a refusal from its contents alone. Never raises.

    Args:
        refused: Refusal; its `words` must not include text of the request, because a review that
            mentions a spent quota must not end a run.
    """
    named = next((found for names, found in _BY_NAME if names & refused.names), None)
    if named is not None and refused.status < 500:
        return named
    if _is_quota(refused):
        return Blame.QUOTA
    return _BY_STATUS.get(refused.status) or _by_hundreds(refused.status)


def settled(found: Blame, *, is_probe_answered: bool) -> Blame:
    """Return the cause of a refusal after a probe. Never returns `UNCLEAR`.

    Args:
        found: Cause found by `blame`.
        is_probe_answered: False if the endpoint refuses the probe, too. A probe that fails for
            another reason (an outage) decides nothing: send it again.
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
