"""The contract of Elasticsearch's own API, on whatever server there is."""

from collections.abc import Iterator

import pytest
from elasticsearch import ApiError
from elasticsearch import Elasticsearch as Client

from reviewstream_testbed import Elasticsearch
from tests.contract.elasticsearch_api import (
    AliasesContract,
    DocumentsContract,
    IndicesContract,
)
from tests.contract.elasticsearch_bulk import BulkContract
from tests.contract.elasticsearch_differences import PUBLISHED_JARS, ElasticsearchKind, kind_of
from tests.contract.elasticsearch_search import DistributionContract, SearchContract


@pytest.fixture(scope="module")
def client(elasticsearch: Elasticsearch) -> Iterator[Client]:
    with Client(elasticsearch.url) as client:
        yield client


@pytest.fixture(scope="module")
def kind(client: Client) -> ElasticsearchKind:
    nodes = client.nodes.info(metric="plugins")["nodes"].values()
    return kind_of({module["name"] for node in nodes for module in node["modules"]})


@pytest.fixture(autouse=True)
def _expect(request: pytest.FixtureRequest) -> None:
    """See that the table is right: what this kind lacks must fail."""
    if request.cls is TestDistribution:
        lacks = request.getfixturevalue("kind").lacks
        if reason := lacks.get(request.node.name):
            request.applymarker(pytest.mark.xfail(reason=reason, raises=ApiError, strict=True))


class TestIndices(IndicesContract):
    pass


class TestAliases(AliasesContract):
    pass


class TestDocuments(DocumentsContract):
    pass


class TestBulk(BulkContract):
    pass


class TestSearch(SearchContract):
    pass


class TestDistribution(DistributionContract):
    pass


def test_what_a_kind_lacks_is_the_name_of_a_test() -> None:
    assert PUBLISHED_JARS.lacks.keys() <= vars(DistributionContract).keys()
