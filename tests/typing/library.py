"""What a type checker sees of the library: `tox -e types` reads this, and nothing runs it."""

from collections.abc import Callable
from datetime import datetime
from typing import assert_never, assert_type

from pyspark.sql import DataFrame, SparkSession

from reviewstream import LabelledReview, Ok, Reason, Rejected, Review, Sentiment, parse_review
from reviewstream.settings import Settings
from reviewstream.spark import label_reviews, register


def of_a_line(line: bytes) -> None:
    outcome = parse_review(line)
    assert_type(outcome, Ok[Review] | Rejected)
    match outcome:
        case Ok(review):
            assert_type(review, Review)
            assert_type(review.written_at, datetime)
        case Rejected():
            assert_type(outcome.reason, Reason)
        case _:
            assert_never(outcome)


def of_a_label(labelled: LabelledReview) -> None:
    assert_type(labelled.sentiment, Sentiment)
    assert_type(labelled.confidence, float | None)
    assert_type(labelled.provenance.cost_micro_usd, int)


def of_spark(spark: SparkSession, settings: Settings) -> None:
    register(spark)
    assert_type(label_reviews(settings), Callable[[DataFrame], DataFrame])
