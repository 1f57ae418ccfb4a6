"""The Kafka adapter on librdkafka's own mock broker: no server needed."""

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from pydantic import SecretStr, ValidationError

from reviewstream.adapters.kafka import error_mapper as kafka_errors
from reviewstream.adapters.kafka import record_log
from reviewstream.adapters.kafka import transactions as kafka_transactions
from reviewstream.adapters.kafka.configuration import client_config, producer_config
from reviewstream.adapters.kafka.error_mapper import ErrorMapper
from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.adapters.kafka.record_sink import KafkaRecordSink
from reviewstream.adapters.kafka.transactions import KafkaTransactionalSink, transaction_config
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.errors import (
    ConfigError,
    FatalError,
    PermanentError,
    ReviewStreamError,
    TransientError,
)
from reviewstream.settings import KafkaSettings
from reviewstream_testbed.security.certificates import Authority
from reviewstream_testbed.security.credentials import Security
from reviewstream_testbed.security.tls_proxy import TlsProxy

PATIENCE = 30.0  # seconds
AWAY = KafkaSettings(bootstrap_servers="127.0.0.1:1", delivery_timeout=1.0)


REFUSALS = (
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
)


@contextmanager
def mock_broker(**config: int) -> Iterator[KafkaSettings]:
    host = Producer(
        {"bootstrap.servers": "unused", "test.mock.num.brokers": 1, **config},
        logger=logging.getLogger("mock broker"),
    )
    brokers = host.list_topics(timeout=10).brokers.values()
    yield KafkaSettings(
        bootstrap_servers=",".join(f"{each.host}:{each.port}" for each in brokers),
        delivery_timeout=10.0,
    )
    host.flush(0)


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaSettings]:
    with mock_broker() as running:
        yield running


def record(topic: str, key: str = "k", size: int = 1) -> OutgoingRecord:
    return OutgoingRecord(topic=topic, key=key.encode(), value=b"v" * size)


def test_a_plain_broker_needs_its_address_alone() -> None:
    assert client_config(KafkaSettings(bootstrap_servers="b:1")) == {
        "bootstrap.servers": "b:1",
        "client.id": "reviewstream",
        "reconnect.backoff.ms": 10,
        "retry.backoff.ms": 10,
        "security.protocol": "PLAINTEXT",
    }


def test_confluent_cloud_needs_settings_alone() -> None:
    settings = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="key",
        sasl_password=SecretStr("secret"),
        ssl_ca_location="ca.pem",
    )
    config = client_config(settings)
    assert config["sasl.mechanism"] == "PLAIN"
    assert (config["sasl.username"], config["sasl.password"]) == ("key", "secret")
    assert config["ssl.ca.location"] == "ca.pem"


def test_oauthbearer_needs_settings_alone() -> None:
    settings = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="OAUTHBEARER",
        oauth_token_url="https://login.example.com/token",
        oauth_client_id="app",
        oauth_client_secret=SecretStr("hidden"),
    )
    config = client_config(settings)
    assert config["sasl.oauthbearer.method"] == "oidc"
    assert config["sasl.oauthbearer.client.secret"] == "hidden"
    assert config["sasl.oauthbearer.token.endpoint.url"] == "https://login.example.com/token"
    assert "sasl.oauthbearer.scope" not in config
    assert "hidden" not in repr(settings)


def test_a_secret_among_the_client_s_own_settings_is_kept_apart() -> None:
    settings = KafkaSettings(client_secrets={"ssl.key.password": SecretStr("hidden")})
    assert client_config(settings)["ssl.key.password"] == "hidden"
    assert "hidden" not in repr(settings)
    with pytest.raises(ValueError, match=r'kafka.client_secrets."ssl.key.password"') as refused:
        KafkaSettings(client={"ssl.key.password": "visible"})
    assert isinstance(refused.value, ValidationError)
    said = refused.value.errors(include_input=False, include_url=False)[0]["msg"]
    assert "visible" not in said


def test_librdkafkas_own_settings_win() -> None:
    settings = KafkaSettings(client={"linger.ms": "5", "client.id": "mine"})
    config = producer_config(settings)
    assert (config["linger.ms"], config["client.id"]) == ("5", "mine")


