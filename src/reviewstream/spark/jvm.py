"""Spark's JVM: it hears no signal that is meant for us, and ends when we do.

`spark-submit` starts it in our process group. Ctrl-C on a terminal, GNU `timeout` and supervisord
signal the whole group: the JVM would be gone before the running micro-batch is done. So it gets a
group of its own. A signal may also interrupt a call to the JVM, and then no other call can follow
on that connection: the JVM is ended as a process, by the end of its standard input.
"""

import os
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
SETTLED: Final = 1.0  # seconds from a broken connection to the end of the process


@contextmanager
def spark_running(settings: SparkSettings) -> Iterator[SparkSession]:
    """Run Spark for the block; its JVM ends with the block, whatever ends that.

    Raises:
        PermanentError: The JVM has ended by itself, or was killed.
    """
    if SUBMITTED in os.environ:  # the JVM has started us
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
    """A JVM in a process group of its own; its standard error is passed on to ours.

    Raises:
        PermanentError: It has ended before it was ready.
        ConfigError: There is no program to start it with.
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
        """Return Spark's session; signals stay with those who had them."""
        handler = signal.getsignal(signal.SIGINT)
        context = SparkContext(conf=self._conf(), gateway=self._gateway)
        if threading.current_thread() is threading.main_thread():  # the context has taken it
            signal.signal(signal.SIGINT, handler)
        self._quieten(context._accumulatorServer)  # noqa: SLF001 - no other way to it
        return spark_session(self._settings)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Tell an error as the end of the JVM, if that is what caused it."""
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
        """End it, by force if it does not end by itself."""
        self._is_muted = True  # what it says now is about its end
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.close()
        if self._status(PATIENCE) is None:
            self._process.kill()
            self._process.wait()
        # pyspark would go on using it in the next session of this process.
        SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 - there is no call for it

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
            except BaseException:  # nobody knows the process but by its group
                self._is_muted = True
                os.killpg(group, signal.SIGKILL)
                raise

    def _quieten(self, server: BaseServer) -> None:
        """Have a server of pyspark's, which the JVM speaks to, print no traceback at its end."""
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
                if not self._is_muted:
                    os.write(2, data)


@contextmanager
def _group() -> Iterator[int]:
    """Have a new process group in the block, for processes to be started in."""
    command = ["/bin/sh", "-c", "read _"]  # it ends with us too
    leader = subprocess.Popen(  # noqa: S603 - nothing of a user is in it
        command, stdin=subprocess.PIPE, process_group=0
    )
    try:
        yield leader.pid
    finally:
        leader.kill()
        leader.communicate()
