"""Ports of the index: Kafka Connect and the search index."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct

RESTING: Final = frozenset({"PAUSED", "STOPPED"})  # states of an idle connector

T = TypeVar("T")


class ConnectorStatus(Struct, frozen=True, kw_only=True):
    """Status of a connector and its tasks.

    Attributes:
        state: RUNNING, FAILED, PAUSED, STOPPED, UNASSIGNED, ...
        tasks: State of each task.
        trace: Stack trace of the first failure, or None.
    """

    name: str
    state: str
    tasks: tuple[str, ...] = ()
    trace: str | None = None

    @property
    def is_resting(self) -> bool:
        """Whether the connector is paused or stopped."""
        return self.state in RESTING


class ConnectCluster(Protocol):
    """A cluster that runs connectors (Kafka Connect's REST API)."""

    def apply(self, name: str, config: Mapping[str, str]) -> None:
        """Create or update a connector; a paused or stopped one is not resumed.

        Raises:
            ConfigError: Connect refuses the configuration; the message lists each setting with its
                error.
        """
        ...

    def validate(self, config: Mapping[str, str]) -> Mapping[str, str]:
        """Return errors by setting; empty if the configuration is valid."""
        ...

    def status(self, name: str) -> ConnectorStatus | None:
        """Return the status, or None if there is no such connector."""
        ...

    def pause(self, name: str) -> None:
        """Pause the connector."""
        ...

    def resume(self, name: str) -> None:
        """Resume a paused or stopped connector."""
        ...

    def restart(self, name: str) -> None:
        """Restart the connector and its failed tasks."""
        ...

    def delete(self, name: str) -> None:
        """Delete the connector if it exists."""
        ...


class SearchHit(Struct, frozen=True, kw_only=True):
    """One document found.

    Attributes:
        document: The stored fields.
        fragments: Parts of the text with the matched words between
            `core.index.searching.HIGHLIGHT`.
    """

    id: str
    score: float
    document: Mapping[str, Any]
    fragments: tuple[str, ...] = ()


class SearchIndex(Protocol):
    """A search index behind one alias."""

    def setup(self, mapping: Mapping[str, Any]) -> None:
        """Create template, first index and alias; do nothing if they exist and agree."""
        ...

    def refresh(self) -> None:
        """Make all writes so far visible to searches."""
        ...

    def count(self) -> int:
        """Return the number of documents."""
        ...

    def versions(self) -> Iterator[tuple[str, int]]:
        """Yield the id and the version of every document, in no particular order."""
        ...

    def search(self, body: Mapping[str, Any], kind: type[T]) -> T:
        """Run a search request and return the response body as `kind`.

        Raises:
            ConfigError: The response does not fit; so for every method here.
        """
        ...
