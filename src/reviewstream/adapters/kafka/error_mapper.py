# ruff: noqa: SLF001 - confluent-kafka names librdkafka's own error codes with an underscore
"""Mapping of librdkafka's errors to ours."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, Final, cast

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from reviewstream.asking import Call, asking
from reviewstream.errors import (
    ConfigError,
    FatalError,
    PermanentError,
    ReviewStreamError,
    TransientError,
)
from reviewstream.settings import KafkaSettings

_log = logging.getLogger("reviewstream.kafka")
_log.addHandler(logging.NullHandler())  # or Python prints librdkafka's warnings to stderr
# librdkafka repeats every second that a broker is unavailable; our errors report it once.
_log.addFilter(lambda _: _log.isEnabledFor(logging.DEBUG))

_AWAY: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
    }
)
_BUSY: Final = frozenset(  # retriable by Kafka's definition; librdkafka does not always flag them
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
_SUPERSEDED: Final = frozenset(  # this producer is unusable; another one may succeed
    {
        KafkaError._FATAL,
        KafkaError._FENCED,
        KafkaError._PURGE_INFLIGHT,
        KafkaError._PURGE_QUEUE,
        KafkaError._STATE,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_TXN_STATE,
        KafkaError.PRODUCER_FENCED,
        KafkaError.TRANSACTION_ABORTABLE,
    }
)
_MISTAKES: Final = frozenset({KafkaError._INVALID_ARG, KafkaError.INVALID_TRANSACTION_TIMEOUT})
_REFUSED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    }
)
GRACE: Final = 3.0  # seconds for librdkafka to retry: a broker may have stopped during a handshake


class ErrorMapper:
    """Maps librdkafka's errors to ours, with the cause that its error callback reported."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._servers = settings.bootstrap_servers
        self._last: KafkaError | None = None
        # The token issuer may be unavailable, which librdkafka reports with the same code.
        self._grace = inf if settings.oauth_token_url else GRACE
        self._refused_at = inf
        self.hooks: dict[str, Any] = {"error_cb": self._note, "logger": _log}

    def _note(self, error: KafkaError) -> None:
        if self._last is None or self._last.code() not in _REFUSED:
            self._last = error
            if error.code() in _REFUSED:
                self._refused_at = time.monotonic()

    def asking(self) -> Call:
        """Return a context manager that registers a call to the brokers while its block runs."""
        return asking(f"Kafka at {self._servers}")

    def let_in(self) -> None:
        """Forget a refusal: a broker has accepted a request."""
        self._last, self._refused_at = None, inf

    def check(self, what: str) -> None:
        """Raise if the brokers refuse us permanently: waiting does not correct a password.

        Raises:
            FatalError: A broker refused us, and none has accepted a request since.
        """
        if time.monotonic() - self._refused_at >= self._grace:
            raise self.away(what)

    @contextmanager
    def translated(self, what: str, client: AdminClient | Consumer | None = None) -> Iterator[None]:
        """Map the errors of a call to the brokers; poll `client`, if any, to get the cause."""
        with self.asking(), self.mapped(what, client):
            yield

    @contextmanager
    def mapped(self, what: str, client: AdminClient | Consumer | None = None) -> Iterator[None]:
        """Map the errors of the block, which does not wait for a broker."""
        try:
            yield
        except KafkaException as err:
            if client is not None:
                client.poll(0)
            raise self.error(what, error_in(err)) from err
        except SystemError as err:
            # confluent-kafka raises this in a callback of a fenced producer.
            if not isinstance(err.__cause__, KafkaException):
                raise
            raise self.error(what, error_in(err.__cause__)) from err
        except TimeoutError as err:
            raise self.away(what) from err
        except (TypeError, ValueError) as err:  # a setting of the wrong type
            raise ConfigError(f"cannot {what} for Kafka: {err}; see kafka.client") from err

    def error(self, what: str, error: KafkaError) -> ReviewStreamError:
        """Return our error for a `KafkaError`."""
        code = error.code()
        if code in _AWAY:
            return self.away(what)
        text = f"{what}: {_words(error)} ({error.name()})"
        if code in _REFUSED:
            return FatalError(f"Kafka at {self._servers} refuses us: {text}")
        if code in _MISTAKES:
            return ConfigError(f"{text}; see the settings under kafka")
        passes = error.retriable() or error.fatal() or error.txn_requires_abort()
        passes = passes or code in _BUSY or code in _SUPERSEDED
        return TransientError(text) if passes else PermanentError(text)

    def away(self, what: str) -> ReviewStreamError:
        """Return the error for brokers that do not answer, or refused us before."""
        cause = _words(self._last) if self._last else "no answer"
        if self._last and self._last.code() in _REFUSED:
            return FatalError(f"Kafka at {self._servers} refuses us ({what}): {cause}")
        return TransientError(
            f"Kafka at {self._servers} cannot be reached ({what}): {cause}; "
            "is it running, and is kafka.bootstrap_servers right?"
        )


def _words(error: KafkaError) -> str:
    """Return librdkafka's message on one line."""
    return " ".join(error.str().split())


def error_in(err: KafkaException) -> KafkaError:
    """Return the `KafkaError` of an exception."""
    return cast("KafkaError", err.args[0])
