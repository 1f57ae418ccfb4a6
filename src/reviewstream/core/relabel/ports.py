"""The newest version of each review, as a scan keeps it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from msgspec import Struct


class VersionSeen(Struct, frozen=True, kw_only=True):
    """A version of a review, and where it was seen.

    Attributes:
        version: `core.versions.external_version`; None where the review was deleted.
        mark: One word of whoever counts.
    """

    review_id: str
    version: int | None
    partition: int
    offset: int
    mark: str = ""


class NewestVersions(Protocol):
    """Knows the newest version of each review, and may know more of them than memory holds."""

    def see(self, sightings: Iterable[VersionSeen]) -> None:
        """Take note of versions, in the order in which they were written.

        Of two versions of a review the higher one is the newest, of equal ones the later; after
        a deletion there is none, until the next one comes.

        Raises:
            ConfigError: there is no more room on the disk.
        """
        ...

    def newest(self, review_ids: Collection[str]) -> Mapping[str, VersionSeen]:
        """Return the newest versions of some reviews; of unknown and deleted ones, nothing."""
        ...

    def count(self) -> Mapping[str, int]:
        """Return how many of the newest versions bear each mark."""
        ...

    def close(self) -> None:
        """Forget everything."""
        ...
