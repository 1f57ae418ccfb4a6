"""The Schema Registry over confluent-kafka's client: Confluent's, Apicurio's or Karapace's."""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from reviewstream.adapters.shapes import SHOWN, foreign, shaped
from reviewstream.adapters.tls import VARIABLES, tls_failure
from reviewstream.asking import asking
from reviewstream.core.records.json_values import kept
from reviewstream.core.schemas.compatibility import incompatibilities
from reviewstream.errors import (
    ConfigError,
    FatalError,
    IncompatibleSchemaError,
    PermanentError,
    ReviewStreamError,
    TransientError,
)
from reviewstream.settings import RegistrySettings

REQUEST_TIMEOUT: Final = 10.0  # seconds
_EXPLAINED: Final = 3  # number of differences in a message

T = TypeVar("T")


class ConfluentRegistry:
    """`SubjectRegistry` over HTTP. It uses the HTTP status, as the registries' codes differ."""

    def __init__(self, settings: RegistrySettings, *, timeout: float = REQUEST_TIMEOUT) -> None:
        self._url = settings.url
        try:
            self._client = SchemaRegistryClient(_config(settings, timeout))
        except (ImportError, OSError, TypeError, ValueError, httpx2.InvalidURL) as err:
            raise ConfigError(
                f"the client of {self._who} cannot be made: {err}; see the settings under registry,"
                f" and the variables {', '.join(VARIABLES)}"
            ) from err
        self._closing = weakref.finalize(self, self._client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; this also happens when the object is garbage-collected."""
        self._closing()

    def subjects(self) -> Sequence[str]:
        """Return all subjects, sorted."""
        with self._translated("list the subjects"):
            return sorted(self._read(self._client.get_subjects(), list[str]))

    def register(self, subject: str, schema: str) -> int:
        """Register an Avro schema (idempotent) and return its id."""
        with self._translated(f"register a schema of {subject}"):
            try:
                found = self._client.register_schema(subject, Schema(schema, "AVRO"))
            except SchemaRegistryError as err:
                if err.http_status_code == 409:
                    raise IncompatibleSchemaError(self._explained(subject, schema)) from err
                raise
            return self._read(found, int)

    def find(self, subject: str, schema: str) -> int | None:
        """Return the id of exactly this schema under the subject, or None."""
        with self._translated(f"look up a schema of {subject}"):
            try:
                found = self._client.lookup_schema(subject, Schema(schema, "AVRO"))
            except SchemaRegistryError as err:
                if err.http_status_code == 404:
                    return None
                raise
            return self._read(found.schema_id, int)

    def schema(self, schema_id: int) -> str:
        """Return a schema's text."""
        with self._translated(f"give schema {schema_id}"):
            return self._read(self._client.get_schema(schema_id).schema_str, str)

    def versions(self, subject: str) -> Sequence[tuple[int, str]]:
        """Return (version, schema) of each version, oldest first; empty for an unknown subject."""
        with self._translated(f"give the versions of {subject}"):
            try:
                found = self._client.get_versions(subject)
            except SchemaRegistryError as err:
                if err.http_status_code == 404:
                    return ()
                raise
            numbers = sorted(self._read(found, list[int]))
            return tuple((number, self._version(subject, number)) for number in numbers)

    def compatibility(self, subject: str) -> str:
        """Return the compatibility level in force for the subject."""
        with self._translated(f"give the compatibility level of {subject}"):
            try:
                return self._read(self._client.get_compatibility(subject), str)
            except SchemaRegistryError as err:
                if err.http_status_code != 404:
                    raise
            return self._read(self._client.get_compatibility(), str)

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the subject's compatibility level, such as FULL_TRANSITIVE."""
        with self._translated(f"set the compatibility level of {subject} to {level}"):
            self._client.set_compatibility(subject, level)

    def _version(self, subject: str, number: int) -> str:
        return self._read(self._client.get_version(subject, number).schema.schema_str, str)

    def _read(self, value: object, kind: type[T]) -> T:
        return shaped(value, kind, who=self._who, setting="registry.url")

    @property
    def _who(self) -> str:
        return f"the schema registry at {self._url}"

    def _explained(self, subject: str, schema: str) -> str:
        """Describe the incompatibility: Apicurio does not, and Confluent's is verbose."""
        found = [
            f"v{number} {direction} {problem}"
            for number, older in self.versions(subject)
            for direction, problems in (
                ("read by the new one:", incompatibilities(reader=schema, writer=older)),
                ("reading the new one:", incompatibilities(reader=older, writer=schema)),
            )
            for problem in problems
        ]
        if len(found) > _EXPLAINED:
            found[_EXPLAINED:] = [f"and {len(found) - _EXPLAINED} more"]
        return (
            f"subject {subject} at {self._url} refuses the schema under its level "
            f"{self.compatibility(subject)}: {'; '.join(found) or 'it does not say why'}"
        )

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            with asking(self._who):
                yield
        except SchemaRegistryError as err:
            raise self._error(what, err) from err
        except httpx2.HTTPError as err:
            raise self._away(err) from err
        except (httpx2.InvalidURL, OSError, UnicodeError) as err:  # an invalid host name
            raise ConfigError(
                f"{self._who} cannot {what}: {err}; see the settings under registry"
            ) from err
        # The client assumes that every answer is from a registry.
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as err:
            raise foreign(self._who, f"asked to {what}: {err!r}", setting="registry.url") from err

    def _error(self, what: str, err: SchemaRegistryError) -> ReviewStreamError:
        status = err.http_status_code
        text = f"{self._who} cannot {what}: {kept(str(err), SHOWN)}"
        if status in {401, 403}:
            return FatalError(
                f"{text}; see registry.username, registry.password and registry.token"
            )
        if status == 429 or status >= 500:
            return TransientError(text)
        return PermanentError(text)

    def _away(self, err: httpx2.HTTPError) -> ReviewStreamError:
        if distrusted := tls_failure(err, self._who, section="registry"):
            return distrusted
        cause = str(err) or type(err).__name__
        return TransientError(
            f"{self._who} cannot be reached: {cause}; is it running, and is registry.url right?"
        )


def _config(settings: RegistrySettings, timeout: float) -> dict[str, Any]:
    config: dict[str, Any] = {"url": settings.url, "timeout": timeout, "max.retries": 0}
    if settings.ca_location is not None:
        config["ssl.ca.location"] = settings.ca_location
    if settings.token is not None:
        config["bearer.auth.credentials.source"] = "STATIC_TOKEN"
        config["bearer.auth.token"] = settings.token.get_secret_value()
        config["bearer.auth.logical.cluster"] = settings.logical_cluster or ""
    elif settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        config["basic.auth.user.info"] = f"{settings.username}:{password}"
    return config
