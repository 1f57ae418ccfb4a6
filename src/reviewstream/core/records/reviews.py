"""Records of the pipeline; `schemas/*.avsc` define their format."""

from datetime import datetime
from enum import StrEnum
from typing import Self

from msgspec import Struct, structs


class Sentiment(StrEnum):
    """Label of a review's text."""

    POSITIVE = "POSITIVE"
    NEUTRAL = "NEUTRAL"
    NEGATIVE = "NEGATIVE"


class Stage(StrEnum):
    """The stage that refused a review."""

    PARSE = "PARSE"
    LABEL = "LABEL"


class Reason(StrEnum):
    """The reason of a rejection; older readers decode newer reasons as OTHER."""

    OTHER = "OTHER"
    NOT_UTF8 = "NOT_UTF8"
    NOT_JSON = "NOT_JSON"
    NOT_AN_OBJECT = "NOT_AN_OBJECT"
    MISSING_FIELD = "MISSING_FIELD"
    WRONG_TYPE = "WRONG_TYPE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    LINE_TOO_LONG = "LINE_TOO_LONG"
    MODEL_REFUSED = "MODEL_REFUSED"
    MODEL_BAD_ANSWER = "MODEL_BAD_ANSWER"
    MODEL_BAD_REQUEST = "MODEL_BAD_REQUEST"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"


class Origin(Struct, frozen=True, kw_only=True):
    """The origin of a line.

    Attributes:
        source: The server's name of the file.
        offset: Bytes from the start of the (unpacked) file to the start of the line.
    """

    source: str
    offset: int


class Review(Struct, frozen=True, kw_only=True):
    """One review of the Yelp Open Dataset's `review.json`.

    Attributes:
        review_id: 1 to 64 characters; key of the Kafka record and id of the document.
        user_id: 1 to 64 characters.
        business_id: 1 to 64 characters.
        stars: 1.0 to 5.0.
        useful: Votes, at least 0.
        funny: Votes, at least 0.
        cool: Votes, at least 0.
        text: At most 64 KiB of UTF-8; may be empty.
        written_at: UTC, to the second (`date` in the file).
    """

    review_id: str
    user_id: str
    business_id: str
    stars: float
    useful: int = 0
    funny: int = 0
    cool: int = 0
    text: str
    written_at: datetime


class Provenance(Struct, frozen=True, kw_only=True):
    """Provenance and cost of a label.

    Attributes:
        model: Name of the model in the endpoint's answer.
        prompt_version: Version number in `core.labelling.prompts`.
        generation: 0 to 999; raised by a new prompt version or by a relabelling.
        request_id: The endpoint's id of the request, or None.
        attempts: Requests made for this review, at least 1.
        prompt_tokens: This review's share of the request.
        completion_tokens: This review's share of the answer.
        cost_micro_usd: Millionths of a US dollar.
        from_ledger: Whether the label was paid for earlier; tokens and cost are those of that time.
        truncated: Whether the text was sent truncated.
        labelled_at: UTC, to the millisecond.
    """

    model: str
    prompt_version: int
    generation: int = 0
    request_id: str | None = None
    attempts: int = 1
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0
    from_ledger: bool = False
    truncated: bool = False
    labelled_at: datetime


class LabelledReview(Review, frozen=True, kw_only=True):
    """A review with its sentiment.

    Attributes:
        confidence: The model's confidence, 0.0 to 1.0; None if the answer has none.
    """

    sentiment: Sentiment
    confidence: float | None = None
    provenance: Provenance
    origin: Origin

    @classmethod
    def of(
        cls,
        review: Review,
        *,
        sentiment: Sentiment,
        confidence: float | None,
        provenance: Provenance,
        origin: Origin,
    ) -> Self:
        """Return a review with its label."""
        return cls(
            **structs.asdict(review),
            sentiment=sentiment,
            confidence=confidence,
            provenance=provenance,
            origin=origin,
        )


class RejectedReview(Struct, frozen=True, kw_only=True):
    """A line that could not be parsed, or a review that could not be labelled.

    Attributes:
        detail: Message: the field's path (`$.stars`) and what is wrong with it.
        raw: First 64 KiB of the line, without its newline. For stage LABEL a line that parses to
            the same review.
        attempts: Requests made to the model; 0 for stage PARSE.
        prompt_tokens: This review's share of the requests that were answered.
        completion_tokens: This review's share of the answers.
        cost_micro_usd: Cost of the failed label in millionths of a US dollar. 0 if another record
            with the same text was rejected with it and has the cost.
        rejected_at: UTC, to the millisecond.
    """

    stage: Stage
    reason: Reason
    detail: str
    raw: bytes
    origin: Origin
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0
    rejected_at: datetime
