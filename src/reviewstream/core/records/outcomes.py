"""Results of a transform: a value, or a rejection as data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from reviewstream.core.records.reviews import Origin, Reason, RejectedReview, Stage
from reviewstream.core.records.timestamps import to_millisecond

T_co = TypeVar("T_co", covariant=True)

RAW_LIMIT: Final = 64 << 10  # bytes of the input kept in a dead letter


@dataclass(frozen=True, slots=True)
class Ok(Generic[T_co]):
    """A successful result."""

    value: T_co


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A rejected input, with the reason.

    Attributes:
        detail: Message: the field's path (`$.stars`) first, then what is wrong with it.
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
        """Return the rejection as a record, with the first `RAW_LIMIT` bytes of the input.

        Args:
            stage: Stage that refused the input.
            origin: Origin of the input.
            rejected_at: UTC.
            attempts: Requests made to the model.
            prompt_tokens: The input's share of the requests.
            completion_tokens: The input's share of the answers.
            cost_micro_usd: The input's share of the cost, in millionths of a US dollar.
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
