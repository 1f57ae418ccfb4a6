"""Elasticsearch 8.19 and 9, over the official client."""

import logging
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit

from elasticsearch import (
    ApiError,
    Elasticsearch,
    SerializationError,
    TransportError,
    UnsupportedProductError,
)
from elasticsearch import __version__ as VERSION  # noqa: N812 - it is one
from elasticsearch.helpers import ScanError, scan
from msgspec import Struct, field

from reviewstream.adapters.shapes import SHOWN, foreign, shaped
from reviewstream.adapters.tls import ssl_context, tls_failure
from reviewstream.asking import asking
from reviewstream.core.index.mapping import ALIAS_SUFFIX, mapping_drift
from reviewstream.core.records.json_values import as_mapping, kept
from reviewstream.errors import (
    ConfigError,
    FatalError,
    PermanentError,
    ReviewStreamError,
    TransientError,
)
from reviewstream.settings import ElasticsearchSettings

REQUEST_TIMEOUT: Final = 30.0  # seconds
_PAGE: Final = 5_000  # ids in one answer
_SETTING: Final = "elasticsearch.url"
_PORTS: Final = {"http": 80, "https": 443}
_PRODUCT: Final = "x-elastic-product"
_OTHER_TYPES: Final = frozenset({400, 406, 415})
_OTHER_VERSION: Final = "media_type_header_exception"  # the server is older than the client

T = TypeVar("T")


class _Done(Struct):
    acknowledged: Literal[True]


class _Index(Struct):
    mappings: dict[str, Any]


class _Count(Struct):
    count: int


class _Version(Struct):
    id: str = field(name="_id")
    version: int = field(name="_version")


