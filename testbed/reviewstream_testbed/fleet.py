"""What the containers of one testbed share: an engine, a network, a label, and their end."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, RLock
from uuid import uuid4

from testcontainers.core.config import testcontainers_config
from testcontainers.core.network import Network

from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.images import connect, image_of, provide
from reviewstream_testbed.processes import AfterUs
from reviewstream_testbed.sweeper import RUN, sweep

_ryuk = RLock()


class Fleet:
    """The containers of one testbed. Whatever becomes of this process, they are removed.

    Args:
        environ: Where the engine and the images are named.

    Attributes:
        labels: What every container and network of ours carries, and no other.

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
        sweeper = [sys.executable, "-m", "reviewstream_testbed.sweeper", self.labels[RUN]]
        self._sweeper = AfterUs(sweeper, environ=environ)

    def image(self, part: str) -> str:
        """Return the part's image, pulled if it was not there.

        Raises:
            TestbedError: It cannot be had.
        """
        image = image_of(part, self._environ)
        provide(self.client, image)
        return image

    @property
    def network(self) -> Network:
        """The network in which the containers know each other by name.

        Raises:
            TestbedError: The fleet is closed.
        """
        with self._lock:
            if self._closed:
                raise TestbedError("the testbed is closed")
            if self._network is None:
                self._network = Network(docker_network_kw={"labels": self.labels}).create()
            return self._network

    def close(self) -> None:
        """Remove everything now."""
        with self._lock:
            self._closed = True
        while sweep(self.client, self.labels[RUN]):
            pass
        self._sweeper.cancel()
        self.client.close()


@contextmanager
def without_ryuk() -> Iterator[None]:
    """Start a container without testcontainers' own reaper, which is one more image to pull.

    Our sweeper does its work; the user's own containers keep theirs.
    """
    with _ryuk:
        before = testcontainers_config.ryuk_disabled
        testcontainers_config.ryuk_disabled = True
        try:
            yield
        finally:
            testcontainers_config.ryuk_disabled = before
