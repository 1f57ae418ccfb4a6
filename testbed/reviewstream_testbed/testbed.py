"""The servers of one run."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from threading import RLock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from reviewstream_testbed.catalog import (
    DEFAULT,
    SERVICES,
    check_enough_memory,
    check_names,
)
from reviewstream_testbed.installation.homes import Installation, install
from reviewstream_testbed.mock_openai.process import OpenAIEndpoint
from reviewstream_testbed.names import new_prefix
from reviewstream_testbed.processes.children import Reaper
from reviewstream_testbed.providers import CONTAINERS, EMBEDDED, external_addresses
from reviewstream_testbed.services.elasticsearch import Elasticsearch
from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.kafka_connect import KafkaConnect
from reviewstream_testbed.services.schema_registry import SchemaRegistry
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.services.service import Service
from reviewstream_testbed.services.spark_cluster import SparkCluster
from reviewstream_testbed.testbed_error import TestbedError
from reviewstream_testbed.testbed_extras import named_extras

if TYPE_CHECKING:
    from reviewstream_testbed.containers.container_group import ContainerGroup
    from reviewstream_testbed.security.credentials import Security

P = TypeVar("P", bound=Service)


class Testbed:
    """Real servers on free loopback ports; they end with this process, and their files are removed.

    Args:
        parts: Parts to start together on entering; other parts start on first use.
        environ: Variables that name Java, the cache folder and the network settings.
        provider: "embedded", "containers", or "external": parts with an address in `environ` (see
            `providers`) are external, the others embedded.
        prefix: Name prefix on external servers; objects with it are removed at the end.
        secure: Kafka uses SASL_SSL, and registry, Connect and Elasticsearch use TLS and a
            password; their `client_config` has the credentials. Only for embedded servers.
    """

    __test__ = False  # pytest must not collect it

    def __init__(
        self,
        parts: Iterable[str] = DEFAULT,
        *,
        environ: Mapping[str, str] = os.environ,
        provider: str = EMBEDDED,
        prefix: str | None = None,
        secure: bool = False,
    ) -> None:
        self._parts = tuple(parts)
        check_names(self._parts)
        self._environ = environ
        self._provider = provider
        self._addresses = external_addresses(provider, environ)
        if secure and provider != EMBEDDED:
            raise TestbedError("only embedded servers can be made secure")
        self._secure = secure
        self.prefix = prefix or new_prefix()
        self._running: dict[str, Service] = {}
        self._closed = False
        self._failures: dict[str, TestbedError] = {}
        self._group: ContainerGroup | None = None
        self._started: dict[str, float] = {}  # seconds until ready
        self._making = RLock()
        self._security: Security | None = None
        self._locks = {name: RLock() for name in SERVICES}

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="reviewstream-testbed-"))
        self._reaper = Reaper(self.folder)
        try:
            if self._provider == CONTAINERS:
                with named_extras():
                    from reviewstream_testbed.containers.container_group import ContainerGroup  # noqa: PLC0415 - a second to import

                self._group = ContainerGroup(self._environ)
            self.start(*self._parts)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @cached_property
    def installation(self) -> Installation:
        """The files of the embedded servers; installed on first use."""
        return install(self._environ)

    @property
    def security(self) -> "Security":
        """The credentials of a secure testbed."""
        from reviewstream_testbed.security.credentials import Security  # noqa: PLC0415 - takes time to import

        with self._making:
            if self._security is None:
                self._security = Security.new(self.folder / "security")
            return self._security

    @property
    def kafka(self) -> Kafka:
        """Apache Kafka."""
        return self._part(Kafka)

    @property
    def schema_registry(self) -> SchemaRegistry:
        """Apicurio in memory, with Confluent's API."""
        return self._part(SchemaRegistry)

    @property
    def kafka_connect(self) -> KafkaConnect:
        """Kafka Connect; starts Kafka too."""
        return self._part(KafkaConnect)

    @property
    def elasticsearch(self) -> Elasticsearch:
        """Elasticsearch."""
        return self._part(Elasticsearch)

    @property
    def openai_endpoint(self) -> OpenAIEndpoint:
        """The mock OpenAI endpoint."""
        return self._part(OpenAIEndpoint)

    @property
    def spark_cluster(self) -> SparkCluster:
        """A Spark master with two workers."""
        return self._part(SparkCluster)

    def part(self, name: str) -> Service:
        """Return a part by its name; the first call starts it.

        Raises:
            TestbedError: The part does not exist, or its start failed, now or before.
        """
        check_names([name])
        return self._part(SERVICES[name])

    def start(self, *names: str) -> None:
        """Start parts together, and wait until all are ready.

        Raises:
            TestbedError: A part failed to start; all have been stopped.
        """
        check_names(names)
        embedded = [name for name in names if name not in self._addresses]
        check_enough_memory(embedded)
        if not self._group and any(issubclass(SERVICES[name], Server) for name in embedded):
            _ = self.installation  # once, before the parts need it concurrently
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            starts = [pool.submit(self._part, SERVICES[name]) for name in names]
            try:
                for started in as_completed(starts):
                    started.result()
            except BaseException:
                self._close_parts()  # makes their starts fail now, instead of waiting for them
                raise

    def start_soon(self, *names: str) -> None:
        """Start parts together, without waiting; using a failed part raises its error."""
        check_names(names)
        for name in names:
            Thread(target=self._start_quietly, args=[name], daemon=True).start()

    def addresses(self) -> dict[str, str]:
        """Return the address of each part that is ready."""
        return {name: self._running[name].address for name in [*self._started]}

    def start_times(self) -> dict[str, float]:
        """Return the seconds that each part took to get ready."""
        return {**self._started}

    def close(self) -> None:
        """Stop every server and remove every file. A second call does nothing.

        Raises:
            TestbedError: Objects created on an external server could not be removed.
        """
        self._close_parts()
        running = {**self._running}
        used = {*self._started} & {*self._addresses}
        self._running.clear()
        self._started.clear()
        if self._group:
            self._group.close()
        self._reaper.close()
        if used:
            from reviewstream_testbed.external import remove_all  # noqa: PLC0415 - needs a client

            remove_all({name: running[name] for name in used}, self.prefix)

    def _close_parts(self) -> None:
        with self._making:  # includes parts being created, and prevents new ones
            self._closed = True
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            for stopped in [pool.submit(part.close) for part in self._running.values()]:
                stopped.result()

    def _start_quietly(self, name: str) -> None:
        with suppress(TestbedError):
            self._part(SERVICES[name])

    def _part(self, kind: type[P]) -> P:
        """Return the part; the first call starts it. A failed start raises in every call."""
        with self._locks[kind.name]:
            made = self._coming(kind)
            if kind.name not in self._started:
                began = time.monotonic()
                self._start(made)
                self._started[kind.name] = time.monotonic() - began
            return made

    def _start(self, part: Service) -> None:
        try:
            part.start()
        except TestbedError as error:
            self._failures[part.name] = error
            raise
        except OSError as error:
            self._failures[part.name] = failure = TestbedError(f"{part.name}: {error}")
            raise failure from error

    def _coming(self, kind: type[P]) -> P:
        """Return the part, which may still be starting."""
        if failed := self._failures.get(kind.name):
            raise failed
        return self._made(kind)

    def _made(self, kind: type[P]) -> P:
        """Return the part, which may not have been started."""
        with self._making:
            if kind.name not in self._running:
                if self._closed:
                    raise TestbedError(f"{kind.name} cannot be started: the testbed is closed")
                make = self._make_external if kind.name in self._addresses else self._make
                self._running[kind.name] = make(kind)
            made = self._running[kind.name]
        assert isinstance(made, kind)  # noqa: S101 - each name has one kind
        return made

    def _make_external(self, kind: type[Service]) -> Service:
        from reviewstream_testbed.external import connect  # noqa: PLC0415 - needs a client

        address = self._addresses[kind.name]
        return connect(kind.name, address, lambda: self.schema_registry, self._environ)

    def _make(self, kind: type[Service]) -> Service:
        check_enough_memory([kind.name])
        if issubclass(kind, OpenAIEndpoint):
            return kind()
        if self._group and kind is not SparkCluster:  # which always runs as processes
            from reviewstream_testbed.containers.container_services import container_of  # noqa: PLC0415 - see `__enter__`

            return container_of(kind.name, self._group, self)
        return self._make_embedded(kind)

    def _make_embedded(self, kind: type[Service]) -> Service:
        make = partial(self._secured(kind), self.installation, self.folder)
        if issubclass(kind, KafkaConnect):
            self.start_soon(Kafka.name)
            return make(
                kafka=lambda: self._coming(Kafka),
                registry=lambda: self.schema_registry,
                prefix=self.prefix if Kafka.name in self._addresses else "",
            )
        assert issubclass(kind, Server)  # noqa: S101 - there are no other kinds
        return make()

    def _secured(self, kind: type[Service]) -> Callable[..., Service]:
        """Return the part's class, which is its secure variant in a secure testbed."""
        if not self._secure or kind is SparkCluster:
            return kind
        from reviewstream_testbed.security.secured_services import KINDS  # noqa: PLC0415 - see `security`

        return partial(KINDS[kind.name], security=self.security)
