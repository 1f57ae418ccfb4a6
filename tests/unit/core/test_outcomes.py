"""Rejections and the dead letters they become."""

from datetime import UTC, datetime

from reviewstream import Origin, Reason, Rejected, Stage
from reviewstream.core.outcomes import RAW_LIMIT

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def test_a_dead_letter_keeps_reason_detail_and_the_beginning_of_the_input() -> None:
    refused = Rejected(reason=Reason.NOT_JSON, detail="$: no", raw=b"x" * (RAW_LIMIT + 1))
    origin = Origin(source="reviews.json", offset=7)
    letter = refused.dead_letter(stage=Stage.PARSE, origin=origin, rejected_at=NOW)
    assert letter.raw == b"x" * RAW_LIMIT
    assert (letter.stage, letter.reason, letter.detail) == (Stage.PARSE, Reason.NOT_JSON, "$: no")
    assert (letter.origin, letter.attempts) == (origin, 0)
    assert letter.rejected_at == NOW.replace(microsecond=678_000)
