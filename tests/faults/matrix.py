"""The faults: what is done to which part while reviews flow."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import psutil
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from elasticsearch import Elasticsearch

from tests.e2e.conftest import await_condition, with_changes
from tests.e2e.test_kills import driver, kill_until_over, labelling
from tests.faults.scene import Scene, write_reviews

LENGTH: Final = 5.0  # seconds that a fault lasts if nothing else ends it
SMALL: Final = 32 << 10  # bytes that a file may have on a full disk
REFUSED: Final = 2  # exit code


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        part: What it happens to.
        what: What happens.
        act: Does it, and undoes it.
        recover: What a person does when the run has ended, before it is started again; None:
            nothing, and a run that went on to its end was enough.
        prepare: What must be so before, done before anything flows.
        quick: Whether it is tried with every commit, and not before a release only.
    """

    part: str
    what: str
    act: Callable[[Scene], None]
    quick: bool = False
    recover: Callable[[Scene], None] | None = None
    prepare: Callable[[Scene], None] = lambda _: None

    @property
    def name(self) -> str:
        """What a test of it is called."""
        return f"{self.part}: {self.what}"


def last() -> None:
    """Let a fault last. It is no waiting for anything: so long is how long it lasts."""
    time.sleep(LENGTH)


def kill(part: Callable[[Scene], Any]) -> Callable[[Scene], None]:
    """Return: SIGKILL, and a start."""

    def act(scene: Scene) -> None:
        part(scene).kill()
        part(scene).restart()

    return act


def pause(part: Callable[[Scene], Any]) -> Callable[[Scene], None]:
    """Return: SIGSTOP, and SIGCONT."""

    def act(scene: Scene) -> None:
        part(scene).pause()
        last()
        part(scene).resume()

    return act


def registry_forgets(scene: Scene) -> None:
    """Kill the registry, which keeps its schemas in memory, and register them again.

    Ids count up from 1: registered in the same order into an empty registry, they are the same.
    """
    scene.bed.schema_registry.kill()
    scene.bed.schema_registry.restart()
    scene.pipeline.run("schemas", "register")


def kill_processes(find: Callable[[Scene], list[psutil.Process]]) -> Callable[[Scene], None]:
    """Return: SIGKILL of processes of the run, until the run is over."""
    return lambda scene: kill_until_over(partial(find, scene), scene.command())


def pause_processes(find: Callable[[Scene], list[psutil.Process]]) -> Callable[[Scene], None]:
    """Return: SIGSTOP of processes of the run, and SIGCONT."""

    def act(scene: Scene) -> None:
        processes = await_condition("processes to pause", partial(find, scene), bool)
        for each in processes:
            each.send_signal(signal.SIGSTOP)
        last()
        for each in processes:
            each.send_signal(signal.SIGCONT)

    return act


def driver_of(scene: Scene) -> list[psutil.Process]:
    """Return the processes of the run's driver."""
    return driver(scene.command())


def labelling_of(scene: Scene) -> list[psutil.Process]:
    """Return the run's workers that are connected to the model."""
    return labelling(scene.command(), scene.to_model.port)


def slow(link: Callable[[Scene], Any]) -> Callable[[Scene], None]:
    """Return: half a second for every piece."""

    def act(scene: Scene) -> None:
        link(scene).latency = 0.5
        last()
        link(scene).heal()

    return act


def cut(link: Callable[[Scene], Any]) -> Callable[[Scene], None]:
    """Return: resets after a few thousand bytes, again and again."""

    def act(scene: Scene) -> None:
        for after in (5_000, 0, 20_000):
            link(scene).cut(after=after)
            last()
            link(scene).heal()

    return act


def silence(link: Callable[[Scene], Any]) -> Callable[[Scene], None]:
    """Return: connections stay and nothing comes."""

    def act(scene: Scene) -> None:
        link(scene).silence()
        last()
        link(scene).heal()

    return act


def append(scene: Scene) -> None:
    """Let the file grow, by whole lines."""
    grown = scene.file.with_name("more.json")
    write_reviews(grown, seed=scene.seed + 1)
    with scene.file.open("ab") as file:
        file.write(grown.read_bytes())
    scene.server.restart()


def put_back(scene: Scene) -> None:
    """Give the file the lines that it had, and serve it."""
    write_reviews(scene.file, seed=scene.seed)
    scene.server.restart()


def replace(scene: Scene) -> None:
    """Put other reviews into a file of the same name."""
    write_reviews(scene.file, seed=scene.seed + 1)
    scene.server.restart()


def truncate(scene: Scene) -> None:
    """Leave the first 30 lines of the file; the rest has been promised to Spark."""
    lines = scene.file.read_bytes().splitlines(keepends=True)
    scene.file.write_bytes(b"".join(lines[:30]))
    scene.server.restart()


def limit_records(size: int) -> Callable[[Scene], None]:
    """Return: a limit for the records of the labelled topic, in bytes."""

    def act(scene: Scene) -> None:
        topic = scene.pipeline.settings.kafka.labelled_topic
        wanted = ConfigEntry(
            "max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET
        )
        change = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[wanted])
        admin = AdminClient(scene.bed.kafka.client_config)
        for done in admin.incremental_alter_configs([change]).values():
            done.result(timeout=30)

    return act


def delete_topics(scene: Scene) -> None:
    """Delete the topics that are there, and whatever is on them."""
    kafka = scene.pipeline.settings.kafka
    admin = AdminClient(scene.bed.kafka.client_config)
    there = {kafka.labelled_topic, kafka.rejected_topic} & admin.list_topics(
        timeout=30
    ).topics.keys()
    for done in admin.delete_topics(sorted(there)).values() if there else ():
        done.result(timeout=30)


