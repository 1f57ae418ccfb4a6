"""The newest version of each review, in memory."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from reviewstream.core.relabel.ports import VersionSeen


class MemoryVersions:
    """`NewestVersions` in memory."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, VersionSeen]] = {}

    def see(self, sightings: Iterable[VersionSeen]) -> None:
        """See `NewestVersions.see`."""
        for one in sightings:
            if one.version is None:
                self._newest.pop(one.review_id, None)
            elif one.review_id not in self._newest or self._newest[one.review_id][0] <= one.version:
                self._newest[one.review_id] = (one.version, one)

    def newest(self, review_ids: Collection[str]) -> Mapping[str, VersionSeen]:
        """See `NewestVersions.newest`."""
        return {name: self._newest[name][1] for name in review_ids if name in self._newest}

    def count(self) -> Mapping[str, int]:
        """See `NewestVersions.count`."""
        return Counter(sighting.mark for _, sighting in self._newest.values())

    def close(self) -> None:
        """See `NewestVersions.close`."""
        self._newest.clear()
