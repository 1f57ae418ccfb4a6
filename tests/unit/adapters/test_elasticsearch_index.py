"""What Elasticsearch answers, and what we say of it."""

import pytest
from pydantic import SecretStr

from reviewstream.adapters.elasticsearch_index import ElasticsearchIndex
from reviewstream.errors import (
    ConfigError,
    FatalError,
    PermanentError,
    ReviewStreamError,
    TransientError,
)
from reviewstream.settings import ElasticsearchSettings
from tests.unit.adapters.canned import Answer, Canned, canned

PRODUCT = {"x-elastic-product": "Elasticsearch"}
COUNT = "POST /reviews/_count"


def index_of(server: Canned) -> ElasticsearchIndex:
    return ElasticsearchIndex(ElasticsearchSettings(url=server.url))


def refusal(status: int, reason: str = "because", kind: str = "some_exception") -> object:
    cause = {"type": kind, "reason": reason}
    return {"error": {"root_cause": [cause], **cause}, "status": status}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, PermanentError),
        (401, FatalError),
        (403, FatalError),
        (404, PermanentError),
        (429, TransientError),
        (503, TransientError),
    ],
)
def test_each_status_says_whether_to_try_again(status: int, kind: type[ReviewStreamError]) -> None:
    with canned({COUNT: (status, refusal(status))}, PRODUCT) as server:
        with pytest.raises(kind, match="cannot count the documents of reviews: because") as raised:
            index_of(server).count()
    assert type(raised.value) is kind


def test_an_answer_without_a_reason_is_named_by_its_status() -> None:
    with canned({COUNT: (502, "<html>")}, PRODUCT) as server:
        with pytest.raises(TransientError, match="502"):
            index_of(server).count()


def test_a_server_that_is_away_is_one_sentence() -> None:
    index = ElasticsearchIndex(ElasticsearchSettings(url="http://127.0.0.1:1"))
    for ask in (index.count, lambda: list(index.versions()), lambda: index.search({}, dict)):
        with pytest.raises(TransientError, match=r"cannot be reached: .*elasticsearch\.url right"):
            ask()


def test_another_product_is_a_setting_to_correct() -> None:
    with canned({COUNT: (200, {"count": 1})}) as server:
        with pytest.raises(ConfigError, match="Elasticsearch"):
            index_of(server).count()


OPENSEARCH = {"version": {"distribution": "opensearch", "number": "3.1.0"}}
DEEP = "[" * 100_000
TYPE_REFUSED = {"error": "Content-Type header [...] is not supported", "status": 406}


@pytest.mark.parametrize("answer", [(406, TYPE_REFUSED), (200, {"count": 1})])
def test_opensearch_is_called_by_its_name(answer: Answer) -> None:
    with canned({COUNT: answer, "GET /": (200, OPENSEARCH)}) as server:
        with pytest.raises(ConfigError, match=r"is OpenSearch 3\.1\.0, .*elasticsearch\.url"):
            index_of(server).count()


@pytest.mark.parametrize(
    "page", [(200, {"version": "x"}), (200, []), (503, "no"), (200, {}), (200, DEEP)]
)
def test_what_does_not_say_what_it_is_gets_no_name(page: Answer) -> None:
    kind = {"content-type": "application/json"}
    with canned({COUNT: (406, TYPE_REFUSED), "GET /": page}, kind) as server:
        with pytest.raises(PermanentError, match="406") as raised:
            index_of(server).count()
    assert "OpenSearch" not in str(raised.value)


def test_an_address_that_is_none_is_a_setting_to_correct() -> None:
    with pytest.raises(ConfigError, match="Elasticsearch at localhost:9200"):
        settings = ElasticsearchSettings().model_copy(update={"url": "localhost:9200"})
        ElasticsearchIndex(settings)


