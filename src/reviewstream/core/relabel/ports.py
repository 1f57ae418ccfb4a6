"""Port for the newest version of each review in a scan."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from msgspec import Struct


class VersionSeen(Struct, frozen=True, kw_only=True):
    """A version of a review, and its position.

    Attributes:
        version: `core.records.versions.external_version`; None if the review was deleted.
        mark: One word by which versions are counted.
    """

    review_id: str
    version: int | None
    partition: int
    offset: int
    mark: str = ""


class NewestVersions(Protocol):
    """The newest version of each review; may hold more of them than fit into memory."""

    def see(self, sightings: Iterable[VersionSeen]) -> None:
        """Add versions in the order in which they were written.

        The highest version of a review is the newest, the later one of equal versions. A deletion
        removes it until the next version.

        Raises:
            ConfigError: The disk is full.
        """
        ...

    def newest(self, review_ids: Collection[str]) -> Mapping[str, VersionSeen]:
        """Return the newest versions of some reviews, without unknown and deleted ones."""
        ...

    def count(self) -> Mapping[str, int]:
        """Return the number of newest versions by mark."""
        ...

    def close(self) -> None:
        """Delete all versions and free the resources."""
        ...
