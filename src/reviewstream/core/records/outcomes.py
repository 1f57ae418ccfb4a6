"""What a transform returns: a value, or a rejection that is itself data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from reviewstream.core.records.reviews import Origin, Reason, RejectedReview, Stage
from reviewstream.core.records.timestamps import to_millisecond

T_co = TypeVar("T_co", covariant=True)

RAW_LIMIT: Final = 64 << 10  # bytes of the input that a dead letter keeps


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

    def dead_letter(  # noqa: PLR0913 - a field of the record for each
        self,
        *,
        stage: Stage,
        origin: Origin,
        rejected_at: datetime,
        attempts: int = 0,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        cost_micro_usd: int = 0,
    ) -> RejectedReview:
        """Return the record that says so; it keeps the first `RAW_LIMIT` bytes of the input.

        Args:
            stage: Where the input was refused.
            origin: Where it came from.
            rejected_at: UTC.
            attempts: Requests made to the model.
            prompt_tokens: The input's share of the requests.
            completion_tokens: Its share of the answers.
            cost_micro_usd: Its share of the cost, in millionths of a US dollar.
        """
        return RejectedReview(
            stage=stage,
            reason=self.reason,
            detail=self.detail,
            raw=self.raw[:RAW_LIMIT],
            origin=origin,
            attempts=attempts,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost_micro_usd=cost_micro_usd,
            rejected_at=to_millisecond(rejected_at),
        )
