"""Spark's JVM: it receives none of our signals, and ends with this process.

`spark-submit` starts the JVM in our process group. Ctrl-C on a terminal, GNU `timeout` and
supervisord signal the whole group, so the JVM would end before the running micro-batch is done.
It therefore gets a separate process group. A signal may also interrupt a call to the JVM, and that
connection cannot be used again: the JVM is then ended by closing its standard input.
"""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseServer
from typing import Any, Final

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from reviewstream.errors import ConfigError, PermanentError, ReviewStreamError
from reviewstream.settings import SparkSettings
from reviewstream.spark.session import SUBMITTED, configuration, prepare_python, spark_session

PATIENCE: Final = 5.0  # seconds for the JVM to end by itself
# A line of the JVM that asks for nothing: Spark itself adds that module.
NOTHING_WRONG: Final = re.compile(rb"WARNING: Using incubator modules: [^\n]*\n")
SETTLED: Final = 1.0  # seconds until a process with a broken connection has ended


@contextmanager
def spark_running(settings: SparkSettings) -> Iterator[SparkSession]:
    """Run Spark for the block; its JVM ends with the block, also after an exception.

    Raises:
        PermanentError: The JVM ended by itself, or was killed.
    """
    if SUBMITTED in os.environ:  # the JVM started this process
        with spark_session(settings) as spark:
            yield spark
        return
    jvm = Jvm(settings)
    try:
        with jvm.told():
            spark = jvm.session()
            yield spark
            spark.stop()
    finally:
        jvm.end()


class Jvm:
    """A JVM in a separate process group; its standard error is forwarded to ours.

    Raises:
        PermanentError: It ended before it was ready.
        ConfigError: The program that starts it is missing.
    """

    def __init__(self, settings: SparkSettings) -> None:
        self._settings = settings
        self._is_muted = False
        prepare_python(settings)
        read, write = os.pipe()
        threading.Thread(target=self._pass_on, args=[read], name="jvm", daemon=True).start()
        try:
            self._gateway = self._launched(write)
        finally:
            os.close(write)
        self._process: subprocess.Popen[bytes] = self._gateway.proc

    def session(self) -> SparkSession:
        """Return Spark's session, and restore the signal handlers."""
        handler = signal.getsignal(signal.SIGINT)
        context = SparkContext(conf=self._conf(), gateway=self._gateway)
        if threading.current_thread() is threading.main_thread():  # the context has replaced it
            signal.signal(signal.SIGINT, handler)
        self._quieten(context._accumulatorServer)  # noqa: SLF001 - no other way to it
        return spark_session(self._settings)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Raise an error that the JVM's end caused as `PermanentError`; raise others unchanged."""
        try:
            yield
        except Exception as err:
            status = self._status(0.0 if isinstance(err, ReviewStreamError) else SETTLED)
            if status is None:
                raise
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else "has ended"
            raise PermanentError(
                f"Spark's Java process {how}: start again with the same checkpoint to go on; if"
                " memory was short, give spark.config another spark.driver.memory"
            ) from err

    def end(self) -> None:
        """End the JVM, by force if it does not end by itself."""
        self._is_muted = True  # its output now is only about its end
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        if self._status(PATIENCE) is None:
            self._process.kill()
            self._process.wait()
        # pyspark would use it again in the next session of this process.
        SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 - no public API

    def _launched(self, output: int) -> Any:  # noqa: ANN401 - py4j has no types
        with _group() as group:
            try:
                how = {"process_group": group, "stderr": output}
                return launch_gateway(self._conf(), how)  # type: ignore[no-untyped-call] # pyspark's
            except PySparkRuntimeError as err:
                raise PermanentError(
                    "Spark's Java process ended before it was ready: `reviewstream doctor` looks"
                    " for Java, and its own words are above"
                ) from err
            except OSError as err:
                raise ConfigError(
                    f"Spark cannot be started: {err}; SPARK_HOME is the folder of a whole Spark:"
                    " unset it to use pyspark's own"
                ) from err
            except BaseException:  # only its group's id is known
                self._is_muted = True
                os.killpg(group, signal.SIGKILL)
                raise

    def _quieten(self, server: BaseServer) -> None:
        """Suppress the traceback of a pyspark server, which the JVM connects to, when it ends."""
        loud = server.handle_error

        def handle_error(request: Any, client_address: Any) -> None:  # noqa: ANN401 - its signature
            if not self._is_muted and self._status(SETTLED) is None:
                loud(request, client_address)

        server.handle_error = handle_error  # type: ignore[method-assign] # a hook of socketserver

    def _conf(self) -> SparkConf:
        named = SparkConf(loadDefaults=False).setAppName("reviewstream")
        return named.setAll([*configuration(self._settings).items()])

    def _status(self, patience: float) -> int | None:
        """Return the exit status, negative if it was killed; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(patience)
        return None

    def _pass_on(self, pipe: int) -> None:
        with suppress(OSError), open(pipe, "rb", buffering=0) as output:
            while data := output.read(1 << 16):
                if not self._is_muted and (said := NOTHING_WRONG.sub(b"", data)):
                    os.write(2, said)


@contextmanager
def _group() -> Iterator[int]:
    """Provide a new process group during the block, in which processes can be started."""
    command = ["/bin/sh", "-c", "read _"]  # it ends with this process, too
    leader = subprocess.Popen(  # noqa: S603 - it contains no user input
        command, stdin=subprocess.PIPE, process_group=0
    )
    try:
        yield leader.pid
    finally:
        leader.kill()
        leader.communicate()
