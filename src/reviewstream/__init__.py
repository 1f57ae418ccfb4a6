"""Language-model labels in a stream: typed building blocks, and a pipeline made of them."""

from typing import TYPE_CHECKING

from reviewstream.core.records.outcomes import Ok, Rejected
from reviewstream.core.records.parsing import parse_review
from reviewstream.core.records.reviews import (
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
    FatalError,
    IncompatibleSchemaError,
    PermanentError,
    ProtocolError,
    ReviewStreamError,
    SourceReplacedError,
    TransientError,
)

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely needed

        return version("reviewstream")


__all__ = [
    "ConfigError",
    "FatalError",
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
    "TransientError",
    "parse_review",
]