def test_the_producer_neither_loses_nor_doubles() -> None:
    config = producer_config(KafkaSettings(delivery_timeout=7))
    assert (config["acks"], config["enable.idempotence"]) == ("all", True)
    assert config["delivery.timeout.ms"] == 7_000


def test_what_is_written_can_be_read(broker: KafkaSettings) -> None:
    sink = KafkaRecordSink(broker)
    for number in range(50):
        sink.write(record("plain", str(number)))
    assert sink.flush() == 50
    log = KafkaLog(broker)
    assert {each.key for each in log.read_all("plain")} == {str(n).encode() for n in range(50)}
    assert sum(log.end_offsets("plain").values()) == 50


class Held(KafkaLog):
    """A topic whose stable end stays before its end of 112 until a moment.

    Attributes:
        now: Seconds since the start; they pass as somebody sleeps.
    """

    def __init__(self, settings: KafkaSettings, *, until: float) -> None:
        super().__init__(settings, timeout=5.0)
        self.now = 0.0
        self._until = until

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _consumer(self, isolation: str = "read_committed") -> Any:
        return SimpleNamespace(isolation=isolation, assign=lambda _: None, close=lambda: None)

    def _bounds(self, consumer: Any, _topic: str) -> dict[int, tuple[int, int]]:
        """Return an end that others move on, as they begin transaction after transaction."""
        stable = 112 if self.now >= self._until else 100
        end = 112 + int(self.now * 10)
        return {0: (112, end if consumer.isolation == "read_uncommitted" else stable)}


def held(
    monkeypatch: pytest.MonkeyPatch, *, until: float, client: dict[str, str] | None = None
) -> Held:
    log = Held(KafkaSettings(client=client or {}), until=until)
    clock = SimpleNamespace(monotonic=lambda: log.now, sleep=log.sleep)
    monkeypatch.setattr(record_log, "time", clock)
    return log


@pytest.mark.parametrize(("until", "told"), [(0.0, 0), (1.0, 0), (70.0, 1)])
def test_what_an_open_transaction_hides_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, until: float, told: int
) -> None:
    log = held(monkeypatch, until=until)
    assert list(log.read_all("t")) == []
    assert log.now == pytest.approx(until, abs=0.2)
    said = "A transaction is open on topic t: waiting for its end, 75 s at most"
    assert caplog.messages == [said] * told


@pytest.mark.parametrize(
    ("client", "longest"), [(None, 75.0), ({"transaction.timeout.ms": "2000"}, 17.0)]
)
def test_a_transaction_that_nobody_ends_is_an_error_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, client: dict[str, str] | None, longest: float
) -> None:
    log = held(monkeypatch, until=1000.0, client=client)
    with pytest.raises(TransientError, match="a transaction is open on topic t: try again when"):
        list(log.read_all("t"))
    assert log.now == pytest.approx(longest, abs=0.2)


def test_a_reader_knows_how_long_our_own_transactions_stay_open() -> None:
    config = transaction_config(KafkaSettings(), "name")
    assert str(config["transaction.timeout.ms"]) == record_log._DEFAULT_TRANSACTION


