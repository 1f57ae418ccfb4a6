"""The connector is told everything by its configuration, and secrets are not shown."""

import pytest
from pydantic import SecretStr

from reviewstream.adapters.connect.connector_config import connector_config, without_secrets
from reviewstream.core.records.versions import VERSION_HEADER
from reviewstream.settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    RegistrySettings,
    Settings,
)


def test_a_record_becomes_the_document_of_its_key_in_its_version() -> None:
    config = connector_config(Settings())
    assert config["key.ignore"] == "false"
    assert config["write.method"] == "INSERT"
    assert config["external.version.header"] == VERSION_HEADER


def test_one_task_reads_every_record_from_the_first_on_its_key_as_text() -> None:
    config = connector_config(Settings(connect=ConnectSettings(connector_class="C")))
    assert (config["connector.class"], config["tasks.max"]) == ("C", "1")
    assert config["consumer.override.auto.offset.reset"] == "earliest"
    assert config["key.converter"] == "org.apache.kafka.connect.storage.StringConverter"


def test_the_index_is_found_by_its_address_and_its_mapping_is_ours() -> None:
    settings = Settings(elasticsearch=ElasticsearchSettings(url="http://e"))
    config = connector_config(settings)
    assert (config["connection.url"], config["schema.ignore"]) == ("http://e", "true")


def test_an_index_that_is_away_is_asked_again_before_the_connector_gives_up() -> None:
    config = connector_config(Settings())
    patience = ("max.retries", "retry.backoff.ms", "connection.timeout.ms", "read.timeout.ms")
    assert [config[name] for name in patience] == ["10", "500", "5000", "30000"]


def test_records_of_the_labelled_topic_go_to_the_alias() -> None:
    settings = Settings(
        kafka=KafkaSettings(labelled_topic="t"), elasticsearch=ElasticsearchSettings(index="i")
    )
    config = connector_config(settings)
    assert config["topics"] == "t"
    assert config["external.resource.usage"] == "ALIAS_INDEX"
    assert config["topic.to.external.resource.mapping"] == "t:i"


def test_what_cannot_be_indexed_goes_to_the_dead_letter_topic() -> None:
    kafka = KafkaSettings(dead_letter_topic="dead", replication_factor=3)
    config = connector_config(Settings(kafka=kafka))
    assert config["errors.tolerance"] == "all"
    assert config["errors.deadletterqueue.topic.name"] == "dead"
    assert config["errors.deadletterqueue.topic.replication.factor"] == "3"
    assert config["errors.deadletterqueue.context.headers.enable"] == "true"
    assert config["behavior.on.malformed.documents"] == "warn"
    assert config["drop.invalid.message"] == "true"


def test_a_rolled_back_transaction_never_reaches_the_index() -> None:
    config = connector_config(Settings())
    assert config["consumer.override.isolation.level"] == "read_committed"


def test_a_deleted_review_is_deleted_in_the_index() -> None:
    assert connector_config(Settings())["behavior.on.null.values"] == "delete"


def test_the_converter_is_told_where_the_registry_is() -> None:
    settings = Settings(
        registry=RegistrySettings(url="http://r", username="u", password=SecretStr("p")),
        connect=ConnectSettings(value_converter="C", value_converter_config={"use-id": "x"}),
    )
    config = connector_config(settings)
    assert config["value.converter"] == "C"
    assert config["value.converter.schema.registry.url"] == "http://r"
    assert config["value.converter.basic.auth.credentials.source"] == "USER_INFO"
    assert config["value.converter.basic.auth.user.info"] == "u:p"
    assert config["value.converter.use-id"] == "x"


def test_the_converter_is_given_the_token_instead_of_user_and_password() -> None:
    registry = {"token": "t", "logical_cluster": "lsrc-1", "username": "u", "password": "p"}
    settings = Settings(registry=RegistrySettings.model_validate(registry))
    config = connector_config(settings)
    assert config["value.converter.bearer.auth.credentials.source"] == "STATIC_TOKEN"
    assert config["value.converter.bearer.auth.token"] == "t"
    assert config["value.converter.bearer.auth.logical.cluster"] == "lsrc-1"
    assert not [name for name in config if "basic.auth" in name]


def test_a_token_may_be_for_no_cluster_in_particular() -> None:
    config = connector_config(Settings(registry=RegistrySettings(token=SecretStr("t"))))
    assert "value.converter.bearer.auth.logical.cluster" not in config


