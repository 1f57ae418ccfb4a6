"""A private Docker engine for machines without one; started as root, removed when it stops.

It keeps its folder with the images, so that the next start is faster.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from reviewstream_testbed.containers.image_sources import connect
from reviewstream_testbed.installation.cache import cache_folder, exclusive
from reviewstream_testbed.processes.children import AfterUs
from reviewstream_testbed.testbed_error import TestbedError
from tools.engine_images.packages import require

FOLDER = "REVIEWSTREAM_TEST_ENGINE"
_PATIENCE = 60.0  # seconds for a start, and for a stop
_POLL = 0.1
_BRIDGE = Path("/sys/class/net/docker0")
_TAIL = 1_000  # characters of the log in an error


class EngineError(TestbedError):
    """No container engine is running, and this machine cannot start one."""


@contextmanager
def engine(environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Yield an environment with a working engine: a running one, or else a private one.

    Raises:
        EngineError: No engine is running, and starting one is not permitted or fails.
    """
    if _answers(environ):
        yield environ
        return
    folder = engine_folder(environ)
    with exclusive(folder.with_name(f"{folder.name}.lock")):
        _start(folder, environ)
        after_us = AfterUs([sys.executable, "-m", __name__, str(folder)], environ=environ)
        try:
            yield {**environ, "DOCKER_HOST": _host(folder)}
        finally:
            stop(folder)
            after_us.cancel()


def engine_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder in which a private engine keeps its images and other data."""
    given = environ.get(FOLDER)
    return Path(given).expanduser().absolute() if given else cache_folder(environ) / "engine"


def stop(folder: Path) -> None:
    """Remove all containers of this folder's private engine, and stop the engine."""
    dockerd = _dockerd(folder)
    if dockerd is None:
        return
    with suppress(TestbedError):
        _clear(folder)
    dockerd.terminate()
    try:
        dockerd.wait(_PATIENCE)
    except psutil.TimeoutExpired:
        dockerd.kill()
    shutil.rmtree(run_folder(folder), ignore_errors=True)


def _start(folder: Path, environ: Mapping[str, str]) -> None:
    _check(environ)
    stop(folder)  # an engine that outlived its starter
    run = run_folder(folder)
    shutil.rmtree(run, ignore_errors=True)  # dockerd refuses to start with a killed engine's files
    run.mkdir(parents=True)
    with (run / "dockerd.log").open("wb") as log:
        subprocess.Popen(_command(folder), stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + _PATIENCE
    while not _answers({"DOCKER_HOST": _host(folder)}):
        if time.monotonic() > deadline:
            stop(folder)
            said = (run / "dockerd.log").read_text(errors="replace")
            raise EngineError(f"dockerd does not start:\n{said[-_TAIL:]}")
        time.sleep(_POLL)


def _check(environ: Mapping[str, str]) -> None:
    if os.geteuid() != 0:
        raise EngineError("no container engine answers, and only root can start one")
    try:
        require("dockerd", "docker.io", environ)
    except TestbedError as error:
        raise EngineError(f"no container engine answers, and {error}") from error


def _command(folder: Path) -> list[str]:
    """Return the dockerd command, in its own mount namespace so that its mounts end with it."""
    run = run_folder(folder)
    command = ["unshare", "--mount", "--propagation=private", "dockerd", "--host", _host(folder)]
    command += ["--data-root", str(folder / "data"), "--exec-root", str(run / "exec")]
    command += ["--pidfile", str(run / "pid"), "--log-level=warn"]
    # No iptables rules: a proxy publishes the containers' ports, on loopback.
    command += ["--iptables=false", "--ip=127.0.0.1"]
    # No bridge either, unless another engine has one: dockerd would then remove it.
    return command if _BRIDGE.exists() else [*command, "--bridge=none"]


def _clear(folder: Path) -> None:
    client = connect({"DOCKER_HOST": _host(folder)})
    for container in client.containers.list(all=True, ignore_removed=True):
        container.remove(force=True, v=True)
    client.networks.prune()
    client.close()


def _dockerd(folder: Path) -> psutil.Process | None:
    """Return this folder's running dockerd, or None; a stale pid file may name another process."""
    try:
        process = psutil.Process(int((run_folder(folder) / "pid").read_text()))
        return process if str(folder / "data") in process.cmdline() else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def _answers(environ: Mapping[str, str]) -> bool:
    try:
        connect(environ).close()
    except TestbedError:
        return False
    return True


def run_folder(folder: Path) -> Path:
    """Return the folder of the engine's sockets, whose paths must be short."""
    return Path("/run") / f"reviewstream-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def _host(folder: Path) -> str:
    return f"unix://{run_folder(folder)}/docker.sock"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop(Path(sys.argv[1]))
