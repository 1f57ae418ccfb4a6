"""Servers of somebody else: used by address, refused what is not ours, and left as found."""

from collections.abc import Iterator

import httpx2
import pytest
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from elasticsearch import Elasticsearch, UnsupportedProductError
from openai import OpenAI

from reviewstream_testbed import Testbed, TestbedError
from reviewstream_testbed.external import external_services
from reviewstream_testbed.external.external_openai import ExternalOpenAI
from reviewstream_testbed.external.external_services import ExternalKafka
from reviewstream_testbed.processes.free_ports import free_ports
from reviewstream_testbed.providers import VARIABLES, external_addresses
from tests.unit.adapters.canned import Canned, canned

ANSWERS: dict[str, tuple[int, object]] = {
    "GET /": (200, {}),
    "GET /subjects": (200, ["mine-a/b", "theirs-mine-a"]),
    "DELETE /subjects/mine-a%2Fb": (200, [1]),
    "GET /connectors": (200, ["theirs", "mine-c"]),
    "DELETE /connectors/mine-c": (204, ""),
    "GET /mine-*": (200, {"mine-i": {}}),
    "DELETE /mine-i": (200, {}),
    "GET /_index_template/mine-*": (200, {"index_templates": [{"name": "mine-t"}]}),
    "DELETE /_index_template/mine-t": (200, {}),
}


@pytest.fixture
def fake() -> Iterator[Canned]:
    with canned(dict(ANSWERS)) as fake:
        yield fake


def bed_at(url: str) -> Testbed:
    http = ("schema_registry", "kafka_connect", "elasticsearch")
    environ = {VARIABLES[part]: url for part in http}
    return Testbed(http, provider="external", environ=environ, prefix="mine-")


def test_the_address_is_the_one_that_was_given(fake: Canned) -> None:
    with bed_at(f"{fake.url}/") as bed:
        assert bed.schema_registry.url == bed.elasticsearch.url == bed.kafka_connect.url == fake.url
        assert bed.elasticsearch.port == int(fake.url.rpartition(":")[2])
        assert bed.kafka_connect.value_converter_config == {"schema.registry.url": fake.url}
        assert bed.kafka_connect.sink_connector_class.startswith("io.confluent.")


def test_what_has_the_prefix_is_removed_connectors_first_and_nothing_else(fake: Canned) -> None:
    with bed_at(fake.url):
        assert not any("DELETE" in asked for asked, _, _ in fake.requests)
    assert [asked for asked, _, _ in fake.requests if "DELETE" in asked] == [
        "DELETE /connectors/mine-c",
        "DELETE /subjects/mine-a%2Fb",
        "DELETE /subjects/mine-a%2Fb",  # for good
        "DELETE /mine-i",
        "DELETE /_index_template/mine-t",
    ]


def test_what_cannot_be_removed_is_said_and_the_rest_is_removed(fake: Canned) -> None:
    fake.answers["DELETE /connectors/mine-c"] = (500, {})
    with pytest.raises(TestbedError, match=r"mine-\.\.\. was not removed: .*mine-c answered 500"):
        with bed_at(fake.url):
            pass
    assert "DELETE /mine-i" in [asked for asked, _, _ in fake.requests]


@pytest.mark.parametrize("what", ["kill", "stop", "restart", "pause", "resume", "logs"])
def test_a_server_of_somebody_else_is_not_ours_to_end(fake: Canned, what: str) -> None:
    with bed_at(fake.url) as bed, ExternalOpenAI(fake.url, api_key=None) as endpoint:
        with pytest.raises(TestbedError, match="elasticsearch is external"):
            getattr(bed.elasticsearch, what)()
        with pytest.raises(TestbedError, match="openai_endpoint is external"):
            getattr(endpoint, what)()
        assert bed.elasticsearch.pid is None


def test_an_endpoint_of_somebody_else_is_not_made_to_fail() -> None:
    with ExternalOpenAI("http://127.0.0.1:1/v1/", api_key="sk-1") as endpoint:
        assert (endpoint.base_url, endpoint.url) == ("http://127.0.0.1:1/v1", "http://127.0.0.1:1")
        assert endpoint.api_key == "sk-1"
        with pytest.raises(TestbedError, match="external"):
            endpoint.fault("500")


def test_credentials_in_an_address_are_sent_and_never_shown(fake: Canned) -> None:
    fake.answers["DELETE /connectors/mine-c"] = (403, {})
    with pytest.raises(TestbedError) as failure, bed_at(fake.url.replace("//", "//me:p%40ss@")):
        pass
    assert {headers["authorization"] for _, headers, _ in fake.requests} == {"Basic bWU6cEBzcw=="}
    assert "p%40ss" not in str(failure.value)


def test_clients_take_their_configuration_as_it_is_credentials_and_all(fake: Canned) -> None:
    with bed_at(fake.url.replace("//", "//me:p%40ss@")) as bed:
        fake.requests.clear()
        with SchemaRegistryClient(bed.schema_registry.client_config) as registry:
            assert registry.get_subjects() == fake.answers["GET /subjects"][1]
        with httpx2.Client(**bed.kafka_connect.client_config) as connect:
            assert connect.get("connectors").json() == ["theirs", "mine-c"]
        with Elasticsearch(**bed.elasticsearch.client_config) as elasticsearch:
            with pytest.raises(UnsupportedProductError):  # it has seen that this is no Elastic
                elasticsearch.info()
        headers = [headers["authorization"] for _, headers, _ in fake.requests]
        assert headers == ["Basic bWU6cEBzcw=="] * 3


def test_a_kafka_client_takes_its_configuration_and_may_add_to_it() -> None:
    kafka = ExternalKafka("127.0.0.1:1")
    added = kafka.client_config | {"group.id": "mine", "log_level": 0}
    Consumer(added).close()
    assert kafka.client_config == {"bootstrap.servers": "127.0.0.1:1"}


def test_an_openai_client_takes_its_configuration() -> None:
    config = ExternalOpenAI("http://127.0.0.1:1/v1/", api_key="sk-1").client_config
    with OpenAI(**config) as client:
        assert (str(client.base_url), client.api_key) == ("http://127.0.0.1:1/v1/", "sk-1")


@pytest.mark.parametrize("part", ["kafka", "elasticsearch"])
def test_a_server_that_is_away_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(external_services, "PATIENCE", 1.0)  # librdkafka never gives up by itself
    address = f"127.0.0.1:{free_ports(1)[0]}"
    address = address if part == "kafka" else f"http://{address}"
    bed = Testbed((part,), provider="external", environ={VARIABLES[part]: address})
    message = f"^the external {part} does not answer: see {VARIABLES[part]}"
    with pytest.raises(TestbedError, match=message), bed:
        pytest.fail("it started")


@pytest.mark.parametrize(
    ("provider", "environ", "message"),
    [
        ("clouds", {}, r"no such provider: clouds \(there are embedded, containers and external\)"),
        ("external", {}, "REVIEWSTREAM_TEST_KAFKA, REVIEWSTREAM_TEST_SCHEMA"),
        ("external", {VARIABLES["kafka"]: "http://k:9092"}, "HOST:PORT"),
        ("external", {VARIABLES["elasticsearch"]: "secret@es:9200"}, "http://HOST:PORT"),
    ],
)
def test_a_wrong_provider_or_address_is_one_sentence(
    provider: str, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(TestbedError, match=message) as failure:
        external_addresses(provider, environ)
    assert "secret" not in str(failure.value)


def test_embedded_servers_take_no_address() -> None:
    assert external_addresses("embedded", {VARIABLES["kafka"]: "k:9092"}) == {}
