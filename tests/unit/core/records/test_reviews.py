"""Records."""

from datetime import UTC, datetime

from msgspec import structs

from reviewstream import LabelledReview, Origin, Provenance, Review, Sentiment

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ORIGIN = Origin(source="s", offset=7)


def test_a_labelled_review_is_its_review_and_a_label() -> None:
    review = Review(
        review_id="r", user_id="u", business_id="b", stars=3.0, text="ok", written_at=NOW
    )
    provenance = Provenance(model="m", prompt_version=1, labelled_at=NOW)
    labelled = LabelledReview.of(
        review,
        sentiment=Sentiment.NEUTRAL,
        confidence=0.5,
        provenance=provenance,
        origin=ORIGIN,
    )
    fields = structs.asdict(labelled)
    assert {name: fields[name] for name in structs.asdict(review)} == structs.asdict(review)
    assert (labelled.sentiment, labelled.confidence) == (Sentiment.NEUTRAL, 0.5)
    assert (labelled.provenance, labelled.origin) == (provenance, ORIGIN)
