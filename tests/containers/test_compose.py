"""compose.yaml as the how-to says: everything starts, the pipeline runs, nothing is left."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import pytest
from docker import DockerClient

from reviewstream_testbed import TestbedError
from reviewstream_testbed.containers.image_sources import find, pinned, standin_of
from reviewstream_testbed.installation.builder import CONVERTER, SINK
from reviewstream_testbed.installation.homes import install
from reviewstream_testbed.processes.free_ports import free_ports
from tests.containers.composed import Composed, compose_command
from tests.containers.our_image import ensure_image
from tests.docs.references import ROOT

REVIEWS = 20
NO_STANDIN = "kibana"
REGISTRY = "http://schema-registry:8081"
HOW_TO = (ROOT / "docs/how-to/docker.md").read_text(encoding="utf-8")
OURS = "docker compose run --rm reviewstream "
PATIENCE = 60.0  # seconds until Connect has indexed what is in the topic


@pytest.fixture
def composed(client: DockerClient, tmp_path: Path) -> Iterator[Composed]:
    try:
        command = compose_command(os.environ)
    except TestbedError as error:
        if os.environ.get("REVIEWSTREAM_TEST_REQUIRE_ENGINE") in {"1", "true"}:
            raise
        pytest.skip(str(error))
    composed = Composed(
        client=client,
        command=command,
        name=f"reviewstream-{uuid4().hex[:8]}",
        variables={
            "REVIEWSTREAM_IMAGE": ensure_image(client, tmp_path / "wheels"),
            "CONNECT_PLUGINS": plugins(tmp_path / "plugins"),
            "REVIEWS": first_reviews(tmp_path / "reviews.jsonl"),
            **ports(),
        },
        options=connector_settings(client),
    )
    try:
        yield composed
    finally:
        composed.do("down", "-v", "--remove-orphans")
        shutil.rmtree(tmp_path / "wheels", ignore_errors=True)  # half a gigabyte


def plugins(folder: Path) -> str:
    """Put the testbed's sink where a user would put a connector."""
    shutil.copytree(install().homes / "plugins" / "elasticsearch-sink", folder / "sink")
    return str(folder)


def first_reviews(file: Path) -> str:
    lines = (ROOT / "src/reviewstream/samples/reviews.jsonl").read_text("utf-8").splitlines()
    file.write_text("\n".join(lines[:REVIEWS]) + "\n", encoding="utf-8")
    return str(file)


def ports() -> dict[str, str]:
    names = re.findall(r"^(\w+_PORT)=", (ROOT / ".env").read_text(encoding="utf-8"), re.MULTILINE)
    return dict(zip(names, map(str, free_ports(len(names))), strict=True))


def connector_settings(client: DockerClient) -> list[str]:
    """Name the testbed's sink; and Apicurio's converter, where the image of Connect is ours."""
    settings = {"CONNECTOR_CLASS": SINK}
    if standin_of(find(client, pinned()["kafka_connect"])):
        serdes = "io.apicurio.registry.serde.avro"
        settings["VALUE_CONVERTER"] = CONVERTER
        settings["VALUE_CONVERTER_CONFIG"] = json.dumps(
            {
                "apicurio.registry.url": f"{REGISTRY}/apis/registry/v2",
                "apicurio.registry.as-confluent": "true",
                "apicurio.registry.use-id": "contentId",
                "apicurio.registry.converter.serializer": f"{serdes}.AvroKafkaSerializer",
                "apicurio.registry.converter.deserializer": f"{serdes}.AvroKafkaDeserializer",
            }
        )
    return [f"-eREVIEWSTREAM_CONNECT__{name}={value}" for name, value in settings.items()]


def how_to(heading: str) -> list[list[str]]:
    """Return the commands of ours in the how-to's first two blocks under a heading."""
    section = HOW_TO.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[:2]
        for line in block.splitlines()
    ]
    assert all(line.startswith(OURS) for line in lines)
    return [shlex.split(line.removeprefix(OURS)) for line in lines]


def await_documents(url: str, count: int) -> None:
    """Ask the index through its published port, as a command line on this machine does."""
    command = [sys.executable, "-m", "reviewstream", "search", "--json"]
    command += ["-s", f"elasticsearch.url={url}"]
    deadline = time.monotonic() + PATIENCE
    while (found := json.loads(subprocess.check_output(command))["total"]) < count:
        assert time.monotonic() < deadline, f"{found} of {count} documents"
        time.sleep(0.5)


@pytest.mark.timeout(900)  # seconds, with the image
def test_the_pipeline_runs_as_the_how_to_says(composed: Composed) -> None:
    services = composed.do("config", "--services").split()
    composed.do("up", "-d", *{*services} - {NO_STANDIN, "reviewstream"})
    composed.await_health()
    commands = how_to("Run the pipeline")
    (once,) = (at for at, command in enumerate(commands) if command[0] == "run")
    for command in commands[: once + 1]:
        composed.run("reviewstream", *command)
    await_documents(f"http://127.0.0.1:{composed.variables['ELASTICSEARCH_PORT']}", REVIEWS)
    for command in commands[once + 1 :]:
        assert composed.run("reviewstream", *command)
    used_both_workers(composed)
    nobody_else_reaches_the_review_server(composed)
    composed.do("down", "-v")
    assert composed.left() == []


def used_both_workers(composed: Composed) -> None:
    address = f"http://127.0.0.1:{composed.variables['SPARK_MASTER_UI_PORT']}/json/"
    with urlopen(address, timeout=10) as page:
        master = json.load(page)
    assert master["aliveworkers"] == 2
    assert [(each["cores"], each["state"]) for each in master["completedapps"]] == [(2, "FINISHED")]


def nobody_else_reaches_the_review_server(composed: Composed) -> None:
    """The port of Spark's master is open to the other containers; the review server's is not."""
    ask = "for port in 7077 9999; do (exec 3<>/dev/tcp/spark-master/$port) && echo $port; done; :"
    assert composed.do("exec", "-T", "connect", "bash", "-c", ask).split() == ["7077"]
