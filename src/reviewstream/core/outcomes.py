"""What a transform returns: a value, or a rejection that is itself data."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from reviewstream.core.records import Reason

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Ok(Generic[T_co]):
    """The transform's value."""

    value: T_co


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An input kept, with the reason it was refused.

    Attributes:
        detail: For a person: the field's path (`$.stars`) first, then what is wrong with it.
        raw: The input.
    """

    reason: Reason
    detail: str
    raw: bytes
