"""Elasticsearch by the official client, 8.19 and 9."""

import logging
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

from elasticsearch import ApiError, Elasticsearch, TransportError, UnsupportedProductError
from elasticsearch.helpers import ScanError, scan

from reviewstream.adapters.trust import tls_failure, trusting
from reviewstream.core.mapping import ALIAS_SUFFIX, mapping_drift
from reviewstream.errors import (
    ConfigError,
    PermanentError,
    ReviewStreamError,
    StopError,
    TransientError,
)
from reviewstream.settings import ElasticsearchSettings

REQUEST_TIMEOUT: Final = 30.0  # seconds
_PAGE: Final = 5_000  # ids in one answer

# A node that does not answer is our error's one sentence, not a warning beside it.
logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)


class ElasticsearchIndex:
    """`SearchIndex` behind the alias `settings.index`; the first index is `<alias>-v1`."""

    def __init__(
        self, settings: ElasticsearchSettings, *, timeout: float = REQUEST_TIMEOUT
    ) -> None:
        self._url = settings.url
        self._alias = settings.index
        self._replicas = settings.replicas
        with self._translated("make a client"):
            self._client = Elasticsearch(
                settings.url,
                request_timeout=timeout,
                max_retries=0,
                retry_on_timeout=False,
                **_credentials(settings),
            )
        self._closing = weakref.finalize(self, self._client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the connections; this happens too when nobody holds the object any more."""
        self._closing()

    def setup(self, mapping: Mapping[str, Any]) -> None:
        """Create template, first index and alias; fields that an index lacks are added.

        Raises:
            ConfigError: an index behind the alias maps a field otherwise; names each.
        """
        with self._translated(f"set up {self._alias}"):
            self._put_template(mapping)
            if not self._client.indices.exists_alias(name=self._alias):
                self._create_first()
            answer = self._client.indices.get_mapping(index=self._alias)
            for index, found in answer.body.items():
                self._align(index, mapping, found["mappings"])

    def refresh(self) -> None:
        """Make everything written so far visible to searches."""
        with self._translated(f"refresh {self._alias}"):
            self._client.indices.refresh(index=self._alias)

    def count(self) -> int:
        """Return the number of documents."""
        with self._translated(f"count the documents of {self._alias}"):
            return int(self._client.count(index=self._alias)["count"])

    def versions(self) -> Iterator[tuple[str, int]]:
        """Return the id and the version of every document, in no order."""
        query = {"_source": False, "version": True}
        with self._translated(f"list the documents of {self._alias}"):
            for hit in scan(self._client, index=self._alias, query=query, size=_PAGE):
                yield hit["_id"], hit["_version"]

    def search(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run a search request and return the answer's body."""
        with self._translated(f"search {self._alias}"):
            answer: dict[str, Any] = self._client.search(index=self._alias, body=dict(body)).body
            return answer

    def _put_template(self, mapping: Mapping[str, Any]) -> None:
        self._client.indices.put_index_template(
            name=self._alias,
            index_patterns=[f"{self._alias}-v*"],
            priority=200,
            template={
                "settings": {"number_of_shards": 1, "number_of_replicas": self._replicas},
                "mappings": dict(mapping),
            },
        )

    def _create_first(self) -> None:
        if self._client.indices.exists(index=self._alias):
            raise ConfigError(
                f"{self._alias} at {self._url} is an index, and must be an alias: delete it, or "
                "choose another elasticsearch.index"
            )
        first = f"{self._alias}{ALIAS_SUFFIX}"
        try:
            self._client.indices.create(index=first)
        except ApiError as err:
            if err.error != "resource_already_exists_exception":
                raise
        self._client.indices.put_alias(index=first, name=self._alias, is_write_index=True)

    def _align(self, index: str, wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> None:
        """Add the fields that an index lacks. Fields of a newer schema are left alone."""
        drift = mapping_drift(wanted, actual)
        if not drift:
            return
        try:
            self._client.indices.put_mapping(index=index, **wanted)
        except ApiError as err:
            if err.status_code != 400:
                raise
            raise ConfigError(
                f"index {index} at {self._url} does not map the fields as the schema says: "
                f"{'; '.join(drift)}; make a new index behind the alias {self._alias}"
            ) from err

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, UnsupportedProductError, ValueError) as err:
            raise ConfigError(f"Elasticsearch at {self._url}: {err}") from err
        except ApiError as err:
            raise self._error(what, err) from err
        except TransportError as err:
            raise self._away(err) from err
        except ScanError as err:
            raise TransientError(f"Elasticsearch at {self._url} cannot {what}: {err}") from err

    def _away(self, err: TransportError) -> ReviewStreamError:
        who = f"Elasticsearch at {self._url}"
        for cause in (err, *err.errors):  # the client keeps what it met, not as its cause
            if distrusted := tls_failure(cause, who, section="elasticsearch"):
                return distrusted
        return TransientError(
            f"{who} cannot be reached: {err.message}; "
            "is it running, and is elasticsearch.url right?"
        )

    def _error(self, what: str, err: ApiError) -> ReviewStreamError:
        status = err.status_code
        text = f"Elasticsearch at {self._url} cannot {what}: {_reason(err)}"
        if status in {401, 403}:
            return StopError(f"{text}; see the credentials under elasticsearch")
        if status == 404:
            return PermanentError(f"{text}: run `reviewstream index setup`")
        if status == 429 or status >= 500:
            return TransientError(text)
        return PermanentError(text)


def _credentials(settings: ElasticsearchSettings) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if settings.api_key is not None:
        given["api_key"] = settings.api_key.get_secret_value()
    elif settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        given["basic_auth"] = (settings.username, password)
    if settings.ca_location is not None:
        given["ssl_context"] = trusting(settings.ca_location, setting="elasticsearch.ca_location")
    return given


def _reason(err: ApiError) -> str:
    """Return Elasticsearch's own sentence: the root cause, where there is one."""
    try:
        error = err.body["error"]
        return str((error.get("root_cause") or [error])[0]["reason"])
    except (AttributeError, KeyError, TypeError):
        return f"{err.status_code} {err.message}"