def test_an_index_that_someone_else_makes_meanwhile_is_taken() -> None:
    exists = refusal(400, "exists", "resource_already_exists_exception")
    answers = {
        "PUT /_index_template/reviews": (200, {"acknowledged": True}),
        "HEAD /_alias/reviews": (404, ""),
        "HEAD /reviews": (404, ""),
        "PUT /reviews-v1": (400, exists),
        "PUT /reviews-v1/_alias/reviews": (200, {"acknowledged": True}),
        "GET /reviews/_mapping": (200, {"reviews-v1": {"mappings": {"dynamic": "strict"}}}),
    }
    with canned({**answers}, PRODUCT) as server:
        index_of(server).setup({"dynamic": "strict"})
        assert server.requests[-2][0] == "PUT /reviews-v1/_alias/reviews"


def test_an_index_that_may_not_be_made_is_an_error() -> None:
    answers = {
        "PUT /_index_template/reviews": (200, {"acknowledged": True}),
        "HEAD /_alias/reviews": (404, ""),
        "HEAD /reviews": (404, ""),
        "PUT /reviews-v1": (403, refusal(403, "not allowed", "security_exception")),
    }
    with canned({**answers}, PRODUCT) as server, pytest.raises(FatalError, match="not allowed"):
        index_of(server).setup({"dynamic": "strict"})


def test_a_mapping_that_cannot_be_written_now_is_no_drift() -> None:
    answers = {
        "PUT /_index_template/reviews": (200, {"acknowledged": True}),
        "HEAD /_alias/reviews": (200, ""),
        "GET /reviews/_mapping": (200, {"reviews-v1": {"mappings": {}}}),
        "PUT /reviews-v1/_mapping": (503, refusal(503, "no master")),
    }
    with canned({**answers}, PRODUCT) as server, pytest.raises(TransientError, match="no master"):
        index_of(server).setup({"dynamic": "strict"})


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        ({"api_key": SecretStr("hush")}, "ApiKey hush"),
        ({"username": "u", "password": SecretStr("hush")}, "Basic dTpodXNo"),
        ({"username": "u"}, "Basic dTo="),
    ],
)
def test_credentials_are_sent_and_never_shown(settings: dict[str, object], header: str) -> None:
    with canned({COUNT: (401, refusal(401))}, PRODUCT) as server:
        given = ElasticsearchSettings.model_validate({"url": server.url, **settings})
        with ElasticsearchIndex(given) as index, pytest.raises(FatalError) as refused:
            index.count()
        ((_, headers, _),) = server.requests
    assert headers["authorization"] == header
    assert "hush" not in str(refused.value)


def test_a_server_older_than_the_client_is_named_with_the_cure() -> None:
    found = "Accept version must be either version 8 or 7, but found 9."
    error = {"type": "media_type_header_exception", "reason": "Invalid media-type value on headers"}
    body = {"error": {"root_cause": [error], **error, "caused_by": {"reason": found}}}
    with canned({COUNT: (400, body)}, PRODUCT) as server:
        with pytest.raises(PermanentError, match=r"but found 9.*pip install 'elasticsearch<"):
            index_of(server).count()


@pytest.mark.parametrize("url", ["http://127.0.0.1/es", "http://127.0.0.1", "http://[::1]/es/"])
def test_a_url_without_a_port_has_that_of_its_scheme(url: str) -> None:
    with pytest.raises(TransientError, match="port=80"):
        ElasticsearchIndex(ElasticsearchSettings(url=url)).count()


@pytest.mark.parametrize("shards", [None, [], 7, {"total": 1}])
def test_a_page_of_documents_of_another_shape_is_a_setting_to_correct(shards: object) -> None:
    page = {"_scroll_id": "s", "_shards": shards, "hits": {"hits": [{"_id": "a"}]}}
    with canned({"POST /reviews/_search": (200, page)}, PRODUCT) as server:
        with pytest.raises(ConfigError, match=f"{server.url} gives an answer.*elasticsearch.url"):
            list(index_of(server).versions())
