"""Timestamps in the precision of the schemas."""

from datetime import datetime


def to_millisecond(moment: datetime) -> datetime:
    """Return the time truncated to milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
