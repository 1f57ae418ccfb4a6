"""The faults: what is done to which part while reviews flow."""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import psutil

from tests.e2e.test_kills import driver, killed, workers
from tests.faults.scene import Scene

LENGTH: Final = 5.0  # seconds that a fault lasts if nothing else ends it


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        part: What it happens to.
        what: What happens.
        act: Does it, and undoes it.
        prepare: What must be so before, done before anything flows.
        quick: Whether it is tried with every commit, and not before a release only.
    """

    part: str
    what: str
    act: Callable[[Scene], None]
    quick: bool = False
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


def kill_processes(find: Callable[..., list[psutil.Process]]) -> Callable[[Scene], None]:
    """Return: SIGKILL of processes of the run, until the run is over."""

    def act(scene: Scene) -> None:
        while not killed(find, scene.command()):
            time.sleep(0.05)

    return act


def pause_processes(find: Callable[..., list[psutil.Process]]) -> Callable[[Scene], None]:
    """Return: SIGSTOP of processes of the run, and SIGCONT."""

    def act(scene: Scene) -> None:
        processes = find(scene.command())
        for each in processes:
            each.send_signal(signal.SIGSTOP)
        last()
        for each in processes:
            each.send_signal(signal.SIGCONT)

    return act


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
    yield Fault("registry", "SIGKILL, restart, empty", registry_forgets, prepare=registry_forgets)
    yield Fault("registry", "SIGSTOP for 5 s", pause(_of("schema_registry")))
    for name, find in {"driver": driver, "Python worker": workers}.items():
        yield Fault(name, "SIGKILL", kill_processes(find))
        yield Fault(name, "SIGSTOP for 5 s", pause_processes(find))
    links: dict[str, Callable[[Scene], Any]] = {
        "network to the review server": lambda scene: scene.to_server,
        "network to the model": lambda scene: scene.to_model,
    }
    for name, link in links.items():
        yield Fault(name, "0.5 s of latency for 5 s", slow(link))
        yield Fault(name, "reset three times", cut(link), quick="server" in name)
        yield Fault(name, "silent for 5 s", silence(link))


FAULTS: Final = tuple(_all())
