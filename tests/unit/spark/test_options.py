import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from reviewstream.adapters.kafka.configuration import client_config
from reviewstream.errors import ConfigError
from reviewstream.settings import KafkaSettings, RegistrySettings, SourceSettings, SparkSettings
from reviewstream.spark.options import SinkOptions, SourceOptions, sink_options, source_options
from reviewstream.spark.session import configuration

SERVERS = {"kafka.bootstrap.servers": "127.0.0.1:1"}


def test_without_options_the_source_has_the_defaults_of_the_settings() -> None:
    options = SourceOptions.of({})
    assert (options.server.host, options.server.port, options.partitions) == ("127.0.0.1", 9999, 2)
    assert (options.starting_offset, options.retry_timeout) == ("earliest", 600.0)


def test_names_of_options_have_no_case() -> None:
    assert SourceOptions.of({"MAXROWSPERTRIGGER": "7"}).max_rows == 7


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("port", "x", "option \"port\" is 'x', not a whole number from 1 to 65535"),
        ("port", "70000", "option \"port\" is '70000', not a whole number from 1 to 65535"),
        ("partitions", "0", "option \"partitions\" is '0', not a whole number from 1 to"),
        ("maxRowsPerTrigger", "-1", "option \"maxRowsPerTrigger\" is '-1', not a whole number"),
        ("maxBytesPerTrigger", "²", "option \"maxBytesPerTrigger\" is '²', not a whole number"),
        ("retryTimeout", "0", "option \"retryTimeout\" is '0', not a number of seconds above 0"),
        ("timeout", "nan", "option \"timeout\" is 'nan', not a number of seconds above 0"),
        ("startingOffset", "-1", "is '-1', not earliest, latest or a byte offset"),
        (
            "maxRowPerTrigger",
            "1",
            'unknown option "maxrowpertrigger"; there are caLocation, drainFile',
        ),
    ],
)
def test_a_wrong_option_is_named_with_what_it_should_be(
    name: str, value: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        SourceOptions.of({name: value})
    assert f"reviews: {sentence}" in str(caught.value) or sentence in str(caught.value)


def test_a_byte_offset_is_a_number() -> None:
    assert SourceOptions.of({"startingOffset": "12"}).starting_offset == 12


def test_the_sink_needs_to_know_where_kafka_is() -> None:
    with pytest.raises(ConfigError, match=r'option "kafka\.bootstrap\.servers" is missing'):
        SinkOptions.of({"schemaRegistryUrl": "http://127.0.0.1:2"})


def test_kafkas_own_options_reach_the_client_as_they_are() -> None:
    options = SinkOptions.of({**SERVERS, "kafka.linger.ms": "5", "kafka.sasl.username": "me"})
    assert options.kafka.bootstrap_servers == "127.0.0.1:1"
    assert options.kafka.client == {"linger.ms": "5", "sasl.username": "me"}


def test_passwords_are_not_shown() -> None:
    options = SinkOptions.of(
        {**SERVERS, "kafka.sasl.password": "hidden", "schemaRegistryPassword": "hidden"}
    )
    assert "hidden" not in repr(options)


def test_true_and_false_are_the_only_answers_to_register_schemas() -> None:
    assert SinkOptions.of({**SERVERS, "registerSchemas": "True"}).registry.auto_register
    with pytest.raises(ConfigError, match="'yes', not true or false"):
        SinkOptions.of({**SERVERS, "registerSchemas": "yes"})


def test_settings_survive_as_options() -> None:
    kafka = KafkaSettings(
        bootstrap_servers="127.0.0.1:1",
        security_protocol="SASL_SSL",
        sasl_password=SecretStr("secret"),
        labelled_topic="a",
        rejected_topic="b",
        delivery_timeout=5.0,
        client={"linger.ms": "5"},
        client_secrets={"ssl.key.password": SecretStr("secret")},
    )
    registry = RegistrySettings(
        url="http://127.0.0.1:2",
        username="me",
        password=SecretStr("secret"),
        token=SecretStr("secret"),
        logical_cluster="lsrc-1",
        auto_register=True,
    )
    options = SinkOptions.of(sink_options(kafka, registry))
    assert (options.kafka, options.registry) == (kafka, registry)
    oauth = KafkaSettings(oauth_token_url="https://t", oauth_client_secret=SecretStr("secret"))
    read_oauth = SinkOptions.of(sink_options(oauth, registry)).kafka
    assert client_config(read_oauth) == client_config(oauth)
    limits = {"max_rows_per_trigger": 2, "max_bytes_per_trigger": 3, "partitions": 4}
    secure = {"tls": True, "ca_location": "ca.pem", "token": SecretStr("0123456789abcdef")}
    source = SourceSettings.model_validate({"port": 1, **limits, **secure})
    read = SourceOptions.of(source_options(source))
    assert read.server == SourceSettings.model_validate({"port": 1, **secure})
    assert (read.max_rows, read.max_bytes, read.partitions) == (2, 3, 4)


def test_spark_hides_every_option_that_is_a_secret() -> None:
    secret = SecretStr("secret")
    kafka = KafkaSettings(
        sasl_password=secret,
        oauth_token_url="https://t",
        oauth_client_secret=secret,
        client_secrets=dict.fromkeys(("ssl.key.pem", "ssl.key.password"), secret),
    )
    registry = RegistrySettings(password=secret, token=secret)
    options = sink_options(kafka, registry) | source_options(SourceSettings(token=secret))
    hidden = re.compile(configuration(SparkSettings())["spark.redaction.regex"])
    secrets = {name for name, value in options.items() if value == "secret"}
    assert len(secrets) == 7
    assert [name for name in secrets if not hidden.search(name)] == []


def test_the_stream_of_a_query_of_ones_own_is_called_by_the_folder_of_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(checkpoint: str) -> str | None:
        options = {"kafka.bootstrap.servers": "x", "checkpointLocation": checkpoint}
        return SinkOptions.of(options).kafka.stream_name

    folder = tmp_path / "cp"
    link = tmp_path / "link"
    link.symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    assert stream("cp") == str(folder)
    for place in (tmp_path, Path("/")):
        monkeypatch.chdir(place)
        for told in (folder, link, f"{link}/../cp/", f"file:{folder}", f"file://{folder}"):
            assert stream(str(told)) == str(folder)
        for elsewhere in ("s3a://bucket/cp", "hdfs:/cp", "file://host/cp"):
            assert stream(elsewhere) == elsewhere
