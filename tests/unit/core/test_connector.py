"""The connector is told everything by its configuration, and secrets are not shown."""

from pydantic import SecretStr

from reviewstream.core.connector import connector_config, without_secrets
from reviewstream.core.versions import VERSION_HEADER
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


def test_without_a_user_nobody_is_authenticated() -> None:
    config = connector_config(Settings())
    assert "connection.username" not in config
    assert "value.converter.basic.auth.user.info" not in config


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
