"""The endpoint as a separate process."""

import json
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypedDict

from reviewstream_testbed.mock_openai.rate_limits import MINUTE, Limits
from reviewstream_testbed.processes.children import Process, Reaper
from reviewstream_testbed.processes.free_ports import LOOPBACK, free_ports
from reviewstream_testbed.services.service import Service
from reviewstream_testbed.testbed_error import TestbedError

START_TIMEOUT: Final = 60.0  # seconds; two are usual
STOP_TIMEOUT: Final = 5.0
POLL: Final = 0.02
TRIES: Final = 5  # another process may take a free port first


class EndpointFailed(TestbedError):
    """The endpoint did not start; the message ends with its log."""


class OpenAIConfig(TypedDict):
    """Arguments of `openai.OpenAI`."""

    base_url: str
    api_key: str


class OpenAIEndpoint(Service):
    """A mock OpenAI endpoint in its own process; it ends with the `with` block or this process.

    Args:
        latency: Milliseconds before every answer.
        api_key: The only accepted key; by default every key that begins with `sk-`.
        judge: Source of the opinions: `lexicon`; `hash`, a checksum, which costs nothing; or
            `obedient`, which follows orders in reviews.
        requests_per_minute: Limit of each tenant; None for no limit.
        tokens_per_minute: Limit of each tenant; None for no limit.
        window_seconds: Seconds until an empty allowance is full again.
        dialect: A key of `DIALECTS`.
        models: Additional model names besides OpenAI's.
        hidden_tokens: Hidden tokens of a reasoning model per review, at medium effort.
        effort: `honoured`, or `ignored`: the hidden tokens are the same at any effort.
        cached_share: Share of the prompt tokens reported and billed as cached, such as "0.5".
        prices: `PROMPT,CACHED,COMPLETION` in US dollars per million tokens; None for no costs.
        tell_limits: Send headers with the usual limits if no limits are enforced.
        cassette: A folder of recorded answers, which replace the mock's own.
        record: The endpoint, with its `/v1`, to record onto the cassette.

    Attributes:
        api_key: A key that it accepts.
        tenant: Name of a tenant; each tenant has its own counts and faults.
    """

    name = "openai_endpoint"
    memory = 100
    here = frozenset(
        {"address", "base_url", "bill", "client_config", "dialect", "fault", "judge", "limit"}
        | {"options", "requests", "reset", "url"}
    )
    tenant: str = ""

    def __init__(  # noqa: PLR0913 - one per flag of the command
        self,
        *,
        latency: float = 0.0,
        api_key: str | None = None,
        judge: str = "lexicon",
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        window_seconds: float = MINUTE,
        dialect: str = "openai",
        models: Sequence[str] = (),
        hidden_tokens: int = 0,
        effort: str = "honoured",
        cached_share: str | Decimal = "0",
        prices: str | None = None,
        tell_limits: bool = False,
        cassette: Path | None = None,
        record: str | None = None,
    ) -> None:
        self.api_key = api_key or "sk-testbed"
        self._flags = {
            "latency": f"{latency:g}",
            "api-key": api_key,
            "judge": judge,
            "requests-per-minute": requests_per_minute,
            "tokens-per-minute": tokens_per_minute,
            "window-seconds": f"{window_seconds:g}",
            "dialect": dialect,
            "hidden-tokens": hidden_tokens,
            "effort": effort,
            "cached-share": cached_share,
            "prices": prices,
            "cassette": cassette,
            "record": record,
        }
        self._more = [f"--model={name}" for name in models]
        self._more += ["--tell-limits"] if tell_limits else []
        self._more += ["--replay"] if cassette is not None and record is None else []
        self._port = 0
        self._process: Process | None = None
        self._reaper: Reaper | None = None
        self._closed = False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port, which is the same after a restart."""
        return self._port

    @property
    def url(self) -> str:
        """Address of the server, or of this object's tenant in it, without `/v1`."""
        base = f"http://{LOOPBACK}:{self.port}"
        return f"{base}/tenants/{self.tenant}" if self.tenant else base

    @property
    def base_url(self) -> str:
        """The `base_url` for an OpenAI client; the same after a restart."""
        return f"{self.url}/v1"

    @property
    def client_config(self) -> OpenAIConfig:
        """Arguments for `openai.OpenAI(**client_config)`."""
        return {"base_url": self.base_url, "api_key": self.api_key}

    @property
    def address(self) -> str:
        """The same as `base_url`."""
        return self.base_url

    @property
    def pid(self) -> int | None:
        """The process id, or None if it is not running."""
        return self._process.pid if self._process and self._process.status() is None else None

    def start(self) -> None:
        """Start the process on a free port and wait until it is ready.

        Raises:
            EndpointFailed: It did not become ready.
        """
        folder = Path(tempfile.mkdtemp(prefix="openai-endpoint-"))
        self._reaper = Reaper(folder)
        self._log = folder / "log"
        *others, last = free_ports(TRIES)
        for self._port in others:
            try:
                return self._start()
            except EndpointFailed as err:
                if "cannot listen" not in str(err):
                    raise
        self._port = last
        return self._start()

    def stop(self) -> None:
        """Stop the process gracefully."""
        if self._process is not None:
            self._process.stop(STOP_TIMEOUT)

    def close(self) -> None:
        """Stop the process and remove its log; may be called twice."""
        self._closed = True
        self.stop()
        if self._reaper is not None:
            self._reaper.close()

    def kill(self) -> None:
        """Kill the process: open connections break, new ones are refused."""
        if self._process is not None:
            self._process.close()

    def restart(self) -> None:
        """Restart on the same port; counts and the script of faults are lost."""
        self.stop()
        self._start()

    def pause(self) -> None:
        """Suspend the process: requests hang."""
        if self._process is not None:
            self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume a paused process."""
        if self._process is not None:
            self._process.send(signal.SIGCONT)

    def logs(self) -> str:
        """Return the output of the process."""
        return self._log.read_text(errors="replace")

    def requests(self) -> dict[str, Any]:
        """Return the requests so far, in the format of `GET /_mock/requests`."""
        return self._call("/_mock/requests")

    def reset(self) -> None:
        """Clear all counts and faults; judge and limits return to their initial values."""
        self._call("/_mock/reset", {})

    def fault(
        self,
        *sequence: str | Mapping[str, Any],
        rate: float = 0.0,
        faults: Sequence[str | Mapping[str, Any]] = (),
        seed: int = 0,
        match: str = "",
        always: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Inject faults from now on; see `script` for the fields, `faults` for the kinds."""
        script = {"sequence": sequence, "rate": rate, "faults": faults, "seed": seed}
        self._call("/_mock/fault", {**script, "match": match, "always": always})

    def limit(
        self,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        window_seconds: float = MINUTE,
    ) -> None:
        """Enforce these limits from now on; without arguments, enforce no limits."""
        limits = Limits(requests_per_minute, tokens_per_minute, window_seconds)
        self._call("/_mock/limits", limits._asdict())

    def judge(self, name: str) -> None:
        """Use another judge from now on: `lexicon`, `hash` or `obedient`."""
        self._call("/_mock/judge", {"judge": name})

    def dialect(self, name: str, **changes: object) -> None:
        """Use another dialect from now on, with some of its fields changed."""
        self._call("/_mock/dialect", {"dialect": name, **changes})

    def options(self, **changes: object) -> None:
        """Change options from now on; see `Options`, of which a tenant may change some."""
        self._call("/_mock/options", changes)

    def bill(self) -> dict[str, Any]:
        """Return the bill so far, in the format of `GET /_mock/bill`."""
        return self._call("/_mock/bill")

    def _start(self) -> None:
        self._log.write_bytes(b"")
        command = [sys.executable, "-m", __package__, f"--port={self._port}"]
        given = {name: value for name, value in self._flags.items() if value is not None}
        command += [*(f"--{name}={value}" for name, value in given.items()), *self._more]
        self._process = Process(command, log=self._log)
        if self._closed:  # another thread closed it, and may have missed this process
            self._process.close()
        self._wait(self._process)

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
        request = urllib.request.Request(  # noqa: S310 - the mock's address, always http
            self.url + path, data=None if body is None else json.dumps(body).encode()
        )
        with _opener.open(request, timeout=START_TIMEOUT) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


# Ignore the environment's proxies: the address is loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
