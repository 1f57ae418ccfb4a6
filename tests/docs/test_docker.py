"""compose.yaml, .env and Dockerfile: what can be said of them without an engine."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from reviewstream.adapters.connect.connector_config import connector_config
from reviewstream.settings import Settings
from tests.docs.references import ROOT

COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
VARIABLE = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")
ENV = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env").read_text(encoding="utf-8"), re.MULTILINE))
SERVICES: dict[str, Any] = yaml.safe_load(
    VARIABLE.sub(lambda found: str(ENV.get(found[1], found[3])), COMPOSE)
)["services"]
OURS = [name for name, each in SERVICES.items() if each["image"] == ENV["REVIEWSTREAM_IMAGE"]]
PINS = ROOT / "testbed" / "reviewstream_testbed" / "containers" / "images.toml"
PINNED = tomllib.loads(PINS.read_text("utf-8"))
IMAGES = {part: image for table in PINNED.values() for part, image in table.items()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TESTBED = tomllib.loads((ROOT / "testbed" / "pyproject.toml").read_text(encoding="utf-8"))
SIZE = re.compile(r"\d+[mg]")

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))
each_of_ours = pytest.mark.parametrize("name", OURS)


def instructions() -> Iterator[tuple[str, str]]:
    """Yield the Dockerfile's instructions, each with its arguments on one line."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    code = "\n".join(line for line in lines if not line.startswith("#"))
    for line in code.replace("\\\n", " ").splitlines():
        if line.strip():
            instruction, _, arguments = line.partition(" ")
            yield instruction, " ".join(arguments.split())


def sources(project: dict[str, Any], folder: str = "") -> set[str]:
    """Return the folders that a wheel takes."""
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    return {f"{folder}{path}" for path in (*wheel["packages"], *wheel["force-include"])}