@pytest.mark.parametrize(
    ("registry", "own"),
    [
        (RegistrySettings(token=SecretStr("t")), {"basic.auth.user.info": "${file:f:u}"}),
        (RegistrySettings(username="u"), {"bearer.auth.token": "${file:f:t}"}),
    ],
    ids=["basic", "bearer"],
)
def test_a_converter_that_logs_in_another_way_is_not_given_ours(
    registry: RegistrySettings, own: dict[str, str]
) -> None:
    connect = ConnectSettings(value_converter_config=own)
    config = connector_config(Settings(registry=registry, connect=connect))
    assert {name: value for name, value in config.items() if ".auth." in name} == {
        f"value.converter.{name}": value for name, value in own.items()
    }


def test_a_converter_may_read_the_same_secret_from_elsewhere() -> None:
    connect = ConnectSettings(value_converter_config={"basic.auth.user.info": "${file:f:u}"})
    config = connector_config(Settings(registry=RegistrySettings(username="u"), connect=connect))
    assert config["value.converter.basic.auth.credentials.source"] == "USER_INFO"
    assert config["value.converter.basic.auth.user.info"] == "${file:f:u}"


def test_without_a_user_nobody_is_authenticated() -> None:
    config = connector_config(Settings())
    assert "connection.username" not in config
    assert "value.converter.basic.auth.user.info" not in config
    assert "value.converter.bearer.auth.token" not in config


def test_the_index_is_told_who_writes() -> None:
    elasticsearch = ElasticsearchSettings(username="u", password=SecretStr("p"))
    config = connector_config(Settings(elasticsearch=elasticsearch))
    assert (config["connection.username"], config["connection.password"]) == ("u", "p")


def test_a_user_without_a_password_has_an_empty_one() -> None:
    settings = Settings(elasticsearch=ElasticsearchSettings(username="u"))
    assert connector_config(settings)["connection.password"] == ""


def test_the_connectors_own_settings_win() -> None:
    settings = Settings(connect=ConnectSettings(connector={"tasks.max": "4", "linger.ms": "9"}))
    config = connector_config(settings)
    assert (config["tasks.max"], config["linger.ms"]) == ("4", "9")


def test_no_secret_is_shown() -> None:
    settings = Settings(
        registry=RegistrySettings(username="u", password=SecretStr("hush-registry")),
        elasticsearch=ElasticsearchSettings(username="u", password=SecretStr("hush-search")),
        connect=ConnectSettings(
            connector={"consumer.override.sasl.jaas.config": 'x password="hush-jaas"'}
        ),
    )
    shown = without_secrets(connector_config(settings))
    assert "hush" not in str(shown)
    assert shown["connection.password"] == "***"
    assert shown["topics"] == "reviews.labelled"


def test_a_token_is_not_shown() -> None:
    for settings in (
        Settings(registry=RegistrySettings(token=SecretStr("hush"))),
        Settings(connect=ConnectSettings(value_converter_config={"bearer.auth.token": "hush"})),
        Settings(connect=ConnectSettings(connector={"connection.token": "hush"})),
    ):
        assert "hush" in str(connector_config(settings))
        assert "hush" not in str(without_secrets(connector_config(settings)))
        assert "hush" not in repr(settings)


def test_an_address_with_a_password_in_it_is_not_shown() -> None:
    connector = {"connection.url": "https://me:hush@search.example"}
    settings = Settings(connect=ConnectSettings(connector=connector))
    assert without_secrets(connector_config(settings))["connection.url"] == "***"
    assert without_secrets({"owner": "me@example", "url": "https://example"}) == {
        "owner": "me@example",
        "url": "https://example",
    }


@pytest.mark.parametrize(
    "name",
    [
        "connection.password",
        "sasl.jaas.config",
        "ssl.key.pem",
        "ssl.keystore.key",
        "bearer.auth.token",
        "access_token",
        "auth.accessToken",
        "api.key.value",
        "api_key",
        "basic.auth.user-info",
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert without_secrets({name: "hush"}) == {name: "***"}


@pytest.mark.parametrize(
    "name",
    [
        "sasl.oauthbearer.token.endpoint.url",
        "bearer.auth.credentials.source",
        "ssl.keystore.location",
        "key.converter",
        "max.retries",
    ],
)
def test_what_is_no_secret_is_shown(name: str) -> None:
    assert without_secrets({name: "seen"}) == {name: "seen"}
