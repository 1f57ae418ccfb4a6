"""Language-model labels in a stream: typed building blocks, and a pipeline made of them."""

from importlib import import_module

TYPE_CHECKING = False  # `typing` takes 20 ms
if TYPE_CHECKING:
    from typing import Any

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
        BudgetExceededError,
        ConfigError,
        FatalError,
        IncompatibleSchemaError,
        PermanentError,
        ProtocolError,
        RateLimitError,
        ReviewStreamError,
        SourceReplacedError,
        TransientError,
        UnknownOutcomeError,
    )

    __version__: str
else:
    # Loaded when first used: a Ctrl-C right after the start must find its handler in place.
    _MODULES = ("core.records.reviews", "core.records.outcomes", "core.records.parsing", "errors")

    def __getattr__(name: str) -> "Any":  # noqa: ANN401 - of each name
        if name == "__version__":
            return import_module("importlib.metadata").version("reviewstream")
        if name in __all__:
            for module in map(import_module, (f"{__name__}.{part}" for part in _MODULES)):
                if name in vars(module):
                    return globals().setdefault(name, vars(module)[name])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BudgetExceededError",
    "ConfigError",
    "FatalError",
    "IncompatibleSchemaError",
    "LabelledReview",
    "Ok",
    "Origin",
    "PermanentError",
    "ProtocolError",
    "Provenance",
    "RateLimitError",
    "Reason",
    "Rejected",
    "RejectedReview",
    "Review",
    "ReviewStreamError",
    "Sentiment",
    "SourceReplacedError",
    "Stage",
    "TransientError",
    "UnknownOutcomeError",
    "parse_review",
]
