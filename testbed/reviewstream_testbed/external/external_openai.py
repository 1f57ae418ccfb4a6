"""An external endpoint of OpenAI's API."""

from collections.abc import Mapping
from typing import Any, NoReturn

from reviewstream_testbed.external.external_server import NotOurs, port_of, refuse
from reviewstream_testbed.mock_openai import OpenAIEndpoint


class ExternalOpenAI(NotOurs, OpenAIEndpoint):
    """An endpoint with OpenAI's API; it has no request log and cannot inject faults."""

    name = "openai_endpoint"
    here = frozenset()

    def __init__(self, base_url: str, *, api_key: str | None) -> None:
        super().__init__(api_key=api_key)
        self._address = base_url.rstrip("/")

    @property
    def base_url(self) -> str:
        """The address as configured."""
        return self._address

    @property
    def url(self) -> str:
        """The address without `/v1`."""
        return self._address.removesuffix("/v1")

    @property
    def port(self) -> int:
        """The port in the address, or the default port of its scheme."""
        return port_of(self._address)

    @property
    def pid(self) -> None:
        """Always None: the process may be on another machine."""
        return

    def start(self) -> None:
        """Do nothing: the first request shows whether the endpoint answers."""

    def close(self) -> None:
        """Do nothing: the server keeps running."""

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> NoReturn:  # noqa: ARG002
        refuse(self.name)  # only the mock has a control API
