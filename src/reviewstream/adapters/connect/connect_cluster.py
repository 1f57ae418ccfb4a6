"""Kafka Connect over its REST interface.

Source: Apache Kafka, "Kafka Connect: REST API".
"""

import time
import weakref
from collections.abc import Mapping
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx2
from msgspec import Struct

from reviewstream.adapters.connect.connector_config import failure_advice
from reviewstream.adapters.shapes import foreign, shaped_body
from reviewstream.adapters.tls import client_failure, ssl_context, tls_failure
from reviewstream.asking import asking
from reviewstream.core.index.ports import ConnectorStatus
from reviewstream.core.records.json_values import as_mapping, decoded
from reviewstream.core.retry import waits
from reviewstream.core.retry.backoff import Attempts
from reviewstream.errors import (
    ConfigError,
    FatalError,
    PermanentError,
    ReviewStreamError,
    TransientError,
)
from reviewstream.settings import ConnectSettings

REQUEST_TIMEOUT: Final = 30.0  # seconds; a worker asks its leader, and loads plugins
_CLASS: Final = "connector.class"

T = TypeVar("T")


class _Part(Struct):
    """A connector, or one of its tasks."""

    state: str
    trace: str | None = None


class _Status(Struct):
    connector: _Part
    tasks: list[_Part]


class _Applied(Struct):
    tasks: list[Any] = []


class _Value(Struct):
    name: str
    errors: list[str]


class _Config(Struct):
    value: _Value


class _Validation(Struct):
    configs: list[_Config]


