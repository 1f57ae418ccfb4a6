"""Names of the pipeline's topics."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicNames:
    """Names of the topics of one pipeline.

    Attributes:
        labelled: Topic of labelled reviews.
        rejected: Topic of rejected lines.
        dead_letter: Topic of the records that the index refused.
    """

    labelled: str
    rejected: str
    dead_letter: str
