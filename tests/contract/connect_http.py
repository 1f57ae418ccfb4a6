"""Kafka Connect's REST API over plain HTTP, for tests: no client's opinion in between."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2

from tests.contract.answers import Answer
from tests.contract.waiting import eventually

Config: TypeAlias = dict[str, str]


@dataclass(frozen=True)
class ConnectApi:
    """A worker, and what a sink on it must be told.

    Attributes:
        http: Its base URL is that of the worker.
        config: Of a connector that brings JSON from a topic into an index.
        connector: Name of this test's connector.
    """

    http: httpx2.Client
    config: Config
    connector: str

    @property
    def path(self) -> str:
        """Where this test's connector is."""
        return f"/connectors/{self.connector}"

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request, again if the workers are busy with themselves."""
        return eventually(
            lambda: self._ask(method, path, body), lambda answer: not answer.is_rebalancing
        )

    def _ask(self, method: str, path: str, body: Any) -> Answer:
        answer = self.http.request(method, path, json=body)
        return Answer(answer.status_code, answer.json() if answer.content else None)

    def get(self, path: str) -> Any:
        """Return what is there; it must be there."""
        answer = self.ask("GET", path)
        assert answer.status == 200, (path, answer)
        return answer.body

    def create(self, **changes: str) -> None:
        """Create this test's connector, and wait until it and its task run."""
        self.ask_to_create(**changes)
        self.await_states("RUNNING", ["RUNNING"])

    def ask_to_create(self, **changes: str) -> Answer:
        return self.put_config(self.config | changes)

    def put_config(self, config: Config) -> Answer:
        return self.ask("PUT", f"{self.path}/config", config)

    def states(self) -> tuple[str | None, list[str]]:
        """Return the state of the connector, None if there is none, and of each task."""
        answer = self.ask("GET", f"{self.path}/status")
        if answer.status == 404:
            return None, []
        return answer.body["connector"]["state"], [task["state"] for task in answer.body["tasks"]]

    def await_states(self, connector: str | None, tasks: list[str]) -> None:
        eventually(self.states, lambda found: found == (connector, tasks))

    def order(self, verb: str) -> None:
        """Pause, resume or stop the connector."""
        assert self.ask("PUT", f"{self.path}/{verb}").status in {202, 204}

    def offsets(self) -> dict[int, int]:
        """Return how far each partition has been read."""
        found = self.get(f"{self.path}/offsets")["offsets"]
        return {
            each["partition"]["kafka_partition"]: each["offset"]["kafka_offset"] for each in found
        }
