import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.records.outcomes import Rejected
from reviewstream.core.records.parsing import parse_review
from reviewstream.core.records.reviews import Origin, Reason, RejectedReview, Stage
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.spark.rows import in_batches, to_row

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
GOOD = {
    "review_id": "r1",
    "user_id": "u1",
    "business_id": "b1",
    "stars": 4,
    "text": "good",
    "date": "2020-01-02 03:04:05",
}


def now() -> datetime:
    return NOW


def test_a_good_line_is_a_review_with_its_origin() -> None:
    row = to_row(Line(7, json.dumps(GOOD).encode()), "reviews.json", now)
    assert isinstance(row, tuple)
    review, origin = row
    assert (review.review_id, review.stars) == ("r1", 4.0)
    assert origin == Origin(source="reviews.json", offset=7)


def test_a_blank_line_is_no_row() -> None:
    assert to_row(Line(0, b" \t\r"), "reviews.json", now) is None


def test_a_bad_line_is_a_rejection_that_keeps_its_bytes() -> None:
    refused = parse_review(b"{bad")
    assert isinstance(refused, Rejected)
    assert to_row(Line(9, b"{bad"), "reviews.json", now) == RejectedReview(
        stage=Stage.PARSE,
        reason=Reason.NOT_JSON,
        detail=refused.detail,
        raw=b"{bad",
        origin=Origin(source="reviews.json", offset=9),
        rejected_at=NOW.replace(microsecond=678_000),
    )


def test_a_line_over_the_limit_is_a_rejection_that_keeps_its_head() -> None:
    row = to_row(Oversized(3, 2_000_000, b"x" * 65_536), "reviews.json", now)
    assert isinstance(row, RejectedReview)
    assert (row.reason, row.origin.offset) == (Reason.LINE_TOO_LONG, 3)
    assert row.detail == "$: 2000000 bytes (limit 1048576)"
    assert row.raw == b"x" * 65_536


@given(st.lists(st.lists(st.integers(0, 30), max_size=9)), st.integers(1, 9), st.integers(1, 90))
def test_batches_hold_every_line_in_order_within_their_limits(
    chunks: list[list[int]], max_rows: int, max_bytes: int
) -> None:
    lines: list[list[Line | Oversized]] = [[Line(0, b"x" * size) for size in c] for c in chunks]
    batches = list(in_batches(lines, max_rows=max_rows, max_bytes=max_bytes))
    assert [line for batch in batches for line in batch] == [li for c in lines for li in c]
    for batch in batches:
        size = sum(len(line.data) for line in batch if isinstance(line, Line))
        assert 1 <= len(batch) <= max_rows
        assert size <= max_bytes or len(batch) == 1


def test_a_batch_of_whatever_lines_is_bounded_without_being_told() -> None:
    lines: list[Line | Oversized] = [Line(0, b"x" * (1 << 20))] * 9
    assert [len(batch) for batch in in_batches([lines])] == [4, 4, 1]
    assert [len(batch) for batch in in_batches([[Line(0, b"{}")] * 5_000])] == [2_048, 2_048, 904]