# An unavailable node is reported by our error, so the client's warning is suppressed.
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
                _with_port(settings.url),
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
        """Close the connections; this also happens when the object is garbage-collected."""
        self._closing()

    def setup(self, mapping: Mapping[str, Any]) -> None:
        """Create template, first index and alias, and add the missing fields to an index.

        Raises:
            ConfigError: An index behind the alias maps fields differently; the message names them.
        """
        with self._translated(f"set up {self._alias}"):
            self._put_template(mapping)
            if not self._client.indices.exists_alias(name=self._alias):
                self._create_first()
            answer = self._client.indices.get_mapping(index=self._alias).body
            found = self._read(answer, dict[str, _Index])
            if not found:
                raise foreign(self._who, "no index is behind the alias", setting=_SETTING)
            for name, index in found.items():
                self._align(name, mapping, index.mappings)

    def refresh(self) -> None:
        """Make all documents written so far visible to searches."""
        with self._translated(f"refresh {self._alias}"):
            self._client.indices.refresh(index=self._alias)

    def count(self) -> int:
        """Return the number of documents."""
        with self._translated(f"count the documents of {self._alias}"):
            return self._read(self._client.count(index=self._alias).body, _Count).count

    def versions(self) -> Iterator[tuple[str, int]]:
        """Yield the id and the version of every document, in any order."""
        query = {"_source": False, "version": True}
        with self._translated(f"list the documents of {self._alias}"):
            try:
                for hit in scan(self._client, index=self._alias, query=query, size=_PAGE):
                    found = self._read(hit, _Version)
                    yield found.id, found.version
            except (AttributeError, KeyError, TypeError) as err:  # the client looks at no shape
                raise foreign(self._who, repr(err), setting=_SETTING) from err

    def search(self, body: Mapping[str, Any], kind: type[T]) -> T:
        """Run a search request and return the body of the response, validated as `kind`."""
        with self._translated(f"search {self._alias}"):
            return self._read(self._client.search(index=self._alias, body=dict(body)).body, kind)

    def _put_template(self, mapping: Mapping[str, Any]) -> None:
        answer = self._client.indices.put_index_template(
            name=self._alias,
            index_patterns=[f"{self._alias}-v*"],
            priority=200,
            template={
                "settings": {"number_of_shards": 1, "number_of_replicas": self._replicas},
                "mappings": dict(mapping),
            },
        )
        self._read(answer.body, _Done)

    def _create_first(self) -> None:
        if self._client.indices.exists(index=self._alias):
            raise ConfigError(
                f"{self._alias} at {self._url} is an index, and must be an alias: delete it, or "
                "choose another elasticsearch.index"
            )
        first = f"{self._alias}{ALIAS_SUFFIX}"
        try:
            self._read(self._client.indices.create(index=first).body, _Done)
        except ApiError as err:
            if err.error != "resource_already_exists_exception":
                raise
        answer = self._client.indices.put_alias(index=first, name=self._alias, is_write_index=True)
        self._read(answer.body, _Done)

    def _align(self, index: str, wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> None:
        """Add the missing fields to an index. Fields of a newer schema are kept."""
        drift = mapping_drift(wanted, actual)
        if not drift:
            return
        try:
            self._read(self._client.indices.put_mapping(index=index, **wanted).body, _Done)
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
            with asking(self._who):
                yield
        except UnsupportedProductError as err:
            raise self._other_product() or foreign(self._who, err, setting=_SETTING) from err
        except (RecursionError, SerializationError) as err:
            raise foreign(self._who, err, setting=_SETTING) from err
        except (OSError, ValueError) as err:
            raise ConfigError(f"{self._who}: {err}; see {_SETTING}") from err
        except ApiError as err:
            raise self._refused(what, err) from err
        except TransportError as err:
            raise self._away(err) from err
        except ScanError as err:
            raise TransientError(f"{self._who} cannot {what}: {err}") from err

    def _read(self, value: object, kind: type[T]) -> T:
        return shaped(value, kind, who=self._who, setting=_SETTING)

    @property
    def _who(self) -> str:
        return f"Elasticsearch at {self._url}"

    def _away(self, err: TransportError) -> ReviewStreamError:
        for cause in (err, *err.errors):  # the client stores the causes in a list
            if distrusted := tls_failure(cause, self._who, section="elasticsearch"):
                return distrusted
        return TransientError(
            f"{self._who} cannot be reached: {err.message}; "
            "is it running, and is elasticsearch.url right?"
        )

    def _refused(self, what: str, err: ApiError) -> ReviewStreamError:
        """Return our error for a refusal: another product does not accept our content types."""
        is_other = err.status_code in _OTHER_TYPES and _PRODUCT not in err.meta.headers
        return (self._other_product() if is_other else None) or self._error(what, err)

    def _other_product(self) -> ConfigError | None:
        """Return our error if the server's info says that it is OpenSearch."""
        try:
            self._client.info()
        except UnsupportedProductError as err:
            version = as_mapping(as_mapping(err.body).get("version"))
        except (ApiError, RecursionError, TransportError):
            return None
        else:
            return None
        if version.get("distribution") != "opensearch":
            return None
        return ConfigError(
            f"{self._who} is OpenSearch {kept(str(version.get('number')), SHOWN)}, which is not"
            f" supported: name an Elasticsearch 8 or 9 by {_SETTING}"
        )

    def _error(self, what: str, err: ApiError) -> ReviewStreamError:
        status = err.status_code
        text = f"{self._who} cannot {what}: {_reason(err)}"
        if status in {401, 403}:
            return FatalError(f"{text}; see the credentials under elasticsearch")
        if status == 404:
            return PermanentError(f"{text}: run `reviewstream index setup`")
        if status == 429 or status >= 500:
            return TransientError(text)
        return PermanentError(text)


def _with_port(url: str) -> str:
    """Return a URL with its scheme's default port: the client requires one if there is a path."""
    parts = urlsplit(url)
    if parts.port is not None or parts.scheme not in _PORTS:
        return url
    host = parts.netloc.rstrip(":")
    return parts._replace(netloc=f"{host}:{_PORTS[parts.scheme]}").geturl()


def _credentials(settings: ElasticsearchSettings) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if settings.api_key is not None:
        given["api_key"] = settings.api_key.get_secret_value()
    elif settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        given["basic_auth"] = (settings.username, password)
    if settings.ca_location is not None:
        given["ssl_context"] = ssl_context(
            settings.ca_location, setting="elasticsearch.ca_location"
        )
    return given


def _reason(err: ApiError) -> str:
    """Return the reason that Elasticsearch reports: the root cause, where there is one."""
    try:
        error = err.body["error"]
        if error["type"] == _OTHER_VERSION:
            client, words = VERSION[0], error.get("caused_by", error)["reason"]
            return (
                f"the client is of version {client}, and the server is older ({words}):"
                f" pip install 'elasticsearch<{client}'"
            )
        return str((error.get("root_cause") or [error])[0]["reason"])
    except (AttributeError, IndexError, KeyError, TypeError):
        return f"{err.status_code} {kept(err.message, SHOWN)}"
