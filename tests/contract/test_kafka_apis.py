"""The contract of Kafka's own API, on a real broker and on librdkafka's mock cluster."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka import Producer

from reviewstream_testbed import Kafka
from tests.contract.kafka_api import RecordsContract, TopicsContract
from tests.contract.kafka_client import KafkaApi, MockApi
from tests.contract.kafka_differences import APACHE, MOCK, KafkaKind
from tests.contract.kafka_groups import GroupsContract, TransactionsContract

CONTRACTS = (TopicsContract, RecordsContract, GroupsContract, TransactionsContract)


class _Real:
    @pytest.fixture
    def kafka_api(self, kafka: Kafka) -> KafkaApi:
        return KafkaApi(kafka.bootstrap_servers, APACHE)


class TestTopics(_Real, TopicsContract):
    pass


class TestRecords(_Real, RecordsContract):
    pass


class TestGroups(_Real, GroupsContract):
    pass


class TestTransactions(_Real, TransactionsContract):
    pass


@pytest.fixture(scope="module")
def mock_servers() -> Iterator[str]:
    host = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    with closing(host):
        brokers = host.list_topics(timeout=MOCK.patience).brokers.values()
        yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


class _Mock:
    @pytest.fixture(autouse=True)
    def _expect(self, request: pytest.FixtureRequest) -> None:
        """See that the table is right: what the mock lacks must fail."""
        for table, is_run in ((MOCK.lacks, True), (MOCK.silent, False)):
            for beginning, reason in table.items():
                if request.node.name.startswith(beginning):
                    request.applymarker(pytest.mark.xfail(reason=reason, run=is_run, strict=True))

    @pytest.fixture
    def kafka_api(self, mock_servers: str) -> KafkaApi:
        return MockApi(mock_servers, MOCK)


class TestMockTopics(_Mock, TopicsContract):
    pass


class TestMockRecords(_Mock, RecordsContract):
    pass


class TestMockGroups(_Mock, GroupsContract):
    pass


class TestMockTransactions(_Mock, TransactionsContract):
    pass


@pytest.mark.parametrize("kind", [APACHE, MOCK], ids=lambda kind: kind.name)
def test_what_a_kind_lacks_is_the_name_of_a_test(kind: KafkaKind) -> None:
    tests = [name for contract in CONTRACTS for name in vars(contract)]
    unknown = [
        each
        for each in (*kind.lacks, *kind.silent)
        if not any(name.startswith(each) for name in tests)
    ]
    assert unknown == []