def isolation_levels(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[str]:
    """Return a list of what each consumer that a module makes will read."""
    levels: list[str] = []

    def consumer(config: dict[str, Any]) -> Consumer:
        levels.append(config["isolation.level"])
        return Consumer(config)

    monkeypatch.setattr(module, "Consumer", consumer)
    return levels


def test_records_are_read_when_they_are_committed(
    broker: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = KafkaRecordSink(broker)
    sink.write(record("committed"))
    sink.flush()
    levels = isolation_levels(monkeypatch, record_log)
    assert len(list(KafkaLog(broker).read_all("committed"))) == 1
    assert levels[-1] == "read_committed"  # the one before asks where the topic ends


def test_a_marker_is_read_when_it_is_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = isolation_levels(monkeypatch, kafka_transactions)
    KafkaTransactionalSink(AWAY, "name").close()
    assert levels == ["read_committed"]


def test_a_full_queue_is_waited_for(broker: KafkaSettings) -> None:
    small = broker.model_copy(update={"client": {"queue.buffering.max.messages": "10"}})
    sink = KafkaRecordSink(small)
    for number in range(200):
        sink.write(record("narrow", str(number)))
    assert sink.flush() == 200


def test_a_queue_that_stays_full_is_a_transient_error() -> None:
    sink = KafkaRecordSink(
        AWAY.model_copy(update={"client": {"queue.buffering.max.messages": "1"}})
    )
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1 cannot be reached"):
        for _ in range(10):
            sink.write(record("t"))


def test_a_record_over_the_limit_is_refused_with_its_size(broker: KafkaSettings) -> None:
    sink = KafkaRecordSink(broker.model_copy(update={"client": {"message.max.bytes": "5000"}}))
    with pytest.raises(PermanentError, match=r"topic t, key 'k', 6,001 bytes \(limit 5,000\)"):
        sink.write(record("t", size=6_000))


def test_what_is_not_delivered_is_named_once() -> None:
    sink = KafkaRecordSink(AWAY)
    sink.write(record("lost", "r1"))
    with pytest.raises(TransientError, match=r"1 records were not written.*topic lost, key 'r1'"):
        sink.flush()
    assert sink.flush() == 0


def test_a_broker_that_is_away_is_one_sentence_in_seconds() -> None:
    log = KafkaLog(AWAY, timeout=1)
    for ask in (lambda: log.ensure(["t"]), lambda: log.end_offsets("t")):
        with pytest.raises(TransientError, match=r"is kafka\.bootstrap_servers right\?"):
            ask()


def test_a_setting_that_does_not_exist_is_named() -> None:
    wrong = KafkaSettings(client={"lingering": "5"})
    for make in (lambda: KafkaRecordSink(wrong), lambda: KafkaLog(wrong).end_offsets("t")):
        with pytest.raises(ConfigError, match="lingering"):
            make()


def test_what_librdkafka_says_in_several_lines_is_one() -> None:
    odd = KafkaSettings(client={"socket.timeout.ms": "1"})
    with pytest.raises(ConfigError, match=r"^[^\n]*allowed range 10\.\.300000 [^\n]*under kafka$"):
        KafkaLog(odd).ensure(["t"])


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_librdkafka_speaks_only_to_who_debugs(
    level: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(level, "reviewstream")
    with pytest.raises(TransientError):
        KafkaLog(AWAY, timeout=1).end_offsets("t")
    assert bool(caplog.records) == (level == logging.DEBUG)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KafkaError(KafkaError._TRANSPORT), TransientError),
        *((KafkaError(code), FatalError) for code in REFUSALS),
        (KafkaError(KafkaError._INVALID_ARG), ConfigError),
        (KafkaError(KafkaError.NOT_ENOUGH_REPLICAS, retriable=True), TransientError),
        (KafkaError(KafkaError._FENCED, fatal=True), TransientError),
        (KafkaError(KafkaError._FATAL), TransientError),
        (KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION), TransientError),
        (KafkaError(KafkaError.NOT_COORDINATOR), TransientError),
        (KafkaError(KafkaError.NOT_ENOUGH_REPLICAS), TransientError),
        (KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), PermanentError),
        (KafkaError(KafkaError.INVALID_RECORD), PermanentError),
    ],
    ids=lambda value: value.name() if isinstance(value, KafkaError) else value.__name__,
)
def test_each_error_says_whether_to_try_again(
    error: KafkaError, kind: type[ReviewStreamError]
) -> None:
    assert type(ErrorMapper(KafkaSettings()).error("write", error)) is kind


