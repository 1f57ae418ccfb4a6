"""Every server shows a certificate and wants a password: with both all goes well, else nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer
from pydantic import SecretStr

from reviewstream import app
from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.errors import ConfigError, FatalError, ReviewStreamError
from reviewstream.samples import write_sample
from reviewstream.settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    RegistrySettings,
    Settings,
    SourceSettings,
    SparkSettings,
)
from reviewstream_testbed import Testbed
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.security.certificates import Authority
from reviewstream_testbed.security.secured_services import SecureKafka
from tests.e2e.conftest import Pipeline, await_condition
from tests.e2e.test_pipeline import free_port

pytestmark = [
    pytest.mark.processes,
    pytest.mark.model,
    pytest.mark.usefixtures("spark_class_data"),
]

REVIEWS = 200
PARTS = ("kafka", "schema_registry", "kafka_connect", "elasticsearch")
WRONG = SecretStr("wrong-canary-password")
TOKEN = "canary-token-0123456789"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


@pytest.fixture(scope="module")
def secure() -> Iterator[Testbed]:
    with Testbed(PARTS, secure=True) as running:
        yield running


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An authority that signed nothing here."""
    return str(Authority(tmp_path_factory.mktemp("other") / "ca").certificates)


def kafka_of(secure: Testbed, mechanism: str = "PLAIN", **changes: Any) -> KafkaSettings:
    assert isinstance(secure.kafka, SecureKafka)
    user, password = secure.security.username, SecretStr(secure.security.password)
    who = {"sasl_username": user, "sasl_password": password}
    if mechanism == "OAUTHBEARER":
        names = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
        who = dict(zip(names, (secure.kafka.token_url, user, password), strict=True))
    return KafkaSettings.model_validate(
        {
            "bootstrap_servers": secure.kafka.bootstrap_servers,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "ssl_ca_location": str(secure.security.certificates),
            "delivery_timeout": 20.0,
            **who,
            **changes,
        }
    )


def known(secure: Testbed) -> dict[str, Any]:
    return {
        "username": secure.security.username,
        "password": SecretStr(secure.security.password),
        "ca_location": str(secure.security.certificates),
    }


def topics(secure: Testbed) -> set[str]:
    consumer = Consumer(secure.kafka.client_config | {"group.id": "second-opinion"})
    try:
        return {*consumer.list_topics(timeout=20).topics}
    finally:
        consumer.close()


