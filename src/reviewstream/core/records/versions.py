"""External versions of documents: the higher version of a review replaces the lower one."""

from datetime import datetime
from typing import Final

VERSION_HEADER: Final = "reviewstream.version"  # Kafka header; the version in decimal ASCII
GENERATIONS: Final = 1_000


def external_version(written_at: datetime, generation: int) -> int:
    """Return the version of a review's document.

    A later edit of a review has a higher version; with equal edits, the higher generation of the
    label has. A replay has the same version.

    Args:
        written_at: Aware; before 1970 counts as 1970, because Elasticsearch has no negative
            versions.
        generation: 0 to 999.
    """
    return max(0, int(written_at.timestamp())) * GENERATIONS + generation