@pytest.mark.parametrize("code", REFUSALS, ids=lambda code: str(KafkaError(code).name()))
def test_refused_credentials_are_the_cause_though_the_brokers_seem_away(code: int) -> None:
    problems = ErrorMapper(KafkaSettings())
    problems.hooks["error_cb"](KafkaError(code, "SASL says no"))
    problems.hooks["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN, "all are down"))
    error = problems.error("list topics", KafkaError(KafkaError._TRANSPORT))
    assert isinstance(error, FatalError)
    assert "SASL says no" in str(error)


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[KafkaSettings]:
    """What listens shows a certificate of another authority than the one we trust."""
    proxy = TlsProxy(lambda: 1, Security.new(tmp_path / "theirs"))
    yield KafkaSettings(
        bootstrap_servers=f"127.0.0.1:{proxy.port}",
        security_protocol="SSL",
        ssl_ca_location=str(Authority(tmp_path / "ours").certificates),
        delivery_timeout=PATIENCE,
    )
    proxy.close()


def test_a_refusal_ends_a_wait_long_before_its_time(
    untrusted: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_transactions, "FENCE_TIMEOUT", PATIENCE)
    sink = KafkaRecordSink(untrusted)
    sink.write(record("t"))
    with closing(KafkaTransactionalSink(untrusted, "name")) as transactions:
        for wait in (sink.flush, transactions.fence):
            began = time.monotonic()
            with pytest.raises(FatalError, match=r"refuses us \(.*certificate"):
                wait()
            assert time.monotonic() - began < PATIENCE / 2


def test_a_refusal_ends_the_wait_for_a_full_queue(untrusted: KafkaSettings) -> None:
    sink = KafkaRecordSink(
        untrusted.model_copy(update={"client": {"queue.buffering.max.messages": "1"}})
    )
    sink.write(record("t"))
    began = time.monotonic()
    with pytest.raises(FatalError, match=r"refuses us \(write records\)"):
        sink.write(record("t"))
    assert time.monotonic() - began < PATIENCE / 2


def test_a_reader_is_told_that_it_is_refused(untrusted: KafkaSettings) -> None:
    with pytest.raises(FatalError, match="refuses us"):
        KafkaLog(untrusted, timeout=1).end_offsets("t")
    with closing(KafkaTransactionalSink(untrusted, "name")) as transactions:
        with pytest.raises(FatalError, match="refuses us"):
            transactions.marker()


def test_a_refusal_is_waited_out_for_a_moment_and_forgotten_with_the_next_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problems = ErrorMapper(KafkaSettings())
    problems.hooks["error_cb"](KafkaError(KafkaError._AUTHENTICATION, "SASL says no"))
    problems.check("write")
    problems.let_in()
    assert isinstance(problems.away("write"), TransientError)
    monkeypatch.setattr(kafka_errors, "GRACE", 0.0)
    problems = ErrorMapper(KafkaSettings())
    problems.check("write")
    problems.hooks["error_cb"](KafkaError(KafkaError._AUTHENTICATION, "SASL says no"))
    with pytest.raises(FatalError, match="SASL says no"):
        problems.check("write")
    problems.let_in()
    problems.check("write")


def test_a_record_that_is_acknowledged_ends_what_was_said_before(broker: KafkaSettings) -> None:
    sink = KafkaRecordSink(broker)
    sink.problems.hooks["error_cb"](KafkaError(KafkaError._AUTHENTICATION, "SASL says no"))
    sink.write(record("admitted"))
    assert sink.flush() == 1
    assert isinstance(sink.problems.away("write"), TransientError)


def test_a_fence_that_takes_longer_than_a_slice_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_transactions, "FENCE_SLICE", 0.05)
    with mock_broker(**{"test.mock.broker.rtt": 100}) as slow:
        with closing(KafkaTransactionalSink(slow, "name")) as sink:
            began = time.monotonic()
            sink.fence()
            assert time.monotonic() - began > 0.05
            sink.begin()


