"""Rejections and the dead letters they become."""

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream import Origin, Reason, Rejected, Stage
from reviewstream.core.records.outcomes import RAW_LIMIT

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
ORIGIN = Origin(source="reviews.json", offset=7)
REFUSED = Rejected(reason=Reason.NOT_JSON, detail="$: no", raw=b"x" * (RAW_LIMIT + 1))


def test_a_dead_letter_keeps_reason_detail_and_the_beginning_of_the_input() -> None:
    letter = REFUSED.dead_letter(stage=Stage.PARSE, origin=ORIGIN, rejected_at=NOW)
    assert letter.raw == b"x" * RAW_LIMIT
    assert (letter.stage, letter.reason, letter.detail) == (Stage.PARSE, Reason.NOT_JSON, "$: no")
    assert (letter.origin, letter.attempts) == (ORIGIN, 0)
    assert (letter.prompt_tokens, letter.completion_tokens, letter.cost_micro_usd) == (0, 0, 0)
    assert letter.rejected_at == NOW.replace(microsecond=678_000)


def test_a_dead_letter_says_how_often_the_model_was_asked() -> None:
    letter = REFUSED.dead_letter(stage=Stage.LABEL, origin=ORIGIN, rejected_at=NOW, attempts=3)
    assert (letter.stage, letter.attempts) == (Stage.LABEL, 3)


def test_a_dead_letter_says_what_was_paid_for_nothing() -> None:
    letter = REFUSED.dead_letter(
        stage=Stage.LABEL,
        origin=ORIGIN,
        rejected_at=NOW,
        attempts=2,
        prompt_tokens=7,
        completion_tokens=8,
        cost_micro_usd=9,
    )
    assert (letter.prompt_tokens, letter.completion_tokens, letter.cost_micro_usd) == (7, 8, 9)


@given(st.datetimes(timezones=st.just(UTC)))
@example(datetime(2026, 1, 1, microsecond=1_000, tzinfo=UTC))
def test_a_dead_letter_is_never_later_than_its_moment_nor_a_millisecond_earlier(
    moment: datetime,
) -> None:
    letter = REFUSED.dead_letter(stage=Stage.PARSE, origin=ORIGIN, rejected_at=moment)
    assert letter.rejected_at.microsecond % 1000 == 0
    assert timedelta(0) <= moment - letter.rejected_at < timedelta(milliseconds=1)
