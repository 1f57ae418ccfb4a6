"""What every Kafka Connect worker must do; subclass these and provide `connect_api`.

Plain HTTP, so that the worker is judged and not a client.

Source: Apache Kafka 4 documentation, "Kafka Connect": "REST API".
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.connect_http import ConnectApi
from tests.contract.waiting import eventually

Write = Callable[..., None]
Documents = Callable[[], dict[str, Any]]


class WorkerContract:
    """The worker, its plugins, and what it thinks of a configuration."""

    def test_a_worker_says_its_version_and_its_kafka(self, connect_api: ConnectApi) -> None:
        found = connect_api.get("/")
        assert found["version"]
        assert found["kafka_cluster_id"]

    def test_the_sink_and_the_converters_are_among_the_plugins(
        self, connect_api: ConnectApi
    ) -> None:
        sinks = {each["class"]: each["type"] for each in connect_api.get("/connector-plugins")}
        assert sinks[connect_api.config["connector.class"]] == "sink"
        every = {
            (each["class"], each["type"])
            for each in connect_api.get("/connector-plugins?connectorsOnly=false")
        }
        assert (connect_api.config["value.converter"], "converter") in every

    def test_a_plugin_says_what_can_be_set(self, connect_api: ConnectApi) -> None:
        path = f"/connector-plugins/{connect_api.config['connector.class']}/config"
        settings = {each["name"]: each for each in connect_api.get(path)}
        assert settings["connection.url"]["required"] is True
        assert settings["write.method"]["default_value"] == "INSERT"

    def _validated(self, connect_api: ConnectApi, **changes: str) -> dict[str, list[str]]:
        """Return setting -> errors, and see that they are counted right."""
        config = connect_api.config | {"name": connect_api.connector} | changes
        path = f"/connector-plugins/{config['connector.class']}/config/validate"
        answer = connect_api.ask("PUT", path, config)
        assert answer.status == 200
        values = [each["value"] for each in answer.body["configs"]]
        wrong = {value["name"]: value["errors"] for value in values if value["errors"]}
        assert answer.body["error_count"] == len(wrong)
        return wrong

    def test_a_valid_configuration_has_no_errors(self, connect_api: ConnectApi) -> None:
        assert self._validated(connect_api) == {}

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("write.method", "PERHAPS"),
            ("tasks.max", "0"),
            ("max.retries", "-1"),
            ("errors.tolerance", "some"),
            ("value.converter", "no.such.Converter"),
        ],
    )
    def test_a_wrong_setting_is_named_and_not_taken(
        self, connect_api: ConnectApi, name: str, value: str
    ) -> None:
        assert name in self._validated(connect_api, **{name: value})
        answer = connect_api.ask_to_create(**{name: value})
        assert answer.refusal == (400, 400)
        assert connect_api.states() == (None, [])

    def test_a_class_that_is_not_there_is_refused(self, connect_api: ConnectApi) -> None:
        answer = connect_api.ask_to_create(**{"connector.class": "no.such.Connector"})
        assert answer.status >= 400
        assert "no.such.Connector" in answer.body["message"]
        assert connect_api.states() == (None, [])


class ConnectorsContract:
    """Connectors come, change and go."""

    def test_a_connector_is_created_once(self, connect_api: ConnectApi) -> None:
        body = {"name": connect_api.connector, "config": connect_api.config}
        made = connect_api.ask("POST", "/connectors", body)
        assert (made.status, made.body["name"]) == (201, connect_api.connector)
        connect_api.await_states("RUNNING", ["RUNNING"])
        assert connect_api.ask("POST", "/connectors", body).refusal == (409, 409)

    def test_a_connector_is_created_and_changed_by_its_configuration(
        self, connect_api: ConnectApi
    ) -> None:
        assert connect_api.ask_to_create().status == 201
        connect_api.await_states("RUNNING", ["RUNNING"])
        changed = connect_api.config | {"batch.size": "7"}
        assert connect_api.put_config(changed).status == 200
        wanted = changed | {"name": connect_api.connector}
        eventually(
            lambda: connect_api.get(f"{connect_api.path}/config"), lambda found: found == wanted
        )
        connect_api.await_states("RUNNING", ["RUNNING"])

    def test_a_connector_is_described_with_its_tasks(self, connect_api: ConnectApi) -> None:
        connect_api.create()
        found = connect_api.get(connect_api.path)
        assert found["config"] == connect_api.config | {"name": connect_api.connector}
        assert found["tasks"] == [{"connector": connect_api.connector, "task": 0}]
        assert found["type"] == "sink"
        every = connect_api.get("/connectors?expand=status&expand=info")[connect_api.connector]
        assert every["info"] == found
        assert every["status"]["connector"]["state"] == "RUNNING"
        (task,) = connect_api.get(f"{connect_api.path}/tasks")
        assert task["config"]["topics"] == connect_api.config["topics"]

    def test_a_connector_that_is_created_stopped_waits(self, connect_api: ConnectApi) -> None:
        body = {
            "name": connect_api.connector,
            "config": connect_api.config,
            "initial_state": "STOPPED",
        }
        assert connect_api.ask("POST", "/connectors", body).status == 201
        connect_api.await_states("STOPPED", [])

    @pytest.mark.parametrize(
        "config", [{}, {"name": "another"}, {"tasks.max": "1"}], ids=["none", "another", "no-class"]
    )
    def test_a_configuration_that_is_none_is_refused(
        self, connect_api: ConnectApi, config: dict[str, str]
    ) -> None:
        body = {"name": connect_api.connector, "config": config}
        assert connect_api.ask("POST", "/connectors", body).refusal == (400, 400)
        assert connect_api.connector not in connect_api.get("/connectors")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", ""),
            ("GET", "/config"),
            ("GET", "/status"),
            ("GET", "/tasks"),
            ("GET", "/offsets"),
            ("PUT", "/pause"),
            ("PUT", "/resume"),
            ("PUT", "/stop"),
            ("POST", "/restart"),
            ("DELETE", ""),
        ],
    )
    def test_a_connector_that_is_not_there_is_404(
        self, connect_api: ConnectApi, method: str, path: str
    ) -> None:
        answer = connect_api.ask(method, f"{connect_api.path}{path}")
        assert answer.refusal == (404, 404)
        assert connect_api.connector in answer.body["message"]

    def test_a_path_that_is_not_there_is_404(self, connect_api: ConnectApi) -> None:
        assert connect_api.ask("GET", "/nothing").refusal == (404, 404)

    def test_a_deleted_connector_is_gone(self, connect_api: ConnectApi) -> None:
        connect_api.create()
        assert connect_api.ask("DELETE", connect_api.path).status == 204
        eventually(connect_api.states, lambda found: found == (None, []))
        assert connect_api.connector not in connect_api.get("/connectors")
        assert connect_api.ask("DELETE", connect_api.path).refusal == (404, 404)


class TasksContract:
    """What runs, is paused, stopped and started anew; and what it did to the records."""

    def test_records_become_documents(
        self, connect_api: ConnectApi, write: Write, documents: Documents
    ) -> None:
        connect_api.create()
        write("a", {"count": 1}, version=1)
        write("b", {"count": 1}, version=1)
        write("a", {"count": 2}, version=2)
        write("a", {"count": 1}, version=1)  # a replay
        write("b", None, version=2)
        eventually(documents, lambda found: found == {"a": {"count": 2}})

    def test_a_paused_connector_leaves_its_records_until_it_goes_on(
        self, connect_api: ConnectApi, write: Write, documents: Documents
    ) -> None:
        connect_api.create()
        write("before", {"count": 1})
        eventually(documents, lambda found: "before" in found)
        connect_api.order("pause")
        connect_api.await_states("PAUSED", ["PAUSED"])
        write("while", {"count": 2})
        assert documents() == {"before": {"count": 1}}
        connect_api.order("resume")
        eventually(documents, lambda found: "while" in found)
        connect_api.await_states("RUNNING", ["RUNNING"])

    def test_a_stopped_connector_has_no_tasks_until_it_goes_on(
        self, connect_api: ConnectApi
    ) -> None:
        connect_api.create()
        connect_api.order("stop")
        connect_api.await_states("STOPPED", [])
        assert connect_api.connector in connect_api.get("/connectors")
        connect_api.order("resume")
        connect_api.await_states("RUNNING", ["RUNNING"])

    def test_a_connector_and_its_tasks_are_started_anew(self, connect_api: ConnectApi) -> None:
        connect_api.create()
        whole = f"{connect_api.path}/restart?includeTasks=true&onlyFailed=false"
        assert connect_api.ask("POST", whole).status == 202
        connect_api.await_states("RUNNING", ["RUNNING"])
        assert connect_api.ask("POST", f"{connect_api.path}/restart").status in {200, 204}
        assert connect_api.ask("POST", f"{connect_api.path}/tasks/0/restart").status in {200, 204}
        connect_api.await_states("RUNNING", ["RUNNING"])

    def test_a_task_that_is_not_there_is_404(self, connect_api: ConnectApi) -> None:
        connect_api.create()
        task = f"{connect_api.path}/tasks/7"
        assert connect_api.ask("GET", f"{task}/status").refusal == (404, 404)
        assert connect_api.ask("POST", f"{task}/restart").refusal == (404, 404)

    def test_a_task_that_fails_says_why_and_goes_on_once_the_cause_is_gone(
        self, connect_api: ConnectApi, write: Write, documents: Documents
    ) -> None:
        connect_api.create(**{"errors.tolerance": "none"})
        write("poison", "no JSON {")
        connect_api.await_states("RUNNING", ["FAILED"])
        task = connect_api.get(f"{connect_api.path}/tasks/0/status")
        assert "Exception" in task["trace"]
        write("after", {"count": 1})
        connect_api.put_config(connect_api.config | {"errors.tolerance": "all"})
        whole = f"{connect_api.path}/restart?includeTasks=true&onlyFailed=true"
        # Connect says 409, "momentarily", until it has taken up the new configuration.
        asked = eventually(
            lambda: connect_api.ask("POST", whole), lambda answer: answer.status != 409
        )
        assert asked.status == 202
        eventually(documents, lambda found: [*found] == ["after"])
        connect_api.await_states("RUNNING", ["RUNNING"])


class OffsetsContract:
    """How far a sink has read is Connect's to keep, and ours to set."""

    @pytest.fixture
    def read(self, connect_api: ConnectApi, write: Write, documents: Documents) -> ConnectApi:
        """A connector that has read three records."""
        connect_api.create()
        for number in range(3):
            write(str(number), {"count": number})
        eventually(documents, lambda found: len(found) == 3)
        eventually(connect_api.offsets, lambda found: found == {0: 3})
        return connect_api

    def _set(self, api: ConnectApi, offset: int) -> int:
        partition = {"kafka_topic": api.config["topics"], "kafka_partition": 0}
        change = {"partition": partition, "offset": {"kafka_offset": offset}}
        return api.ask("PATCH", f"{api.path}/offsets", {"offsets": [change]}).status

    def test_the_offsets_of_a_connector_that_runs_cannot_be_changed(self, read: ConnectApi) -> None:
        assert self._set(read, 1) == 400
        assert read.ask("DELETE", f"{read.path}/offsets").refusal == (400, 400)
        assert read.offsets() == {0: 3}

    def test_a_stopped_connector_goes_on_from_the_offset_that_it_is_given(
        self, read: ConnectApi, documents: Documents, forget: Callable[[], None]
    ) -> None:
        read.order("stop")
        read.await_states("STOPPED", [])
        assert self._set(read, 1) == 200
        assert read.offsets() == {0: 1}
        forget()
        read.order("resume")
        eventually(documents, lambda found: sorted(found) == ["1", "2"])

    def test_a_stopped_connector_without_offsets_reads_everything_again(
        self, read: ConnectApi, documents: Documents, forget: Callable[[], None]
    ) -> None:
        read.order("stop")
        read.await_states("STOPPED", [])
        assert read.ask("DELETE", f"{read.path}/offsets").status == 200
        assert read.offsets() == {}
        forget()
        read.order("resume")
        eventually(documents, lambda found: sorted(found) == ["0", "1", "2"])

    def test_an_offset_of_another_topic_is_refused(self, read: ConnectApi) -> None:
        read.order("stop")
        read.await_states("STOPPED", [])
        nowhere = {"partition": {"nowhere": 1}, "offset": {"kafka_offset": 1}}
        answer = read.ask("PATCH", f"{read.path}/offsets", {"offsets": [nowhere]})
        assert answer.refusal == (400, 400)
        assert read.offsets() == {0: 3}
