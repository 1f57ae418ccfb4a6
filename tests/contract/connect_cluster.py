"""What every `ConnectCluster` must do.

Provide `cluster`, a valid `config`, `connector`, and `stop`: what another client of Connect does.
"""

from collections.abc import Callable, Mapping

import pytest

from reviewstream.core.index.ports import ConnectCluster, ConnectorStatus
from reviewstream.errors import ConfigError, PermanentError
from tests.contract.waiting import eventually

Config = Mapping[str, str]
Stop = Callable[[str], None]


def state_of(status: ConnectorStatus | None) -> str | None:
    """Return the state that the connector and all its tasks share, or None."""
    states = {status.state, *status.tasks} if status and status.tasks else set()
    return states.pop() if len(states) == 1 else None


class ConnectClusterContract:
    def test_a_connector_that_is_not_there_has_no_status(
        self, cluster: ConnectCluster, connector: str
    ) -> None:
        assert cluster.status(connector) is None

    def test_an_applied_connector_runs_and_so_do_its_tasks(
        self, cluster: ConnectCluster, connector: str, config: Config
    ) -> None:
        cluster.apply(connector, config)
        assert state_of(cluster.status(connector)) == "RUNNING"

    def test_applying_again_changes_nothing(
        self, cluster: ConnectCluster, connector: str, config: Config
    ) -> None:
        cluster.apply(connector, config)
        cluster.apply(connector, config)  # Connect may start it anew, and it is away for a moment
        eventually(lambda: state_of(cluster.status(connector)), lambda state: state == "RUNNING")

    def test_a_valid_configuration_has_no_problems(
        self, cluster: ConnectCluster, connector: str, config: Config
    ) -> None:
        assert cluster.validate({"name": connector, **config}) == {}

    def test_a_wrong_setting_is_named(
        self, cluster: ConnectCluster, connector: str, config: Config
    ) -> None:
        wrong = {**config, "name": connector, "write.method": "PERHAPS"}
        assert "write.method" in cluster.validate(wrong)
        with pytest.raises(ConfigError, match=r"write\.method"):
            cluster.apply(connector, wrong)
        assert cluster.status(connector) is None

    def test_a_class_that_is_not_installed_is_named(
        self, cluster: ConnectCluster, connector: str, config: Config
    ) -> None:
        wrong = {**config, "connector.class": "no.such.Connector"}
        assert "connector.class" in cluster.validate(wrong)
        with pytest.raises(ConfigError, match=r"connector\.class"):
            cluster.apply(connector, wrong)

    def test_a_configuration_without_a_class_is_refused(
        self, cluster: ConnectCluster, config: Config
    ) -> None:
        without = {name: value for name, value in config.items() if name != "connector.class"}
        assert "connector.class" in cluster.validate(without)

    def test_a_paused_connector_stays_paused_when_it_is_applied_and_then_resumes(
        self, cluster: ConnectCluster, connector: str, config: Config
    ) -> None:
        cluster.apply(connector, config)
        cluster.pause(connector)
        eventually(lambda: state_of(cluster.status(connector)), lambda state: state == "PAUSED")
        cluster.apply(connector, config)
        # Connect starts a changed connector anew: for a moment it is not assigned, or has no tasks.
        eventually(lambda: state_of(cluster.status(connector)), lambda state: state == "PAUSED")
        cluster.resume(connector)
        eventually(lambda: state_of(cluster.status(connector)), lambda state: state == "RUNNING")

    def test_a_stopped_connector_stays_stopped_when_it_is_applied_and_then_resumes(
        self, cluster: ConnectCluster, connector: str, config: Config, stop: Stop
    ) -> None:
        cluster.apply(connector, config)
        stop(connector)
        stopped = ConnectorStatus(name=connector, state="STOPPED")
        eventually(lambda: cluster.status(connector), lambda status: status == stopped)
        cluster.apply(connector, config)
        eventually(lambda: cluster.status(connector), lambda status: status == stopped)
        cluster.resume(connector)
        eventually(lambda: state_of(cluster.status(connector)), lambda state: state == "RUNNING")

    def test_a_restarted_connector_runs(
        self, cluster: ConnectCluster, connector: str, config: Config
    ) -> None:
        cluster.apply(connector, config)
        cluster.restart(connector)
        eventually(lambda: state_of(cluster.status(connector)), lambda state: state == "RUNNING")

    def test_what_is_not_there_cannot_be_paused(
        self, cluster: ConnectCluster, connector: str
    ) -> None:
        with pytest.raises(PermanentError, match=connector):
            cluster.pause(connector)

    def test_a_deleted_connector_is_gone_and_may_be_deleted_again(
        self, cluster: ConnectCluster, connector: str, config: Config
    ) -> None:
        cluster.apply(connector, config)
        cluster.delete(connector)
        eventually(lambda: cluster.status(connector), lambda status: status is None)
        cluster.delete(connector)
