"""The external version of a document: of two writes of one review, the higher one stays."""

from datetime import datetime
from typing import Final

VERSION_HEADER: Final = "reviewstream.version"  # Kafka header; the version in decimal ASCII
GENERATIONS: Final = 1_000


def external_version(written_at: datetime, generation: int) -> int:
    """Return the version of a review's document.

    A review that was edited later wins; of the same edit, the higher generation of the label; a
    replay has the same version.

    Args:
        written_at: Aware; before 1970 counts as 1970, as Elasticsearch takes no negative version.
        generation: 0 to 999.
    """
    return max(0, int(written_at.timestamp())) * GENERATIONS + generation
