"""Moments as our schemas keep them."""

from datetime import datetime


def to_millisecond(moment: datetime) -> datetime:
    """Return the moment without what is less than a millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
