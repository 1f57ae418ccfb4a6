"""The one place where Spark's side reaches the composition root, which is above it.

Spark makes our data sources itself, from their class and strings, in processes of its own: nobody
can hand them an adapter. So they ask here. `docs/decisions/0002-spark-wiring.md` says why so.
"""

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Final, Protocol, cast

from reviewstream.core.markers import Marker
from reviewstream.pipeline.labelling import Labeller
from reviewstream.ports import LineReader, RecordSink, SchemaRegistry, TransactionalSink
from reviewstream.settings import (
    KafkaSettings,
    LedgerSettings,
    LimitsSettings,
    OpenAISettings,
    RegistrySettings,
    SourceSettings,
)

ROOT: Final = "reviewstream.app"


class Wiring(Protocol):
    """What the composition root provides; functions of a module, so that they can be pickled."""

    def open_reader(self, settings: SourceSettings, *, timeout: float) -> LineReader:
        """Return a reader of the review server."""
        ...

    def open_labeller(
        self,
        settings: OpenAISettings,
        ledger: LedgerSettings,
        limits: LimitsSettings,
        *,
        run: str = "",
    ) -> AbstractAsyncContextManager[Labeller]:
        """Return a labeller for one task of a run, on the running event loop."""
        ...

    def priced(self, settings: OpenAISettings) -> OpenAISettings:
        """Return settings with the listed prices of the model where the user set none."""
        ...

    def located(
        self, ledger: LedgerSettings, limits: LimitsSettings
    ) -> tuple[LedgerSettings, LimitsSettings]:
        """Return settings that mean the same ledger and limits in every process of this machine."""
        ...

    def open_record_sink(self, settings: KafkaSettings) -> RecordSink:
        """Return a sink for one task."""
        ...

    def open_transactional_sink(self, settings: KafkaSettings, name: str) -> TransactionalSink:
        """Return a sink for one attempt at a task; all attempts have the same name."""
        ...

    def find_marker(self, settings: KafkaSettings, name: str) -> Marker | None:
        """Return the newest marker of a name, without shutting anyone out."""
        ...

    def open_registry(self, settings: RegistrySettings) -> SchemaRegistry:
        """Return a client of the registry."""
        ...

    def preload(self) -> None:
        """Import every vendor that a task may need and that is installed."""
        ...


def wiring() -> Wiring:
    """Return the composition root."""
    return cast("Wiring", import_module(ROOT))
