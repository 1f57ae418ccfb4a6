"""Kafka Connect and the search index."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, TypeVar

from msgspec import Struct

T = TypeVar("T")


class ConnectorStatus(Struct, frozen=True, kw_only=True):
    """A connector and its tasks.

    Attributes:
        state: RUNNING, FAILED, PAUSED, STOPPED, UNASSIGNED, ...
        tasks: State of each task.
        trace: First failure's stack trace, or None.
    """

    name: str
    state: str
    tasks: tuple[str, ...] = ()
    trace: str | None = None


class ConnectCluster(Protocol):
    """Runs connectors (Kafka Connect's REST API)."""

    def apply(self, name: str, config: Mapping[str, str]) -> None:
        """Create or update a connector; one that is paused or stopped stays so.

        Raises:
            ConfigError: Connect refuses the configuration; names each setting and why.
        """
        ...

    def validate(self, config: Mapping[str, str]) -> Mapping[str, str]:
        """Return setting -> error; empty if the configuration is valid."""
        ...

    def status(self, name: str) -> ConnectorStatus | None:
        """Return the status, or None if there is no such connector."""
        ...

    def pause(self, name: str) -> None:
        """Pause."""
        ...

    def resume(self, name: str) -> None:
        """Resume what was paused or stopped."""
        ...

    def restart(self, name: str) -> None:
        """Restart the connector and its failed tasks."""
        ...

    def delete(self, name: str) -> None:
        """Delete; no such connector is fine."""
        ...


class SearchHit(Struct, frozen=True, kw_only=True):
    """One document found.

    Attributes:
        document: The stored fields.
        fragments: Pieces of the text with the matched words between `pipeline.search.HIGHLIGHT`.
    """

    id: str
    score: float
    document: Mapping[str, Any]
    fragments: tuple[str, ...] = ()


class SearchIndex(Protocol):
    """Keeps documents searchable, behind one alias."""

    def setup(self, mapping: Mapping[str, Any]) -> None:
        """Create template, first index and alias; nothing happens where they exist and agree."""
        ...

    def refresh(self) -> None:
        """Make everything written so far visible to searches."""
        ...

    def count(self) -> int:
        """Return the number of documents."""
        ...

    def versions(self) -> Iterator[tuple[str, int]]:
        """Return the id and the version of every document, in no order."""
        ...

    def search(self, body: Mapping[str, Any], kind: type[T]) -> T:
        """Run a search request and return the answer's body as what it must be.

        Raises:
            ConfigError: It is something else; so for every method here.
        """
        ...
