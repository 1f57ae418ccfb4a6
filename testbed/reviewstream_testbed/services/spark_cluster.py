"""A standalone Spark cluster with a master and two workers, run from pyspark's jars."""

import hashlib
import http.client
import json
import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from reviewstream_testbed.installation.builder import class_path
from reviewstream_testbed.installation.homes import Installation
from reviewstream_testbed.installation.java import spark_java_home
from reviewstream_testbed.installation.spark_class_data import SHORT_RUN, short_run_options
from reviewstream_testbed.processes.free_ports import LOOPBACK
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.testbed_error import TestbedError
from reviewstream_testbed.testbed_extras import install_command

WORKERS = 2
WORKER_MEMORY = 1024  # MB per worker for executors
_EXECUTOR = "CoarseGrainedExecutorBackend"
_PATIENCE = 3.0  # seconds for one answer
# A taken port is an error, and the start is repeated; by default Spark uses the next port.
_OPTIONS = ["-Xmx128m", "-Dspark.port.maxRetries=0", "-Dspark.master.rest.enabled=false"]


class _Daemon(Server):
    """One daemon of the cluster."""

    port_count = 2  # one for RPC, one for the web UI

    @property
    def url(self) -> str:
        """The base URL of the web UI."""
        return f"http://{LOOPBACK}:{self._ports[1]}"

    @property
    def archive(self) -> str:
        """The file name of its class data, unique to this pyspark: Java rejects that of another."""
        return f"{self.name}-{hashlib.sha256(str(spark_home()).encode()).hexdigest()[:8]}.jsa"

    @abstractmethod
    def program(self) -> list[str]:
        """Return the main class and its arguments."""

    def prepare(self) -> None:
        """Do nothing: the command line has all settings."""

    def arguments(self) -> list[str]:
        """Return the heap, the class path and the main class."""
        jars = class_path(*sorted((spark_home() / "jars").glob("*.jar")))
        addresses = ["--host", LOOPBACK, "--port", str(self.port)]
        main, *arguments = self.program()
        pages = ["--webui-port", str(self._ports[1])]
        return [*_OPTIONS, "-cp", jars, main, *addresses, *pages, *arguments]

    def environ(self) -> Mapping[str, str]:
        """Return our environment without `SPARK_*` variables, which belong to another Spark."""
        ours = {name: v for name, v in os.environ.items() if not name.startswith("SPARK_")}
        [core] = (spark_home() / "jars").glob("spark-core_*.jar")
        return ours | {
            "SPARK_HOME": str(spark_home()),
            "SPARK_LOCAL_DIRS": str(self.folder),
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_SCALA_VERSION": core.name.removeprefix("spark-core_").partition("-")[0],
        }


class SparkWorker(_Daemon):
    """A worker; its executors are in its process group and end with it."""

    name = "spark_worker"
    memory = 200

    def __init__(
        self,
        installation: Installation,
        folder: Path,
        *,
        master_url: str,
        is_registered: Callable[[int], bool],
    ) -> None:
        folder.mkdir()
        super().__init__(installation, folder)
        self._master_url = master_url
        self._is_registered = is_registered

    def program(self) -> list[str]:
        """Return the main class and its arguments; the worker has one core."""
        main = "org.apache.spark.deploy.worker.Worker"
        offer = ["--cores", "1", "--memory", f"{WORKER_MEMORY}m"]
        return [main, *offer, "--work-dir", str(self.folder / "work"), self._master_url]

    def environ(self) -> Mapping[str, str]:
        """Return the environment, with the Java of the executors."""
        return {**super().environ(), "JAVA_HOME": str(spark_java_home())}

    def is_ready(self) -> bool:
        """Report whether the master has registered it."""
        return self._is_registered(self.port)

    def executors(self) -> list[int]:
        """Return the process ids of its executors."""
        children = psutil.Process(self.pid).children() if self.pid else []
        return [child.pid for child in children if _is_executor(child)]

    def logs(self) -> str:
        """Return everything that the worker and its executors have printed."""
        printed = sorted(self.folder.glob("work/*/*/std*"))
        return "\n".join([super().logs(), *(log.read_text(errors="replace") for log in printed)])


