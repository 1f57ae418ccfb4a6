"""Retry an unavailable review server or broker until a deadline."""

import logging
from collections.abc import Callable
from typing import TypeVar

from reviewstream.core.retry.backoff import Backoff
from reviewstream.core.retry.ports import Timer
from reviewstream.core.transport.ports import LineReader
from reviewstream.core.transport.protocol import Hello
from reviewstream.errors import TransientError

T = TypeVar("T")

NAP = 0.5  # seconds: the longest that `poll_once` delays the end of a query

_log = logging.getLogger("reviewstream.spark")


class RetryPolicy:
    """Returns the wait after each failure; raises after the total without a success.

    Args:
        who: Subject of the error's sentence.
        backoff: The waits; their total counts from the first failure.
        timer: Clock of the total.
        jitter: A random number in [0, 1).
        option: Name of the timeout.
    """

    def __init__(
        self,
        who: str,
        backoff: Backoff,
        timer: Timer,
        *,
        jitter: Callable[[], float],
        option: str = "retryTimeout",
    ) -> None:
        self._who = who
        self._option = option
        self._backoff = backoff
        self._timer = timer
        self._jitter = jitter
        self._failures = 0
        self._since = 0.0

    def succeeded(self) -> None:
        """Reset the failures."""
        self._failures = 0

    def failed(self, error: TransientError) -> float:
        """Count a failure and return the seconds to wait before the next attempt.

        Raises:
            TransientError: There was no success for the total.
        """
        if self._failures == 0:
            self._since = self._timer.monotonic()
            _log.warning("%s; waiting for it up to %g s", error, self._backoff.total)
        self._failures += 1
        away = self._timer.monotonic() - self._since
        if away >= self._backoff.total:
            raise TransientError(
                f"{self._who} has been away for {away:.0f} s (limit: {self._option} = "
                f"{self._backoff.total:g}): {error}; start it and then the query, which resumes "
                "from its checkpoint"
            ) from error
        return self._backoff.wait(self._failures, jitter=self._jitter(), asked=error.retry_after)


class RetryingReader:
    """Sends requests to the server over one connection, which it reopens after each failure."""

    def __init__(
        self, connect: Callable[[], LineReader], patience: RetryPolicy, timer: Timer
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._timer = timer
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
        wait = self._not_before - self._timer.monotonic()
        if wait > 0:
            self._timer.sleep(min(wait, NAP))
        if wait > NAP:
            return None
        try:
            server, hello = self._connection(fingerprint)
            answer = question(server)
        except TransientError as err:
            self.close()
            self._not_before = self._timer.monotonic() + self._patience.failed(err)
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