WHEEL_SOURCES = sources(PROJECT) | sources(TESTBED, "testbed/")
INSTRUCTIONS = list(instructions())
LAST_FROM = max(at for at, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
LAST_STAGE = INSTRUCTIONS[LAST_FROM:]


@each_service
def test_every_published_port_is_on_this_machine_alone(service: dict[str, Any]) -> None:
    for port in service.get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@each_service
def test_every_service_has_a_memory_limit(service: dict[str, Any]) -> None:
    assert SIZE.fullmatch(service["mem_limit"])


@each_service
def test_every_service_has_a_health_check_or_is_a_command(service: dict[str, Any]) -> None:
    if "command" in service.get("profiles", ()):
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["healthcheck"]["retries"] > 1


@each_service
def test_every_image_is_pinned_to_a_release(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+", service["image"])


@each_of_ours
def test_our_image_needs_neither_root_nor_a_writable_file_system(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - a mount in the container
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"user", "privileged", "cap_add"} & service.keys()


@pytest.mark.parametrize(
    ("service", "part"),
    [
        ("kafka", "kafka"),
        ("schema-registry", "schema_registry"),
        ("connect", "kafka_connect"),
        ("elasticsearch", "elasticsearch"),
        ("kibana", "kibana"),
    ],
)
def test_compose_starts_the_versions_that_the_testbed_pins(service: str, part: str) -> None:
    assert SERVICES[service]["image"] == IMAGES[part]


def test_the_how_to_names_services_and_addresses_that_there_are() -> None:
    page = (ROOT / "docs/how-to/docker.md").read_text(encoding="utf-8")
    asked = re.findall(r"docker compose (?:up .*--wait|run --rm(?: -e \S+)*) ([\w-]+)", page)
    assert asked
    assert set(asked) <= SERVICES.keys()
    listed = re.findall(r"`(?:http://)?127\.0\.0\.1:(\d+)", page)
    published = {port.split(":")[1] for each in SERVICES.values() for port in each.get("ports", ())}
    assert {*listed, ENV["SPARK_WORKER_2_UI_PORT"]} == published


def test_our_image_is_of_this_version() -> None:
    assert ENV["REVIEWSTREAM_IMAGE"] == f"reviewstream:{PROJECT['project']['version']}"


def test_every_variable_has_a_value_and_every_value_is_used() -> None:
    with_default = {found[1] for found in VARIABLE.finditer(COMPOSE) if found[2] == ":-"}
    assert with_default == {"CONNECT_PLUGINS"}  # it names a folder of the user's own
    used = {found[1] for found in VARIABLE.finditer(COMPOSE)} - with_default
    assert used | {"COMPOSE_PROJECT_NAME"} == ENV.keys()


def test_no_key_is_given_twice() -> None:
    """PyYAML and Compose v1 take the last; Compose v2 refuses the file."""
    nodes = [yaml.compose(COMPOSE)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert len(keys) == len(set(keys)), keys
            nodes += [value for _, value in node.value]


def test_no_two_services_publish_one_port() -> None:
    ports = [port.split(":")[1] for each in SERVICES.values() for port in each.get("ports", ())]
    assert len(ports) == len(set(ports))


def test_the_pipeline_is_told_of_services_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES["reviewstream"]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    connector = connector_config(settings)
    addresses = [
        f"kafka://{settings.kafka.bootstrap_servers}",
        settings.connect.url,
        settings.openai.base_url,
        str(settings.spark.master),
        connector["connection.url"],
        connector["value.converter.schema.registry.url"],
    ]
    assert {urlsplit(address).hostname for address in addresses} == {
        "kafka",
        "connect",
        "openai",
        "spark-master",
        "elasticsearch",
        "schema-registry",
    }
    assert settings.source.host == "127.0.0.1"
    assert SERVICES["reviewstream"]["network_mode"] == "service:spark-master"
    assert SERVICES["review-server"]["network_mode"] == "service:spark-master"


def test_connect_installs_the_connector_that_the_configuration_names() -> None:
    assert connector_config(Settings.model_construct())["connector.class"].startswith(
        "io.confluent.connect.elasticsearch."
    )
    install = SERVICES["connect"]["command"][-1]
    assert f"confluentinc/kafka-connect-elasticsearch:{ENV['SINK_VERSION']}" in install


def test_every_stage_starts_from_the_python_that_the_testbed_pins() -> None:
    bases = [arguments.split()[0] for name, arguments in INSTRUCTIONS if name == "FROM"]
    assert bases == [IMAGES["python"], "base", "base", IMAGES["python"]]


def test_the_image_does_not_run_as_root() -> None:
    users = [arguments for name, arguments in LAST_STAGE if name == "USER"]
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[0])


def test_build_arguments_do_not_reach_the_image() -> None:
    """They may hold the password of a package index, and `docker history` shows them."""
    assert "ARG" not in {name for name, _ in LAST_STAGE}
    copied = [arguments for name, arguments in LAST_STAGE if name in {"COPY", "ADD"}]
    assert all(re.match(r"--from=(packages /opt|wheel /wheel) /", each) for each in copied)


def test_no_value_of_a_secret_is_in_the_dockerfile() -> None:
    for name, arguments in INSTRUCTIONS:
        if name in {"ARG", "ENV", "LABEL"}:
            assert not re.search(r"PASSWORD|SECRET|TOKEN|API_KEY|://", arguments)


def test_the_context_of_the_build_is_what_the_wheels_are_made_of() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if not line.startswith("#")]
    assert patterns[0] == "*"
    needed = {path.split("/")[0] for path in WHEEL_SOURCES}
    allowed = {pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")}
    assert allowed == {"pyproject.toml", "README.md", "LICENSE"} | needed


def test_the_packages_without_contents_have_every_folder_that_the_wheels_take() -> None:
    (made,) = re.findall(r"mkdir -p ([\w/ ]+)", " ".join(each for _, each in INSTRUCTIONS))
    assert set(made.split()) == WHEEL_SOURCES
