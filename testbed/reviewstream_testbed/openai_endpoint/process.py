"""The endpoint as a process of its own."""

import json
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.ports import LOOPBACK, free_ports
from reviewstream_testbed.processes import Janitor, Process

START_TIMEOUT: Final = 60.0  # seconds; two are the rule
STOP_TIMEOUT: Final = 5.0
POLL: Final = 0.02
TRIES: Final = 5  # another process may be quicker to take a free port


class EndpointFailed(TestbedError):
    """The endpoint did not start; the message ends with its log."""


class OpenAIEndpoint:
    """A mock OpenAI endpoint in its own process; it ends with the `with` block, or with us.

    Args:
        latency: Milliseconds before every answer.
        api_key: The only key it accepts; without one, every key that begins with `sk-`.

    Attributes:
        api_key: A key that it accepts.
        base_url: What an OpenAI client takes as its `base_url`; the same after a restart.
    """

    def __init__(self, *, latency: float = 0.0, api_key: str | None = None) -> None:
        self.api_key = api_key or "sk-testbed"
        self._only_key = api_key
        self.base_url = ""
        self._latency = latency
        self._port = 0
        self._process: Process | None = None

    def __enter__(self) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="openai-endpoint-"))
        self._janitor = Janitor(folder)
        self._log = folder / "log"
        try:
            self._start_somewhere()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address of the server, without `/v1`."""
        return f"http://{LOOPBACK}:{self._port}"

    def stop(self) -> None:
        """End the process and remove its log; may be called twice."""
        if self._process is not None:
            self._process.stop(STOP_TIMEOUT)
            self._process = None
        self._janitor.close()

    def kill(self) -> None:
        """Kill the process: connections break off, and new ones are refused."""
        if self._process is not None:
            self._process.send(signal.SIGKILL)
            self._process.close()
            self._process = None

    def restart(self) -> None:
        """Start again on the same port; counts and script of faults are gone."""
        if self._process is not None:
            self._process.stop(STOP_TIMEOUT)
        self._start()

    def pause(self) -> None:
        """Stop the process in its tracks: requests hang."""
        if self._process is not None:
            self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        if self._process is not None:
            self._process.send(signal.SIGCONT)

    def logs(self) -> str:
        """Return what the process wrote."""
        return self._log.read_text(errors="replace")

    def requests(self) -> dict[str, Any]:
        """Return what was asked so far, as `GET /_mock/requests` tells it."""
        return self._call("/_mock/requests")

    def reset(self) -> None:
        """Forget all counts and every fault."""
        self._call("/_mock/reset", {})

    def fault(
        self,
        *sequence: str | Mapping[str, Any],
        rate: float = 0.0,
        faults: Sequence[str | Mapping[str, Any]] = (),
        seed: int = 0,
        match: str = "",
    ) -> None:
        """Misbehave from now on; see `faults` for the script's fields."""
        script = {"sequence": sequence, "rate": rate, "faults": faults, "seed": seed}
        self._call("/_mock/fault", {**script, "match": match})

    def _start_somewhere(self) -> None:
        *others, last = free_ports(TRIES)
        for self._port in others:
            try:
                return self._start()
            except EndpointFailed as err:
                if "cannot listen" not in str(err):
                    raise
        self._port = last
        return self._start()

    def _start(self) -> None:
        self._log.write_bytes(b"")
        command = [sys.executable, "-m", __package__, f"--port={self._port}"]
        command.append(f"--latency={self._latency:g}")
        if self._only_key is not None:
            command.append(f"--api-key={self._only_key}")
        self._process = Process(command, log=self._log)
        self._wait(self._process)
        self.base_url = f"{self.url}/v1"

    def _wait(self, process: Process) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while "Ready." not in self.logs():
            code = process.status()
            if code is not None:
                raise EndpointFailed(f"the mock endpoint ended with {code}:\n{self.logs()}")
            if time.monotonic() > deadline:
                raise EndpointFailed(
                    f"the mock endpoint was not ready in {START_TIMEOUT:g} s:\n{self.logs()}"
                )
            time.sleep(POLL)

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own address, always http
            self.url + path, data=None if body is None else json.dumps(body).encode()
        )
        with _opener.open(request, timeout=START_TIMEOUT) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


# Whatever proxy the environment names, a loopback address is not behind it.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