def refused(error: ReviewStreamError, *shown: str) -> None:
    """See that an error is one sentence that says these, and no secret."""
    text = str(error)
    assert not [each for each in shown if each not in text], text
    assert "\n" not in text
    assert WRONG.get_secret_value() not in text


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_records_go_to_kafka_and_back_by_every_mechanism(secure: Testbed, mechanism: str) -> None:
    settings = kafka_of(secure, mechanism)
    log, topic = app.open_log(settings), f"mechanism-{mechanism}"
    log.ensure([topic])
    sink = app.open_record_sink(settings)
    sink.write(OutgoingRecord(topic=topic, key=b"k", value=b"v"))
    assert sink.flush() == 1
    assert [record.value for record in log.read_all(topic)] == [b"v"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_refuses_a_wrong_password_by_every_mechanism(secure: Testbed, mechanism: str) -> None:
    name = "oauth_client_secret" if mechanism == "OAUTHBEARER" else "sasl_password"
    settings = kafka_of(secure, mechanism, **{name: WRONG})
    with pytest.raises(FatalError) as caught:
        KafkaLog(settings, timeout=3).ensure(["never"])
    refused(caught.value, "refuses us")
    assert "never" not in topics(secure)


def test_with_a_wrong_password_nothing_is_written(secure: Testbed) -> None:
    app.open_log(kafka_of(secure)).ensure([topic := "guarded"])
    sink = app.open_record_sink(kafka_of(secure, sasl_password=WRONG, delivery_timeout=2.0))
    sink.write(OutgoingRecord(topic=topic, key=b"k", value=b"wrong"))
    with pytest.raises(FatalError) as caught:
        sink.flush()
    refused(caught.value, "refuses us")
    assert [*app.open_log(kafka_of(secure)).read_all(topic)] == []


def test_a_kafka_that_somebody_else_vouches_for_is_not_trusted(secure: Testbed, other: str) -> None:
    with pytest.raises(FatalError) as caught:
        KafkaLog(kafka_of(secure, ssl_ca_location=other), timeout=3).ensure(["never"])
    refused(caught.value, "certificate")


@pytest.mark.parametrize(
    "changes", [{"password": WRONG}, {"username": None}], ids=["wrong", "none"]
)
def test_the_other_servers_refuse_a_wrong_password_and_none(
    secure: Testbed, changes: dict[str, Any]
) -> None:
    given = known(secure) | changes
    registry = {"url": secure.schema_registry.url, **given}
    connect = {"url": secure.kafka_connect.url, **given}
    elasticsearch = {"url": secure.elasticsearch.url, **given}
    with pytest.raises(FatalError) as caught:
        app.open_registry(RegistrySettings.model_validate(registry)).register("s", '"string"')
    refused(caught.value, "see registry.username, registry.password")
    with pytest.raises(FatalError) as caught:
        app.open_connect(ConnectSettings.model_validate(connect)).status("c")
    refused(caught.value, "see connect.username and connect.password")
    with pytest.raises(FatalError) as caught:
        index_of(elasticsearch).count()
    refused(caught.value, "see the credentials under elasticsearch")


def test_the_other_servers_are_not_trusted_by_another_authority(
    secure: Testbed, other: str
) -> None:
    given = known(secure) | {"ca_location": other}
    registry = {"url": secure.schema_registry.url, **given}
    connect = {"url": secure.kafka_connect.url, **given}
    elasticsearch = {"url": secure.elasticsearch.url, **given}
    with pytest.raises(ConfigError) as caught:
        app.open_registry(RegistrySettings.model_validate(registry)).subjects()
    refused(caught.value, "certificate", "registry.ca_location")
    with pytest.raises(ConfigError) as caught:
        app.open_connect(ConnectSettings.model_validate(connect)).status("c")
    refused(caught.value, "certificate", "connect.ca_location")
    with pytest.raises(ConfigError) as caught:
        index_of(elasticsearch).count()
    refused(caught.value, "certificate", "elasticsearch.ca_location")


def test_elasticsearch_takes_its_api_key_and_no_other(secure: Testbed) -> None:
    given = {"url": secure.elasticsearch.url, "ca_location": str(secure.security.certificates)}
    name = f"keyed-{uuid4().hex[:8]}"
    right = index_of({**given, "index": name, "api_key": SecretStr(secure.security.api_key)})
    right.setup({"dynamic": "strict", "properties": {}})
    assert right.count() == 0
    with pytest.raises(FatalError) as caught:
        index_of({**given, "index": name, "api_key": WRONG}).count()
    refused(caught.value, "see the credentials under elasticsearch")


def index_of(settings: dict[str, Any]) -> Any:
    elasticsearch = ElasticsearchSettings.model_validate(settings)
    return app.open_index(Settings.model_construct(elasticsearch=elasticsearch))


@dataclass
class SecretsInFiles(Pipeline):
    """A pipeline that is told its secrets by the names of files."""

    def environ(self) -> dict[str, str]:
        names = {name: value for name, value in super().environ().items() if value != "null"}
        for secret in (self.folder / "secrets").iterdir():
            names[f"REVIEWSTREAM_{secret.name}_FILE"] = str(secret)
        return names


@pytest.fixture
def pipeline(secure: Testbed, openai_endpoint: OpenAIEndpoint, tmp_path: Path) -> SecretsInFiles:
    name = f"secure-{uuid4().hex[:8]}"
    password = secure.security.password
    (folder := tmp_path / "secrets").mkdir()
    for section in ("KAFKA__SASL_PASSWORD", "REGISTRY__PASSWORD", "CONNECT__PASSWORD"):
        (folder / section).write_text(password)
    (folder / "ELASTICSEARCH__PASSWORD").write_text(password)
    (folder / "SOURCE__TOKEN").write_text(f"{TOKEN}\n")
    kafka_topics = {
        "labelled_topic": f"{name}.labelled",
        "rejected_topic": f"{name}.rejected",
        "dead_letter_topic": f"{name}.dlq",
    }
    others = known(secure) | {"password": None}
    settings = Settings.model_construct(
        source=SourceSettings(
            port=free_port(), tls=True, ca_location=str(secure.security.certificates)
        ),
        kafka=kafka_of(secure, "SCRAM-SHA-512", sasl_password=None, **kafka_topics),
        registry=RegistrySettings.model_validate(
            {"url": secure.schema_registry.url, "auto_register": True, **others}
        ),
        connect=ConnectSettings.model_validate(
            {
                "url": secure.kafka_connect.url,
                "name": name,
                "connector_class": secure.kafka_connect.sink_connector_class,
                "value_converter": secure.kafka_connect.value_converter,
                "value_converter_config": dict(secure.kafka_connect.value_converter_config),
                **others,
            }
        ),
        elasticsearch=ElasticsearchSettings.model_validate(
            {"url": secure.elasticsearch.url, "index": name, **others}
        ),
        spark=SparkSettings(config=_events(tmp_path / "events")),
        openai=Settings().openai.model_copy(update={"base_url": openai_endpoint.base_url}),
    )
    return SecretsInFiles(settings, tmp_path)


def _events(folder: Path) -> dict[str, str]:
    """Have Spark write down all that its page shows; not compressed, for it is searched."""
    folder.mkdir()
    names = {"enabled": "true", "dir": folder.as_uri(), "compress": "false"}
    return {f"spark.eventLog.{name}": value for name, value in names.items()}


def test_reviews_go_all_the_way_and_no_secret_is_printed_or_kept(
    secure: Testbed, pipeline: SecretsInFiles
) -> None:
    write_sample(file := pipeline.folder / "review.json", REVIEWS, seed=3)
    port = str(pipeline.settings.source.port)
    shown = secure.security.server
    tls = ("--tls-cert", str(shown.chain), "--tls-key", str(shown.key))
    with pipeline.start("serve", str(file), "--port", port, *tls) as server:
        server.await_text("Ready.")
        (token := pipeline.folder / "secrets" / "SOURCE__TOKEN").write_text("wrong" + TOKEN)
        told = pipeline.finished("run", "--once")
        assert told.returncode == 2
        assert "the server asks for another token than the client's" in told.stderr
        token.write_text(TOKEN)
        with pipeline.start("run", "--once", "--json") as run:
            assert run.process.wait(200) == 0, run.log.read_text()
    assert f'"labelled": {REVIEWS}' in run.log.read_text()  # and so the first run wrote nothing
    report = await_condition(
        "documents",
        lambda: json.loads(pipeline.run("report", "--json"))["documents"],
        lambda found: found >= REVIEWS,
    )
    assert report == REVIEWS
    logs = [told.stderr, told.stdout, *(log.read_text() for log in pipeline.folder.glob("*.log"))]
    logs += [secure.kafka_connect.logs(), secure.schema_registry.logs(), secure.kafka.logs()]
    kept = [
        each.read_bytes().decode(errors="replace")
        for each in pipeline.folder.rglob("*")
        if each.is_file() and each.parent.name != "secrets"
    ]
    assert [*(pipeline.folder / "events").rglob("*")]
    for secret in (TOKEN, secure.security.password):
        assert not [text[:2000] for text in (*logs, *kept) if secret in text]
