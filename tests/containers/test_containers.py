"""Containers are bound to loopback, and nothing is left of them however their owner ends."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from docker import DockerClient

from reviewstream_testbed import Kafka, Testbed, TestbedError
from reviewstream_testbed.containers.image_sources import STANDIN, image_of
from reviewstream_testbed.containers.reaper import RUN
from tools.engine_images.stub_images import INTERNAL, RECIPES, StubImages

PATIENCE = 120.0  # seconds
OWNER = """
import json, signal
from reviewstream_testbed import Testbed

signal.signal(signal.SIGINT, signal.default_int_handler)
with Testbed(["kafka"], provider="containers") as bed:
    print(json.dumps(bed._group.labels), flush=True)
    signal.pause()
"""


def await_truth(what: str, ask: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ask():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def left(client: DockerClient, labels: dict[str, str]) -> list[str]:
    """Return the names of what carries a run's label."""
    ((name, value),) = labels.items()
    label: dict[str, str | list[str] | bool] = {"label": f"{name}={value}"}
    found = client.containers.list(all=True, filters=label, ignore_removed=True)
    networks = client.networks.list(filters=label)
    return [str(each.name) for each in found] + [str(each.name) for each in networks]


@contextlib.contextmanager
def owner(client: DockerClient) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ, text=True) as process:
        assert process.stdout is not None
        labels = json.loads(process.stdout.readline())
        assert len(left(client, labels)) == 2, "Kafka and its network"
        yield process, labels


def test_nothing_is_left_after_success_and_ports_are_on_loopback(client: DockerClient) -> None:
    volumes = {volume.name for volume in client.volumes.list()}
    with Testbed(["kafka"], provider="containers") as bed:
        assert bed._group is not None
        labels = bed._group.labels
        (container,) = client.containers.list(filters={"label": f"{RUN}={labels[RUN]}"})
        bound = container.attrs["NetworkSettings"]["Ports"]
        hosts = {each["HostIp"] for ports in bound.values() for each in ports or ()}
        assert hosts == {"127.0.0.1"}
        assert bed.kafka.pid == container.attrs["State"]["Pid"]
    assert left(client, labels) == []
    assert {volume.name for volume in client.volumes.list()} <= volumes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_owner_is_killed_or_interrupted(
    client: DockerClient, number: signal.Signals
) -> None:
    with owner(client) as (process, labels):
        process.send_signal(number)
        process.wait(PATIENCE)
    await_truth("containers are left", lambda: not left(client, labels))


def test_a_container_that_dies_is_reported_with_its_log_and_leaves_nothing(
    client: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        __import__(
            "reviewstream_testbed.containers.container_services", fromlist=["_KAFKA"]
        )._KAFKA,
        "KAFKA_LOG_DIRS",
        "/proc/nowhere",
    )
    before = {str(each.id) for each in client.containers.list(all=True)}
    bed = Testbed(["kafka"], provider="containers")
    with pytest.raises(TestbedError, match=r"(?s)kafka .*/proc/nowhere"), bed:
        pytest.fail("it started")
    assert bed._group is not None
    assert left(client, bed._group.labels) == []
    assert {str(each.id) for each in client.containers.list(all=True)} <= before


def test_a_closed_container_leaves_a_start_no_time(client: DockerClient) -> None:
    with Testbed([], provider="containers") as bed:
        bed.start_soon("kafka")
        assert bed._group is not None
        labels = bed._group.labels
    assert left(client, labels) == []


def test_an_image_that_cannot_be_pulled_is_said_with_what_helps(client: DockerClient) -> None:
    assert client is not None
    nowhere = {**os.environ, "REVIEWSTREAM_TEST_IMAGE_KAFKA": "localhost:1/no/cp-kafka:8.2.2"}
    bed = Testbed(["kafka"], provider="containers", environ=nowhere)
    with pytest.raises(TestbedError, match=r"cannot be pulled .*engine_images build"), bed:
        pytest.fail("it started")


def test_two_containers_of_a_part_run_side_by_side(client: DockerClient) -> None:
    assert client is not None
    with Testbed(["kafka"], provider="containers") as one:
        with Testbed(["kafka"], provider="containers") as other:
            assert isinstance(other.kafka, Kafka)
            assert one.kafka.port != other.kafka.port


def test_what_is_built_is_not_built_again(client: DockerClient) -> None:
    said: list[str] = []
    stubs = StubImages(client, os.environ, said.append)
    for part in {*RECIPES} - {*INTERNAL}:
        stubs.ensure(part)
        assert client.images.get(image_of(part, os.environ)).labels.get(STANDIN) in {
            None,
            stubs.key(part),
        }
    assert said == []
