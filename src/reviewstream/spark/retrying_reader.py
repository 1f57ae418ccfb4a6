"""Retry an unavailable review server or broker until a deadline."""

import logging
from collections.abc import Callable
from typing import TypeVar

from reviewstream.core.labelling.backoff import backoff
from reviewstream.core.transport.ports import LineReader
from reviewstream.core.transport.protocol import Hello
from reviewstream.errors import TransientError

T = TypeVar("T")

BASE = 0.2  # seconds
CAP = 5.0  # seconds: the longest pause before a restarted server is found
NAP = 0.5  # seconds: the longest that `poll_once` delays the end of a query

_log = logging.getLogger("reviewstream.spark")


class RetryPolicy:
    """Returns the wait after each failure; raises after `timeout` seconds without a success.

    Args:
        who: Subject of the error's sentence.
        timeout: Seconds.
        now: Seconds of a monotonic clock.
        jitter: A random number in [0, 1).
        option: Name of the timeout.
    """

    def __init__(
        self,
        who: str,
        timeout: float,
        *,
        now: Callable[[], float],
        jitter: Callable[[], float],
        option: str = "retryTimeout",
    ) -> None:
        self._who = who
        self._option = option
        self._timeout = timeout
        self._now = now
        self._jitter = jitter
        self._failures = 0
        self._since = 0.0

    def succeeded(self) -> None:
        """Reset the failures."""
        self._failures = 0

    def failed(self, error: TransientError) -> float:
        """Count a failure and return the seconds to wait before the next attempt.

        Raises:
            TransientError: There was no success for `timeout` seconds.
        """
        if self._failures == 0:
            self._since = self._now()
            _log.warning("%s; waiting for it up to %g s", error, self._timeout)
        self._failures += 1
        away = self._now() - self._since
        if away >= self._timeout:
            raise TransientError(
                f"{self._who} has been away for {away:.0f} s (limit: {self._option} = "
                f"{self._timeout:g}): {error}; start it and then the query, which resumes "
                "from its checkpoint"
            ) from error
        wait = backoff(self._failures, jitter=self._jitter(), base=BASE, cap=CAP)
        return max(wait, min(error.retry_after or 0.0, CAP))


class RetryingReader:
    """Sends requests to the server over one connection, which it reopens after each failure."""

    def __init__(
        self,
        connect: Callable[[], LineReader],
        patience: RetryPolicy,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._now = now
        self._sleep = sleep
        self._not_before = 0.0
        self._connected: tuple[LineReader, Hello] | None = None

    def poll_once(
        self, question: Callable[[LineReader], T], *, fingerprint: str
    ) -> tuple[Hello, T] | None:
        """Ask once, and return None if the server is unavailable, so that a query can be stopped.

        Args:
            question: The request.
            fingerprint: Fingerprint of the expected file; empty for any file.

        Raises:
            SourceReplacedError: The server serves another file.
            TransientError: The retry timeout has passed.
        """
        wait = self._not_before - self._now()
        if wait > 0:
            self._sleep(min(wait, NAP))
        if wait > NAP:
            return None
        try:
            server, hello = self._connection(fingerprint)
            answer = question(server)
        except TransientError as err:
            self.close()
            self._not_before = self._now() + self._patience.failed(err)
            return None
        self._patience.succeeded()
        return hello, answer

    def insist(self, question: Callable[[LineReader], T], *, fingerprint: str) -> tuple[Hello, T]:
        """Ask until there is an answer; otherwise as `poll_once`."""
        while (answer := self.poll_once(question, fingerprint=fingerprint)) is None:
            pass  # it sleeps between attempts
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        if self._connected is not None:
            self._connected[0].close()
            self._connected = None

    def _connection(self, fingerprint: str) -> tuple[LineReader, Hello]:
        if self._connected is None:
            server = self._connect()
            try:
                self._connected = (server, server.hello(fingerprint or None))
            except BaseException:
                server.close()
                raise
        return self._connected