class SparkCluster(_Daemon):
    """A master and workers with one core each; `pid` is the master's.

    Attributes:
        workers: The workers, numbered from 0.
    """

    name = "spark_cluster"
    memory = 1_600  # of which two executors take 1,000

    def __init__(self, installation: Installation, folder: Path) -> None:
        super().__init__(installation, folder)
        self.workers: list[SparkWorker] = []

    @property
    def master_url(self) -> str:
        """The value of `spark.master`."""
        return f"spark://{LOOPBACK}:{self.port}"

    @property
    def address(self) -> str:
        """The same as `master_url`."""
        return self.master_url

    @cached_property
    def _executors(self) -> dict[str, str]:
        """The option to start executors from class data, if it was written."""
        options = short_run_options()
        return {} if options == SHORT_RUN else {"spark.executor.extraJavaOptions": options}

    @property
    def client_config(self) -> dict[str, str]:
        """Settings of a session on this cluster; its first job waits for both executors."""
        return {
            "spark.master": self.master_url,
            "spark.driver.host": LOOPBACK,
            "spark.driver.bindAddress": LOOPBACK,
            "spark.executor.memory": "512m",
            **self._executors,
            "spark.cores.max": str(WORKERS),
            "spark.scheduler.minRegisteredResourcesRatio": "1",
        }

    def program(self) -> list[str]:
        """Return the master's main class and its arguments."""
        return ["org.apache.spark.deploy.master.Master"]

    def is_ready(self) -> bool:
        """Report whether the master is alive; each worker's start checks the worker."""
        return self.state().get("status") == "ALIVE"

    def state(self) -> dict[str, Any]:
        """Return the master's state of workers and applications, empty if it does not answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self._ports[1], timeout=_PATIENCE)
        with closing(connection):
            try:
                connection.request("GET", "/json/")
                found: dict[str, Any] = json.load(connection.getresponse())
            except (OSError, http.client.HTTPException, ValueError):
                return {}
        return found

    def kill_worker(self, number: int) -> None:
        """Kill a worker and its executors with SIGKILL."""
        self.workers[number].kill()

    def restart_worker(self, number: int) -> None:
        """Restart a worker on the same ports; its core is available when this returns."""
        self.workers[number].restart()

    def executors(self, number: int) -> list[int]:
        """Return the process ids of a worker's executors, one per application."""
        return self.workers[number].executors()

    def kill_executor(self, number: int) -> None:
        """Kill the executors of a worker with SIGKILL; the worker starts new ones.

        Raises:
            TestbedError: The worker has no executor.
        """
        if not (found := self.executors(number)):
            raise TestbedError(f"worker {number} has no executor: no application has its core")
        for pid in found:
            psutil.Process(pid).kill()

    def kill(self) -> None:
        """Kill master, workers and executors with SIGKILL."""
        for worker in self.workers:
            worker.kill()
        super().kill()

    def stop(self) -> None:
        """Stop everything gracefully: first the workers with their executors, then the master."""
        self._each(SparkWorker.stop)
        super().stop()

    def close(self) -> None:
        """Stop everything permanently, as fast as is safe."""
        self._each(SparkWorker.close)
        super().close()

    def pause(self) -> None:
        """Suspend master, workers and executors."""
        super().pause()
        for worker in self.workers:
            worker.pause()

    def resume(self) -> None:
        """Undo `pause`."""
        for worker in self.workers:
            worker.resume()
        super().resume()

    def logs(self) -> str:
        """Return everything that master, workers and executors have printed."""
        return "\n".join([super().logs(), *(worker.logs() for worker in self.workers)])

    def _launch(self) -> None:
        super()._launch()
        if self.workers:
            self._each(SparkWorker.restart)
        else:
            self.workers = [*self._make_workers()]
            if self._closed:  # another thread closed it, and may have missed them
                self.close()
            self._each(SparkWorker.start)

    def _make_workers(self) -> Iterator[SparkWorker]:
        for number in range(WORKERS):
            folder = self.folder / f"worker-{number}"
            yield SparkWorker(
                self._installation,
                folder,
                master_url=self.master_url,
                is_registered=self._is_registered,
            )

    def _is_registered(self, port: int) -> bool:
        """Report whether the master lists the worker on this port as alive.

        Raises:
            TestbedError: The master has ended, so the worker cannot become ready.
        """
        if self.pid is None:
            raise self._failure("ended before its workers were ready")
        workers = self.state().get("workers", [])
        return any(each["port"] == port and each["state"] == "ALIVE" for each in workers)

    def _each(self, act: Callable[[SparkWorker], None]) -> None:
        """Apply an action to all workers in parallel."""
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(act, self.workers))


def spark_home() -> Path:
    """Return the folder of pyspark, which is a complete Spark.

    Raises:
        TestbedError: pyspark is not installed.
    """
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise TestbedError(f"pyspark is not installed: {install_command('servers')}")
    return Path(found.origin).parent


def _is_executor(process: psutil.Process) -> bool:
    try:
        return any(_EXECUTOR in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False
