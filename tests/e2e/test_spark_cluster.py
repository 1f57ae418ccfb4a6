"""The testbed's Spark cluster: its parts are killed, paused and started again."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from reviewstream_testbed import SparkCluster, TestbedError
from reviewstream_testbed.spark_session import DRIVER, spark_session
from tests.e2e.conftest import await_condition, is_running

pytestmark = [
    pytest.mark.processes,  # a cluster always is
    pytest.mark.usefixtures("spark_class_data"),
]

BOTH_ALIVE = ["ALIVE", "ALIVE"]


@pytest.fixture(scope="class")
def session(spark_cluster: SparkCluster) -> Iterator[SparkSession]:
    with spark_session(DRIVER | spark_cluster.client_config) as running:
        yield running


def states(cluster: SparkCluster) -> list[str]:
    return [worker["state"] for worker in cluster.state().get("workers", [])]


def await_states(cluster: SparkCluster, wanted: list[str]) -> None:
    await_condition("workers", lambda: states(cluster), lambda found: sorted(found) == wanted)


def executors(cluster: SparkCluster) -> list[int]:
    return [pid for worker in cluster.workers for pid in worker.executors()]


def family(pid: int | None) -> list[psutil.Process]:
    assert pid is not None
    return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]


def folders(session: SparkSession) -> set[str]:
    """Return where the tasks of a job ran: each executor has a work folder."""
    rows = session.sparkContext.range(64, numSlices=8).map(lambda _: str(Path.cwd()))
    return set(rows.collect())


class TestASession:
    def test_its_tasks_run_on_executors_of_both_workers(
        self, spark_cluster: SparkCluster, session: SparkSession
    ) -> None:
        await_condition("folders", lambda: folders(session), lambda found: len(found) == 2)
        assert len(executors(spark_cluster)) == 2
        assert sorted(Path(folder).name for folder in folders(session)) == ["0", "1"]

    def test_all_of_it_listens_on_loopback_only(self, spark_cluster: SparkCluster) -> None:
        pids = [spark_cluster.pid, *(worker.pid for worker in spark_cluster.workers)]
        for process in [each for pid in pids for each in family(pid)]:
            sockets = [s for s in process.net_connections() if s.status == psutil.CONN_LISTEN]
            assert {s.laddr.ip for s in sockets} <= {"127.0.0.1", "::ffff:127.0.0.1"}, process

    def test_a_killed_executor_is_replaced_and_the_session_goes_on(
        self, spark_cluster: SparkCluster, session: SparkSession
    ) -> None:
        before = executors(spark_cluster)
        spark_cluster.kill_executor(0)
        await_condition("folders", lambda: folders(session), lambda found: len(found) == 2)
        assert len({*executors(spark_cluster)} - {*before}) == 1

    def test_a_killed_worker_takes_its_executor_along_and_comes_back(
        self, spark_cluster: SparkCluster, session: SparkSession
    ) -> None:
        gone = family(spark_cluster.workers[1].pid)
        assert len(gone) > 1
        spark_cluster.kill_worker(1)
        await_condition("processes", lambda: [*filter(is_running, gone)], lambda left: not left)
        await_states(spark_cluster, ["ALIVE", "DEAD"])
        assert len(folders(session)) == 1
        spark_cluster.restart_worker(1)
        assert states(spark_cluster).count("ALIVE") == 2
        await_condition("folders", lambda: folders(session), lambda found: len(found) == 2)


def test_a_worker_without_an_application_has_no_executor_to_kill(
    spark_cluster: SparkCluster,
) -> None:
    await_condition("executors", lambda: executors(spark_cluster), lambda found: not found)
    with pytest.raises(TestbedError, match="worker 0 has no executor"):
        spark_cluster.kill_executor(0)


def test_a_killed_cluster_comes_back_at_its_address(spark_cluster: SparkCluster) -> None:
    address = spark_cluster.master_url
    pids = [spark_cluster.pid, *(worker.pid for worker in spark_cluster.workers)]
    spark_cluster.kill()
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    assert spark_cluster.state() == {}
    spark_cluster.restart()
    assert spark_cluster.master_url == address
    assert states(spark_cluster) == BOTH_ALIVE


def test_a_paused_cluster_does_not_answer_until_it_is_resumed(spark_cluster: SparkCluster) -> None:
    spark_cluster.pause()
    assert spark_cluster.state() == {}
    spark_cluster.resume()
    await_states(spark_cluster, BOTH_ALIVE)


# It prints the processes of a cluster at work, and is killed.
AT_WORK = """
import psutil, time
from reviewstream_testbed import Testbed
from reviewstream_testbed.spark_session import DRIVER, spark_session

with Testbed(("spark_cluster",)) as bed:
    with spark_session(DRIVER | bed.spark_cluster.client_config) as spark:
        numbers = spark.sparkContext.range(64, numSlices=8)
        numbers.count()
        children = psutil.Process().children(recursive=True)
        names = [child.pid for child in children] + [str(bed.folder)]
        print("at work:", *names, flush=True)
        numbers.foreach(lambda _: time.sleep(600))
"""


def commands(processes: list[psutil.Process]) -> str:
    words = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            words += process.cmdline()
    return " ".join(words)


def test_a_killed_program_leaves_no_process_of_its_cluster_and_no_file() -> None:
    program = [sys.executable, "-c", AT_WORK]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None
            line = next(line for line in parent.stdout if line.startswith("at work:"))
            *pids, folder = line.removeprefix("at work:").split()
            processes = [psutil.Process(int(pid)) for pid in pids if psutil.pid_exists(int(pid))]
            running = commands(processes)
            for name in ("Master", "Worker", "ExecutorBackend", "pyspark.worker", "watchdog"):
                assert name in running
        finally:
            parent.send_signal(signal.SIGKILL)
    await_condition("left", lambda: [*filter(is_running, processes)], lambda left: not left)
    await_condition("files", Path(folder).exists, lambda found: not found)
