"""compose.yaml, started under a name and on ports of this test's own."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docker import DockerClient
from docker.models.containers import Container

from tests.docs.references import ROOT
from tools.engine_images.packages import require

PATIENCE = 180.0  # seconds until every service is healthy
PROJECT = "com.docker.compose.project"  # the label on all that belongs to one


def compose_command(environ: Mapping[str, str]) -> list[str]:
    """Return Compose v2 if it is there, else v1, which is a package of Debian's.

    Raises:
        TestbedError: There is none, and it must not be installed.
    """
    if docker := shutil.which("docker"):
        asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return [docker, "compose"]
    require("docker-compose", "docker-compose", environ)
    return ["docker-compose"]


@dataclass(frozen=True, kw_only=True)
class Composed:
    """One start of compose.yaml.

    Attributes:
        variables: What `.env` would say.
        options: Of every `run`, between `--rm` and the service.
    """

    client: DockerClient
    command: list[str]
    name: str
    variables: dict[str, str]
    options: list[str]

    def do(self, *arguments: str) -> str:
        """Run Compose to its end; return what it printed on standard output."""
        command = [*self.command, "-f", str(ROOT / "compose.yaml"), "-p", self.name, *arguments]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **self.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr}\n{done.stdout}"
        return done.stdout

    def run(self, *arguments: str) -> str:
        """Run a command in a container of its own, as `docker compose run --rm` does."""
        return self.do("run", "--rm", "-T", *self.options, *arguments)

    def await_health(self) -> None:
        """Wait until every container is healthy: Compose v1 cannot."""
        deadline = time.monotonic() + PATIENCE
        while unwell := self._unwell():
            assert time.monotonic() < deadline, unwell
            time.sleep(0.5)

    def left(self) -> list[str]:
        """Return what there is of this start: containers, networks, volumes."""
        found: list[Any] = [*self._containers()]
        found += self.client.networks.list(filters=self._label)
        found += self.client.volumes.list(filters=self._label)
        return [str(each.name) for each in found]

    @property
    def _label(self) -> dict[str, str | list[str] | bool]:
        return {"label": f"{PROJECT}={self.name}"}

    def _containers(self) -> list[Container]:
        return self.client.containers.list(all=True, filters=self._label)

    def _unwell(self) -> dict[str, str]:
        """Return the containers that are not healthy, with the end of what their check said."""
        states = {str(each.name): each.attrs["State"] for each in self._containers()}
        return {
            name: f"{state['Status']}, {state['Health']['Log'][-1:]}"
            for name, state in states.items()
            if state["Health"]["Status"] != "healthy"
        }
