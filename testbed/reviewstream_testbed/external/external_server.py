"""An external server: used by its address, and never stopped."""

import base64
import json
import urllib.error
import urllib.request
from abc import abstractmethod
from typing import Any, ClassVar, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

from reviewstream_testbed.providers import VARIABLES
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.testbed_error import TestbedError

_PATIENCE = 10.0  # seconds for one answer


class NotOurs:
    """A server that the testbed did not start."""

    name: ClassVar[str]

    def kill(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        refuse(self.name)

    def stop(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        refuse(self.name)

    def restart(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        refuse(self.name)

    def pause(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        refuse(self.name)

    def resume(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        refuse(self.name)

    def logs(self) -> str:
        """Raise TestbedError: the log of an external server is not accessible."""
        refuse(self.name)


class External(NotOurs, Server):
    """An external server: it cannot be stopped or paused, and its log cannot be read."""

    def __init__(self, address: str) -> None:  # has no process and no folder
        self._address = address.rstrip("/")

    @property
    def url(self) -> str:
        """The address as configured."""
        return self._address

    @property
    def address(self) -> str:
        """The address as configured."""
        return self._address

    @property
    def port(self) -> int:
        """The port in the address, or the default port of its scheme."""
        return port_of(self._address)

    @property
    def pid(self) -> None:
        """Always None: the process may be on another machine."""
        return

    @abstractmethod
    def remove(self, prefix: str) -> None:
        """Remove every object that has this name prefix.

        Raises:
            TestbedError: The server does not answer, or refuses.
        """

    def start(self) -> None:
        """Check that the server answers.

        Raises:
            TestbedError: It does not answer.
        """
        if not self.is_ready():
            raise TestbedError(
                f"the external {self.name} does not answer: see {VARIABLES[self.name]}"
            )

    def close(self) -> None:
        """Do nothing: the server keeps running."""


class ExternalHttp(External):
    """An external server that speaks HTTP."""

    ready_path = "/"

    def is_ready(self) -> bool:
        """Report whether it answers a request that any user may make."""
        try:
            return self._call("GET", self.ready_path) is not None
        except TestbedError:
            return False

    def _call(self, method: str, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the answer, or None if it is 404."""
        return ask(method, self._address, path, self.name)


def port_of(address: str) -> int:
    """Return the port of a URL, or the default one of its scheme."""
    parts = urlsplit(address)
    return parts.port or {"https": 443}.get(parts.scheme, 80)


def ask(method: str, base: str, path: str, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Send a request to a server directly, ignoring the environment's proxies.

    Returns:
        The JSON of the response ({} if it is empty), or None for 404.

    Raises:
        TestbedError: Any other error status, or no response; contains no credentials.
    """
    parts = urlsplit(base)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit((parts.scheme, host, parts.path, "", "")) + path
    request = urllib.request.Request(url, method=method)  # noqa: S310 - http or https, see providers
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    try:
        with _opener.open(request, timeout=_PATIENCE) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return None
            raise TestbedError(f"{name}: {method} {path} answered {error.code}") from error
    except (OSError, ValueError) as error:
        raise TestbedError(f"{name}: {method} {path}: {error}") from error


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def refuse(name: str) -> NoReturn:
    """Raise TestbedError: the testbed does not control an external server."""
    raise TestbedError(
        f"{name} is external: it cannot be stopped, looked into or made to fail from here"
        " (unset its address, or use --testbed=embedded)"
    )
