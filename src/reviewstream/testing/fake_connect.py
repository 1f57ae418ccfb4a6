"""Connectors in memory, which move no records."""

from collections.abc import Mapping

from reviewstream.core.index.ports import ConnectorStatus
from reviewstream.errors import ConfigError, PermanentError


class MemoryConnect:
    """`ConnectCluster` with one connector class, which requires `write.method` to be INSERT.

    Attributes:
        CLASS: The connector class.
        configs: Configuration of each connector.
    """

    CLASS = "MemorySink"

    def __init__(self) -> None:
        self.configs: dict[str, Mapping[str, str]] = {}
        self._states: dict[str, str] = {}
        self._traces: dict[str, str] = {}

    def apply(self, name: str, config: Mapping[str, str]) -> None:
        """See `ConnectCluster.apply`."""
        if problems := self.validate(config):
            raise ConfigError(f"connector {name}: {problems}")
        self.configs[name] = dict(config)
        self._states.setdefault(name, "RUNNING")

    def validate(self, config: Mapping[str, str]) -> Mapping[str, str]:
        """See `ConnectCluster.validate`."""
        if config.get("connector.class") != self.CLASS:
            return {"connector.class": "is not installed"}
        if "write.method" in config and config["write.method"] != "INSERT":
            return {"write.method": "must be INSERT"}
        return {}

    def status(self, name: str) -> ConnectorStatus | None:
        """See `ConnectCluster.status`."""
        if name not in self._states:
            return None
        state = self._states[name]
        tasks = () if state == "STOPPED" else (state,)
        if trace := self._traces.get(name):
            return ConnectorStatus(name=name, state=state, tasks=("FAILED",), trace=trace)
        return ConnectorStatus(name=name, state=state, tasks=tasks)

    def pause(self, name: str) -> None:
        """See `ConnectCluster.pause`."""
        self._known(name)
        self._states[name] = "PAUSED"

    def stop(self, name: str) -> None:
        """Stop a connector, as another client of Connect may: its tasks end."""
        self._known(name)
        self._states[name] = "STOPPED"

    def resume(self, name: str) -> None:
        """See `ConnectCluster.resume`."""
        self._known(name)
        self._states[name] = "RUNNING"

    def restart(self, name: str) -> None:
        """See `ConnectCluster.restart`."""
        self._known(name)
        self._traces.pop(name, None)

    def fail_task(self, name: str, trace: str) -> None:
        """Fail the connector's task; the connector itself stays as it is, as in Connect."""
        self._known(name)
        self._traces[name] = trace

    def delete(self, name: str) -> None:
        """See `ConnectCluster.delete`."""
        self._states.pop(name, None)
        self._traces.pop(name, None)
        self.configs.pop(name, None)

    def _known(self, name: str) -> None:
        if name not in self._states:
            raise PermanentError(f"no connector {name}")
