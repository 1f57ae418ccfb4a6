"""Language-model labels in a stream: typed building blocks, and a pipeline made of them."""

from reviewstream.core.outcomes import Ok, Rejected
from reviewstream.core.parsing import parse_review
from reviewstream.core.records import (
    LabelledReview,
    Origin,
    Provenance,
    Reason,
    RejectedReview,
    Review,
    Sentiment,
    Stage,
)
from reviewstream.errors import (
    ConfigError,
    IncompatibleSchemaError,
    PermanentError,
    ProtocolError,
    ReviewStreamError,
    SourceReplacedError,
    StopError,
    TransientError,
)

__all__ = [
    "ConfigError",
    "IncompatibleSchemaError",
    "LabelledReview",
    "Ok",
    "Origin",
    "PermanentError",
    "ProtocolError",
    "Provenance",
    "Reason",
    "Rejected",
    "RejectedReview",
    "Review",
    "ReviewStreamError",
    "Sentiment",
    "SourceReplacedError",
    "Stage",
    "StopError",
    "TransientError",
    "parse_review",
]