class KafkaConnectCluster:
    """`ConnectCluster` over REST. It retries HTTP 409, Connect's answer during a rebalance."""

    def __init__(
        self,
        settings: ConnectSettings,
        *,
        timeout: float = REQUEST_TIMEOUT,
        start_timeout: float = waits.CONNECTOR.total,
    ) -> None:
        self._url = settings.url.rstrip("/")
        self._waits = waits.CONNECTOR.within(start_timeout)
        password = settings.password.get_secret_value() if settings.password else ""
        trusted = ssl_context(settings.ca_location, setting="connect.ca_location")
        login = (settings.username, password) if settings.username is not None else None
        try:
            self._client = httpx2.Client(
                base_url=self._url, timeout=timeout, verify=trusted, auth=login
            )
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as err:
            raise client_failure(err, setting="connect.url") from err
        self._closing = weakref.finalize(self, self._client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; this also happens when the object is garbage-collected."""
        self._closing()

    def apply(self, name: str, config: Mapping[str, str]) -> None:
        """Create or update a connector, and wait until it and its tasks run."""
        problems = self.validate({"name": name, **config})
        if problems:
            listed = "; ".join(f"{setting}: {error}" for setting, error in problems.items())
            raise ConfigError(
                f"Connect at {self._url} refuses connector {name}: {_advised(listed, listed)}"
            )
        answer = self._ask("PUT", f"{_path(name)}/config", json=dict(config))
        with asking(self._who):
            self._await_running(name, len(self._read(answer, _Applied).tasks) or 1)

    def validate(self, config: Mapping[str, str]) -> Mapping[str, str]:
        """Return the error of each invalid setting; empty if the configuration is valid."""
        kind = config.get(_CLASS, "")
        if not kind:
            return {_CLASS: "is missing"}
        body = {"name": "unnamed", **config}
        path = f"/connector-plugins/{quote(kind, safe='')}/config/validate"
        answer = self._ask("PUT", path, json=body, expected={404, 500})
        if not answer.is_success:  # a class that no worker has: 404, or 500 in older versions
            return {_CLASS: f"{_message(answer)} (is the connector's plugin installed?)"}
        values = (each.value for each in self._read(answer, _Validation).configs)
        return {value.name: " ".join(value.errors) for value in values if value.errors}

    def status(self, name: str) -> ConnectorStatus | None:
        """Return the status, or None if the connector does not exist."""
        answer = self._ask("GET", f"{_path(name)}/status", expected={404})
        if answer.status_code == 404:
            return None
        found = self._read(answer, _Status)
        parts = [found.connector, *found.tasks]
        return ConnectorStatus(
            name=name,
            state=found.connector.state,
            tasks=tuple(task.state for task in found.tasks),
            trace=next((part.trace for part in parts if part.trace), None),
        )

    def pause(self, name: str) -> None:
        """Pause a connector."""
        self._ask("PUT", f"{_path(name)}/pause")

    def resume(self, name: str) -> None:
        """Resume a connector."""
        self._ask("PUT", f"{_path(name)}/resume")

    def restart(self, name: str) -> None:
        """Restart the connector and its failed tasks."""
        self._ask("POST", f"{_path(name)}/restart?includeTasks=true&onlyFailed=true")

    def delete(self, name: str) -> None:
        """Delete a connector, if it exists."""
        self._ask("DELETE", _path(name), expected={404})

    def _await_running(self, name: str, tasks: int) -> None:
        """Wait until a connector runs, is paused or is stopped; raise at once if it failed."""
        attempts = Attempts(self._waits, time)
        while True:
            status = self.status(name)
            if status is not None and _settled(status, tasks):
                return
            if status is not None and status.trace is not None:
                raise PermanentError(
                    f"connector {name} failed: {_advised(_cause(status.trace), status.trace)}"
                )
            if not attempts.again():
                shown = f"{status.state}, tasks {list(status.tasks)}" if status else "unknown"
                raise TransientError(
                    f"connector {name} does not run after {self._waits.total:g} s: {shown}"
                )

    def _ask(
        self, method: str, path: str, *, json: object = None, expected: set[int] | None = None
    ) -> httpx2.Response:
        """Send a request, and repeat it during a rebalance; raise all errors but `expected`."""
        attempts = Attempts(self._waits, time)
        while True:
            try:
                with asking(self._who):
                    answer = self._client.request(method, path, json=json)
            except (httpx2.HTTPError, httpx2.InvalidURL) as err:
                if distrusted := tls_failure(err, self._who, section="connect"):
                    raise distrusted from err
                raise TransientError(
                    f"{self._who} cannot be reached: "
                    f"{str(err) or type(err).__name__}; is it running, and is connect.url right?"
                ) from err
            if answer.status_code != 409 or not attempts.again():
                break
        if answer.status_code == 404 and not as_mapping(decoded(answer.content)):
            raise foreign(self._who, "HTTP 404 without Connect's JSON", setting="connect.url")
        if answer.is_success or answer.status_code in (expected or ()):
            return answer
        raise self._error(f"{method} {path}", answer)

    def _read(self, answer: httpx2.Response, kind: type[T]) -> T:
        return shaped_body(answer.content, kind, who=self._who, setting="connect.url")

    @property
    def _who(self) -> str:
        return f"Kafka Connect at {self._url}"

    def _error(self, what: str, answer: httpx2.Response) -> ReviewStreamError:
        status = answer.status_code
        text = f"{self._who} answers {status} to {what}: {_message(answer)}"
        if status in {401, 403}:
            return FatalError(f"{text}; see connect.username and connect.password")
        if status in {409, 429} or status >= 500:
            return TransientError(text)
        return PermanentError(text)


def _path(name: str) -> str:
    return f"/connectors/{quote(name, safe='')}"


def _settled(status: ConnectorStatus, tasks: int) -> bool:
    if status.is_resting:
        return True
    running = status.tasks.count("RUNNING")
    return status.state == "RUNNING" and running == len(status.tasks) >= tasks


def _cause(trace: str) -> str:
    """Return the cause in a Java stack trace: the last `Caused by` line, or the first line."""
    lines = trace.splitlines()
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return (causes or lines)[-1 if causes else 0].strip()


def _advised(complaint: str, failure: str) -> str:
    return "; ".join(filter(None, (complaint, failure_advice(failure))))


def _message(answer: httpx2.Response) -> str:
    message = as_mapping(decoded(answer.content)).get("message")
    words = str(message) if message else answer.text[:200]
    return " ".join(words.split()) or "no explanation"