def fill_disk(scene: Scene) -> None:
    """Let none of Kafka's files grow beyond what some have by now, as a full disk would not.

    Kafka ends itself when it cannot write; that it was started again is the person who made room.
    """
    kafka = scene.bed.kafka
    process = psutil.Process(kafka.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (SMALL, SMALL))
    await_condition("end of Kafka", lambda: kafka.pid, lambda pid: pid is None)
    kafka.restart()


def start_second(scene: Scene) -> None:
    """Start another run with the same checkpoint, which must refuse to work."""
    scene.endpoint.pause()  # so that the first is not at its end before
    second = scene.pipeline.finished("run", "--once")
    scene.endpoint.resume()
    assert second.returncode == REFUSED, second.stderr


def change_mapping(scene: Scene) -> None:
    """Put another index behind the alias, whose mapping no document of ours fits."""
    client = Elasticsearch(**scene.bed.elasticsearch.client_config)
    alias = scene.pipeline.settings.elasticsearch.index
    wrong = f"{alias}-wrong"
    client.indices.create(index=wrong, mappings={"properties": {"stars": {"type": "boolean"}}})
    removed = [{"remove_index": {"index": name}} for name in client.indices.get_alias(name=alias)]
    client.indices.update_aliases(
        actions=[*removed, {"add": {"index": wrong, "alias": alias, "is_write_index": True}}]
    )
    client.close()


def map_anew(scene: Scene) -> None:
    """Delete the index that fits nothing, and read the topic from its beginning."""
    delete_index(scene)
    index_anew(scene)


def start_anew(scene: Scene) -> None:
    """Forget how far the stream was; its labels are in the ledger."""
    delete_topics(scene)
    shutil.rmtree(scene.pipeline.folder / scene.pipeline.settings.spark.checkpoint)


def delete_index(scene: Scene) -> None:
    """Delete the index behind the alias, and whatever is in it."""
    client = Elasticsearch(**scene.bed.elasticsearch.client_config)
    index = scene.pipeline.settings.elasticsearch.index
    for name in client.indices.get_alias(name=index):
        client.indices.delete(index=name)
    client.close()


def index_anew(scene: Scene) -> None:
    """Make the index again, and read the topic from its beginning: by another connector."""
    client = Elasticsearch(**scene.bed.elasticsearch.client_config)
    index = scene.pipeline.settings.elasticsearch.index
    if client.indices.exists(index=index) and not client.indices.exists_alias(name=index):
        client.indices.delete(
            index=index
        )  # made by a record that came meanwhile, without a mapping
    client.close()
    read_anew(scene)


def read_anew(scene: Scene) -> None:
    """Bring the whole topic into the index again, by another connector; versions see to the rest.

    What a connector could not decode is a dead letter: without a registry's schemas, everything.
    """
    name = f"{scene.pipeline.settings.connect.name}-again"
    scene.pipeline = with_changes(scene.pipeline, "connect", name=name)


def _of(name: str) -> Callable[[Scene], Any]:
    return lambda scene: getattr(scene.bed, name)


def _all() -> Iterator[Fault]:
    parts: dict[str, Callable[[Scene], Any]] = {
        "review server": lambda scene: scene.server,
        "Kafka": _of("kafka"),
        "Connect": _of("kafka_connect"),
        "Elasticsearch": _of("elasticsearch"),
        "model": lambda scene: scene.endpoint,
    }
    for name, part in parts.items():
        yield Fault(name, "SIGKILL, restart", kill(part), quick=name == "Kafka")
        yield Fault(name, "SIGSTOP for 5 s", pause(part))
    yield Fault(
        "registry",
        "SIGKILL, restart, empty",
        registry_forgets,
        prepare=registry_forgets,
        recover=read_anew,
    )
    yield Fault("registry", "SIGSTOP for 5 s", pause(_of("schema_registry")))
    for name, find in {"driver": driver_of, "Python worker": labelling_of}.items():
        yield Fault(name, "SIGKILL", kill_processes(find))
        yield Fault(name, "SIGSTOP for 5 s", pause_processes(find))
    links: dict[str, Callable[[Scene], Any]] = {
        "network to the review server": lambda scene: scene.to_server,
        "network to the model": lambda scene: scene.to_model,
        "network to Kafka": lambda scene: scene.to_kafka,
        "network to Elasticsearch": lambda scene: scene.to_search,
    }
    for name, link in links.items():
        yield Fault(name, "0.5 s of latency for 5 s", slow(link))
        yield Fault(name, "reset three times", cut(link))
        yield Fault(name, "silent for 5 s", silence(link))
    yield Fault("Kafka", "its disk is full", fill_disk)
    yield Fault("checkpoint", "a second query", start_second)
    anew = limit_records(1 << 20)
    yield Fault("topic", "takes 200 bytes at most", limit_records(200), recover=anew)
    yield Fault("topic", "deleted", delete_topics, recover=start_anew)
    yield Fault("index", "deleted", delete_index, recover=index_anew)
    yield Fault("index", "its mapping fits no document", change_mapping, recover=map_anew)
    yield Fault("file", "grows", append, recover=lambda _: None)  # the next run reads the rest
    yield Fault("file", "replaced", replace, recover=put_back)
    yield Fault("file", "cut short", truncate, recover=put_back)


FAULTS: Final = tuple(_all())
