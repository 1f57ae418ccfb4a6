"""Environment variables that configure the pipeline for a testbed's servers."""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from reviewstream_testbed.testbed import Testbed

Values = dict[str, str | None]


def variables(bed: Testbed, parts: Iterable[str]) -> dict[str, str]:
    """Return the variables with the addresses and credentials of these parts."""
    found = {name: value for part in parts for name, value in _TELL[part](bed).items()}
    return {name: value for name, value in found.items() if value is not None}


def exports(variables: Mapping[str, str]) -> str:
    """Return a text that shells can source and env-file parsers can read."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _kafka(bed: Testbed) -> Values:
    config = bed.kafka.client_config.items()
    return _section("kafka", {name.replace(".", "_"): str(value) for name, value in config})


def _registry(bed: Testbed) -> Values:
    config = bed.schema_registry.client_config
    user, _, password = config.get("basic.auth.user.info", "").partition(":")
    who = (user, password) if user else None
    told: Values = {"url": config["url"], "auto_register": "true"}
    return _section("registry", told | _trust(who, config.get("ssl.ca.location")))


def _connect(bed: Testbed) -> Values:
    connect = bed.kafka_connect
    config: Mapping[str, Any] = connect.client_config
    told: Values = {
        "url": config["base_url"],
        "connector_class": connect.sink_connector_class,
        "value_converter": connect.value_converter,
        "value_converter_config": json.dumps(connect.value_converter_config),
    }
    return _section("connect", told | _trust(config.get("auth"), config.get("verify")))


def _elasticsearch(bed: Testbed) -> Values:
    config: Mapping[str, Any] = bed.elasticsearch.client_config
    told: Values = {"url": bed.elasticsearch.url}
    return _section(
        "elasticsearch", told | _trust(config.get("basic_auth"), config.get("ca_certs"))
    )


def _openai(bed: Testbed) -> Values:
    config = bed.openai_endpoint.client_config
    return {"OPENAI_BASE_URL": config["base_url"], "OPENAI_API_KEY": config["api_key"]}


def _spark(bed: Testbed) -> Values:
    cluster = bed.spark_cluster
    config = json.dumps(cluster.client_config)
    return _section("spark", {"master": cluster.master_url, "config": config})


def _trust(who: tuple[str, str] | None, authority: str | None) -> Values:
    user, password = who or (None, None)
    return {"username": user, "password": password, "ca_location": authority}


def _section(section: str, values: Values) -> Values:
    return {f"REVIEWSTREAM_{section}__{name}".upper(): value for name, value in values.items()}


_TELL: Final[dict[str, Callable[[Testbed], Values]]] = {
    "kafka": _kafka,
    "schema_registry": _registry,
    "kafka_connect": _connect,
    "elasticsearch": _elasticsearch,
    "openai_endpoint": _openai,
    "spark_cluster": _spark,
}