class Overheard:
    """A producer, and by which connection each of its answers came: -1 for the bootstrap one."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.connections: list[int] = []

    def list_topics(self, topic: str, timeout: float) -> object:
        found = self.producer.list_topics(topic, timeout)
        self.connections.append(found.orig_broker_id)
        return found


def overheard(sink: KafkaRecordSink, monkeypatch: pytest.MonkeyPatch) -> Overheard:
    producer = Overheard(sink.producer)
    monkeypatch.setattr(sink, "producer", producer)
    return producer


def test_a_connection_of_the_cluster_s_own_is_waited_for(
    broker: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = KafkaRecordSink(broker)
    producer = overheard(sink, monkeypatch)
    sink.connect("plain")
    assert producer.connections[-1] >= 0


@pytest.mark.parametrize(
    ("answers", "asked"), [([1, 2], 1), ([-1, 1, 2], 2), ([-1, -1, 1, 2], 3), ([-1] * 9, 3)]
)
def test_bootstrap_s_answer_is_no_connection_and_is_asked_again_twice(
    broker: KafkaSettings, monkeypatch: pytest.MonkeyPatch, answers: list[int], asked: int
) -> None:
    sink = KafkaRecordSink(broker)
    left = [SimpleNamespace(orig_broker_id=each) for each in answers]
    monkeypatch.setattr(overheard(sink, monkeypatch), "list_topics", lambda *_: left.pop(0))
    sink.connect("plain")
    assert len(left) == len(answers) - asked


class Busy:
    """A producer that is told so often that the coordinator is busy."""

    def __init__(self, times: int, *, retriable: bool = True) -> None:
        self.left = times
        code = KafkaError.CONCURRENT_TRANSACTIONS
        self.error = KafkaError(code, "busy", retriable=retriable)

    def init_transactions(self, _: float) -> None:
        self.left -= 1
        if self.left >= 0:
            raise KafkaException(self.error)

    def poll(self, _: float) -> int:
        return 0


def fence(producer: Busy, settings: KafkaSettings) -> None:
    with closing(KafkaTransactionalSink(settings, "name")) as sink:
        sink._producer = producer  # type: ignore[assignment]
        sink.fence()


def test_a_busy_coordinator_is_waited_for(
    broker: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence(producer := Busy(3), broker)
    assert producer.left < 0
    with pytest.raises(TransientError, match="fence for name: busy"):
        fence(Busy(1, retriable=False), broker)
    monkeypatch.setattr(kafka_transactions, "FENCE_TIMEOUT", 0.0)
    with pytest.raises(TransientError, match="fence for name: busy"):
        fence(Busy(3), broker)


def test_the_issuer_of_tokens_may_be_away_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_errors, "GRACE", 0.0)
    problems = ErrorMapper(KafkaSettings(oauth_token_url="https://login.example.com/token"))
    problems.hooks["error_cb"](KafkaError(KafkaError._AUTHENTICATION, "no token"))
    problems.check("write")


def test_a_transaction_ends_before_kafka_ends_it() -> None:
    config = transaction_config(KafkaSettings(delivery_timeout=300), "name")
    assert config["transactional.id"] == "name"
    assert config["delivery.timeout.ms"] == config["transaction.timeout.ms"] == 60_000
    assert (
        transaction_config(KafkaSettings(delivery_timeout=7), "n")["delivery.timeout.ms"] == 7_000
    )
    own = KafkaSettings(client={"transaction.timeout.ms": "9000", "transactional.id": "mine"})
    config = transaction_config(own, "name")
    assert (config["delivery.timeout.ms"], config["transactional.id"]) == (9_000, "name")


def test_a_time_that_is_none_is_named() -> None:
    wrong = KafkaSettings(client={"transaction.timeout.ms": "soon"})
    with pytest.raises(ConfigError, match="soon"):
        KafkaTransactionalSink(wrong, "name")


def test_brokers_that_are_away_when_a_transaction_begins_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_transactions, "FENCE_TIMEOUT", 1.0)
    with closing(KafkaTransactionalSink(AWAY, "name")) as sink:
        with pytest.raises(TransientError, match=r"cannot be reached \(fence for name\)"):
            sink.fence()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.PRODUCER_FENCED, TransientError),
        (KafkaError._PURGE_QUEUE, TransientError),
        (KafkaError.INVALID_TRANSACTION_TIMEOUT, ConfigError),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, FatalError),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, FatalError),
    ],
)
def test_each_error_of_a_transaction_says_whether_to_try_again(
    code: int, kind: type[ReviewStreamError]
) -> None:
    assert type(ErrorMapper(KafkaSettings()).error("commit", KafkaError(code))) is kind


def test_a_fatal_error_that_comes_out_of_a_callback_is_ours_too() -> None:
    problems = ErrorMapper(KafkaSettings())
    with pytest.raises(TransientError, match="fenced"), problems.translated("write"):
        cause = KafkaException(KafkaError(KafkaError._FENCED, "fenced", fatal=True))
        raise SystemError("returned a result with an exception set") from cause
    with pytest.raises(SystemError), problems.translated("write"):
        raise SystemError


def test_a_limit_that_is_no_number_is_an_error_of_the_settings(broker: KafkaSettings) -> None:
    wrong = broker.model_copy(update={"client": {"message.max.bytes": "1MB"}})
    with pytest.raises(ConfigError, match=r"1MB.*kafka\.client"):
        KafkaRecordSink(wrong)
