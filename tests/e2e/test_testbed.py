"""The testbed's servers are real, survive what tests do to them, and leave nothing behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from socket import create_server, socket
from urllib.parse import urlsplit

import httpx2
import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from elasticsearch import Elasticsearch as Client

from reviewstream_testbed import (
    Elasticsearch,
    Kafka,
    KafkaConnect,
    SchemaRegistry,
    Server,
    Testbed,
    TestbedError,
)
from reviewstream_testbed.installation.java import inspect, wheel_home, wrap_for_spark
from reviewstream_testbed.services.service import Service

PATIENCE = 60.0  # seconds


def await_truth(what: str, ask: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ask():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def make_topic(kafka: Kafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()


def produce(kafka: Kafka, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(PATIENCE) == 0


def consume(kafka: Kafka, topic: str, count: int) -> list[bytes | None]:
    settings = {"group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, **settings})
    consumer.subscribe([topic])
    messages = consumer.consume(count, PATIENCE)
    consumer.close()
    return [message.value() for message in messages]


@pytest.mark.processes
def test_who_comes_to_kafka_by_its_link_stays_on_it(kafka: Kafka) -> None:
    make_topic(kafka, "linked")
    with kafka.link() as link:
        producer = Producer({"bootstrap.servers": f"{link.host}:{link.port}"})
        producer.produce("linked", b"there")
        assert producer.flush(PATIENCE) == 0
        link.silence()
        passed = link.passed
        producer.produce("linked", b"held back")
        assert producer.flush(1) == 1
        assert link.passed == passed
        link.heal()
        assert producer.flush(PATIENCE) == 0
    assert consume(kafka, "linked", 2) == [b"there", b"held back"]


def test_kafka_gives_back_what_it_was_given(kafka: Kafka, topic: str) -> None:
    make_topic(kafka, topic)
    produce(kafka, topic, b"one", b"two")
    assert consume(kafka, topic, 2) == [b"one", b"two"]


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_kafka_keeps_port_and_records_over_a_restart(kafka: Kafka, topic: str, how: str) -> None:
    make_topic(kafka, topic)
    produce(kafka, topic, b"one")
    port = kafka.port
    getattr(kafka, how)()
    assert kafka.pid is None
    assert not kafka.is_ready()
    kafka.restart()
    assert kafka.port == port
    produce(kafka, topic, b"two")
    assert consume(kafka, topic, 2) == [b"one", b"two"]


def test_a_paused_server_does_not_answer_until_it_is_resumed(elasticsearch: Elasticsearch) -> None:
    elasticsearch.pause()
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(elasticsearch.url, timeout=1)
    elasticsearch.resume()
    assert httpx2.get(elasticsearch.url, timeout=PATIENCE).status_code == httpx2.codes.OK


def test_elasticsearch_keeps_documents_over_a_kill(
    elasticsearch: Elasticsearch, index: str
) -> None:
    with Client(elasticsearch.url) as client:
        client.indices.create(index=index, settings={"number_of_replicas": 0})
        client.index(index=index, id="1", document={"stars": 5})
        elasticsearch.kill()
        elasticsearch.restart()
        client.cluster.health(index=index, wait_for_status="green", timeout="30s")
        assert client.get(index=index, id="1")["_source"] == {"stars": 5}


def test_elasticsearch_knows_the_english_analyzer(elasticsearch: Elasticsearch) -> None:
    with Client(elasticsearch.url) as client:
        found = client.indices.analyze(analyzer="english", text="the running foxes")
    assert [token["token"] for token in found["tokens"]] == ["run", "fox"]


@pytest.mark.processes
def test_the_registry_speaks_confluents_api_and_forgets_at_a_restart(
    schema_registry: SchemaRegistry, subject: str
) -> None:
    schema = {"schema": json.dumps("string")}
    made = httpx2.post(f"{schema_registry.url}/subjects/{subject}/versions", json=schema)
    number = made.json()["id"]
    again = httpx2.get(f"{schema_registry.url}/schemas/ids/{number}")
    assert json.loads(again.json()["schema"]) in ("string", {"type": "string"})
    schema_registry.restart()
    assert httpx2.get(f"{schema_registry.url}/subjects").json() == []


def test_connect_offers_the_sink_and_comes_back_on_its_port(kafka_connect: KafkaConnect) -> None:
    kafka_connect.kill()
    kafka_connect.restart()
    plugins = httpx2.get(f"{kafka_connect.url}/connector-plugins", timeout=PATIENCE).json()
    assert kafka_connect.sink_connector_class in {plugin["class"] for plugin in plugins}


@pytest.mark.processes
def test_two_testbeds_run_side_by_side(kafka: Kafka, topic: str) -> None:
    make_topic(kafka, topic)
    with Testbed(["kafka"]) as other:
        assert other.kafka.port != kafka.port
        make_topic(other.kafka, topic)
        folder = other.folder
    assert not folder.exists()


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


class Broken(Kafka):
    """Asks for a main class that is not there."""

    def arguments(self) -> list[str]:
        return [*super().arguments()[:-2], "no.such.Main"]


@pytest.mark.processes
def test_a_server_that_dies_is_reported_at_once_with_its_log(
    testbed: Testbed, tmp_path: Path
) -> None:
    broken = Broken(testbed.installation, tmp_path)
    with pytest.raises(TestbedError, match=r"(?s)kafka ended with status 1.*no\.such\.Main"):
        broken.start()


class HalfBroken(Testbed):
    """Its Kafka is broken."""

    def _make(self, kind: type[Service]) -> Service:
        return Broken(self.installation, self.folder) if kind is Kafka else super()._make(kind)


@pytest.mark.processes
@pytest.mark.parametrize("parts", [["elasticsearch", "kafka_connect", "kafka"], ["kafka_connect"]])
def test_one_part_that_dies_ends_the_others_and_the_start(parts: list[str]) -> None:
    halves = HalfBroken(parts)
    with pytest.raises(TestbedError, match="kafka ended with status 1"), halves:
        pytest.fail("it started")
    assert not halves.folder.exists()
    assert halves.addresses() == {}


class Crowded(Kafka):
    """Finds that another program has taken its first port."""

    rival: socket | None = None

    def prepare(self) -> None:
        super().prepare()
        if self.rival is None:
            self.rival = create_server(("127.0.0.1", self.port))


class WithCrowded(Testbed):
    """Its Kafka gets other ports than those that Connect was told."""

    def _make(self, kind: type[Service]) -> Service:
        return Crowded(self.installation, self.folder) if kind is Kafka else super()._make(kind)


@pytest.mark.processes
def test_connect_follows_a_kafka_that_had_to_take_another_port() -> None:
    with WithCrowded(["kafka_connect"]) as bed:
        assert isinstance(bed.kafka, Crowded)
        assert bed.kafka.rival is not None
        with bed.kafka.rival as rival:
            assert bed.kafka.port != rival.getsockname()[1]
        assert bed.kafka_connect.is_ready()


def test_the_registry_answers_every_request_for_what_it_does_not_have(
    schema_registry: SchemaRegistry,
) -> None:
    url = urlsplit(schema_registry.url)
    with contextlib.closing(HTTPConnection(url.netloc, timeout=5)) as connection:
        for number in range(3000):
            connection.request("GET", f"{url.path}/associations/resources/-/{number}")
            with connection.getresponse() as answer:
                answer.read()
                assert answer.status == 404


@pytest.mark.processes
def test_a_killed_parent_leaves_no_server_and_no_file(tmp_path: Path, state: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "reviewstream_testbed", "up", "--json", "kafka"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path), "REVIEWSTREAM_STATE": str(state)},
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert "kafka" in json.loads(parent.stdout.readline())
        children = psutil.Process(parent.pid).children(recursive=True)
        assert any("java" in child.name() for child in children)
        assert list(tmp_path.iterdir())
        parent.send_signal(signal.SIGKILL)
        await_truth("the servers run on", lambda: not any(map(is_running, children)))
        await_truth("files are left", lambda: not list(tmp_path.iterdir()))


def is_running(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


# A test run in the background ignores Ctrl-C, and so would what it starts.
ON_A_TERMINAL = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('reviewstream_testbed', run_name='__main__')"
)


@pytest.mark.processes
def test_ctrl_c_ends_up_without_a_trace(tmp_path: Path, state: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, "up", "kafka"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path), "REVIEWSTREAM_STATE": str(state)},
        text=True,
    ) as up:
        assert up.stdout is not None
        assert up.stderr is not None
        assert any("127.0.0.1" in line for line in iter(up.stdout.readline, ""))
        up.send_signal(signal.SIGINT)
        assert up.wait(PATIENCE) == 0
        assert up.stderr.read() == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.processes
def test_the_wheels_java_takes_sparks_arguments_when_wrapped(tmp_path: Path) -> None:
    wheel = wheel_home()
    assert wheel is not None
    home = wrap_for_spark(wheel, tmp_path)
    arguments = ["--add-modules=jdk.incubator.vector", "-version"]
    assert subprocess.run([home / "bin" / "java", *arguments], check=False).returncode == 0
    assert subprocess.run([wheel / "bin" / "java", *arguments], check=False).returncode == 1
    found = inspect(home)
    assert found is not None
    assert found.home == wheel


@pytest.mark.processes
def test_servers_listen_on_loopback_only(testbed: Testbed) -> None:
    servers: list[Server] = [testbed.kafka, testbed.schema_registry]
    servers += [testbed.kafka_connect, testbed.elasticsearch]
    for server in servers:
        assert server.pid is not None
        sockets = psutil.Process(server.pid).net_connections()
        addresses = {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN}
        assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, server.name
