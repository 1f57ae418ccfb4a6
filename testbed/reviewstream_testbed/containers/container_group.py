"""State shared by the containers of one testbed: engine client, network, label and cleanup."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, RLock
from uuid import uuid4

from testcontainers.core.config import testcontainers_config
from testcontainers.core.network import Network

from reviewstream_testbed.containers.image_sources import connect, image_of, provide
from reviewstream_testbed.containers.reaper import RUN, sweep
from reviewstream_testbed.processes.children import AfterUs
from reviewstream_testbed.testbed_error import TestbedError

_ryuk = RLock()


class ContainerGroup:
    """The containers of one testbed. They are removed even if this process is killed.

    Args:
        environ: Variables that name the engine and the images.

    Attributes:
        labels: The label of exactly this testbed's containers and networks.

    Raises:
        TestbedError: No engine answers.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.client = connect(environ)
        self.labels = {RUN: uuid4().hex}
        self._lock = Lock()
        self._network: Network | None = None
        self._closed = False
        reaper = [sys.executable, "-m", "reviewstream_testbed.containers.reaper", self.labels[RUN]]
        self._reaper = AfterUs(reaper, environ=environ)

    def image(self, part: str) -> str:
        """Return the part's image; pull it if it is missing.

        Raises:
            TestbedError: The image cannot be pulled.
        """
        image = image_of(part, self._environ)
        provide(self.client, image)
        return image

    @property
    def network(self) -> Network:
        """The network in which the containers resolve each other's names.

        Raises:
            TestbedError: The group is closed.
        """
        with self._lock:
            if self._closed:
                raise TestbedError("the testbed is closed")
            if self._network is None:
                self._network = Network(docker_network_kw={"labels": self.labels}).create()
            return self._network

    def close(self) -> None:
        """Remove all containers and networks now."""
        with self._lock:
            self._closed = True
        while sweep(self.client, self.labels[RUN]):
            pass
        self._reaper.cancel()
        self.client.close()


@contextmanager
def without_ryuk() -> Iterator[None]:
    """Disable testcontainers' own reaper, which needs another image, while a container starts.

    `containers.reaper` replaces it; containers that the user starts by testcontainers keep it.
    """
    with _ryuk:
        before = testcontainers_config.ryuk_disabled
        testcontainers_config.ryuk_disabled = True
        try:
            yield
        finally:
            testcontainers_config.ryuk_disabled = before
