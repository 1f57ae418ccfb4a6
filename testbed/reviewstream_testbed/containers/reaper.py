"""Removes one run's containers: `python -m reviewstream_testbed.containers.reaper RUN`.

A watchdog starts it when the run's process has ended, even if it was killed.
"""

import os
import sys
import time
from contextlib import suppress

from docker import DockerClient
from docker.errors import APIError

from reviewstream_testbed.containers.image_sources import connect

RUN = "reviewstream.testbed.run"  # a label
_SETTLED = 2.0  # seconds without a find, after which requests of the dead process have completed
_PATIENCE = 60.0
_POLL = 0.2


def sweep(client: DockerClient, run: str) -> bool:
    """Remove all objects with the run's label now, and report whether there were any."""
    labelled: dict[str, str | list[str] | bool] = {"label": f"{RUN}={run}"}
    containers = client.containers.list(all=True, filters=labelled, ignore_removed=True)
    networks = client.networks.list(filters=labelled)
    for container in containers:
        with suppress(APIError):  # being removed elsewhere, or retried in the next round
            container.remove(force=True, v=True)
    for network in networks:
        with suppress(APIError):
            network.remove()
    return bool(containers or networks)


def main(run: str) -> int:
    """Sweep until no new objects appear."""
    client = connect(os.environ)
    end = time.monotonic() + _PATIENCE
    settled = time.monotonic() + _SETTLED
    while time.monotonic() < min(settled, end):
        if sweep(client, run):
            settled = time.monotonic() + _SETTLED
        time.sleep(_POLL)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
