"""Decides whose fault a refused request is."""

from enum import StrEnum

from reviewstream.core.completion import Refused


class Blame(StrEnum):
    """Whose fault a refused request is."""

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


def blame(refused: Refused) -> Blame:
    """Return whose fault a refusal is. Never raises."""
    return Blame.ENDPOINT if refused.status >= 500 else Blame.UNCLEAR


def settled(found: Blame, *, is_probe_answered: bool) -> Blame:
    """Return whose fault it is once the probe was asked. Never returns `UNCLEAR`."""
    if found is Blame.UNCLEAR:
        return Blame.TEXT if is_probe_answered else Blame.REQUEST
    return found
