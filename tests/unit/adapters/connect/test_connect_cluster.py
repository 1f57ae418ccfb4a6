"""What Kafka Connect answers, and what we say of it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from reviewstream.adapters.connect.connect_cluster import KafkaConnectCluster
from reviewstream.errors import (
    ConfigError,
    FatalError,
    PermanentError,
    ReviewStreamError,
    TransientError,
)
from reviewstream.settings import ConnectSettings
from tests.unit.adapters.canned import Answer, Canned, canned

CONFIG = {"connector.class": "C"}
VALID: Answer = (200, {"configs": []})
BUSY: Answer = (409, {"error_code": 409, "message": "rebalance in progress"})
VALIDATE, PUT, STATUS = (
    "PUT /connector-plugins/C/config/validate",
    "PUT /connectors/n/config",
    "GET /connectors/n/status",
)


def cluster_of(server: Canned, start_timeout: float = 10) -> KafkaConnectCluster:
    return KafkaConnectCluster(ConnectSettings(url=server.url), start_timeout=start_timeout)


def status(state: str, *tasks: str, trace: str | None = None) -> Answer:
    shown: list[dict[str, Any]] = [
        {"id": number, "state": task} | ({"trace": trace} if task == "FAILED" else {})
        for number, task in enumerate(tasks)
    ]
    return 200, {"name": "n", "connector": {"state": state}, "tasks": shown}


def test_a_connector_is_waited_for_until_its_tasks_run() -> None:
    stages = [
        (404, {"message": "unknown"}),
        status("UNASSIGNED"),
        status("RUNNING"),
        status("RUNNING", "UNASSIGNED"),
        status("RUNNING", "RUNNING"),
    ]
    with canned({VALIDATE: VALID, PUT: (201, {"tasks": []}), STATUS: stages}) as server:
        cluster_of(server).apply("n", CONFIG)
        assert len([asked for asked, _, _ in server.requests if asked == STATUS]) == 5


@pytest.mark.parametrize("state", ["PAUSED", "STOPPED"])
def test_a_connector_that_rests_is_not_waited_for(state: str) -> None:
    answers = {VALIDATE: VALID, PUT: (200, {"tasks": []}), STATUS: status(state)}
    with canned({**answers}) as server:
        cluster_of(server).apply("n", CONFIG)
        assert len([asked for asked, _, _ in server.requests if asked == STATUS]) == 1


TOO_OLD = "ElasticsearchStatusException[type=media_type_header_exception, reason=Invalid]"


def test_a_sink_of_another_version_than_elasticsearch_is_named_with_the_one_it_needs() -> None:
    answers = {
        VALIDATE: VALID,
        PUT: (201, {"tasks": []}),
        STATUS: status("RUNNING", "FAILED", trace=f"ConnectException: no\nCaused by: {TOO_OLD}"),
    }
    with canned({**answers}) as server:
        with pytest.raises(PermanentError, match=r"Confluent's needs version 16\.0 or newer"):
            cluster_of(server).apply("n", CONFIG)
    problem = {"value": {"name": "connection.url", "errors": [f"Could not connect: {TOO_OLD}"]}}
    with canned({VALIDATE: (200, {"configs": [problem]})}) as server:
        with pytest.raises(ConfigError, match=r"connection\.url: .*version 16\.0 or newer"):
            cluster_of(server).apply("n", CONFIG)


def test_a_task_that_fails_at_once_is_an_error_with_its_cause() -> None:
    trace = (
        "o.a.k.ConnectException: no\n\tat x\nCaused by: java.net.ConnectException: refused\n\tat y"
    )
    answers = {
        VALIDATE: VALID,
        PUT: (201, {"tasks": []}),
        STATUS: status("RUNNING", "FAILED", trace=trace),
    }
    with canned({**answers}) as server:
        with pytest.raises(
            PermanentError, match=r"n failed: java\.net\.ConnectException: refused$"
        ):
            cluster_of(server).apply("n", CONFIG)


def test_a_trace_without_a_cause_is_named_by_its_first_line() -> None:
    answers = {
        VALIDATE: VALID,
        PUT: (201, {"tasks": []}),
        STATUS: status("RUNNING", "FAILED", trace="Boom: it broke\n\tat x"),
    }
    with canned({**answers}) as server, pytest.raises(PermanentError, match=r"Boom: it broke$"):
        cluster_of(server).apply("n", CONFIG)


def test_a_connector_that_never_runs_is_a_transient_error_with_what_was_seen() -> None:
    answers = {VALIDATE: VALID, PUT: (201, {}), STATUS: status("UNASSIGNED")}
    with canned({**answers}) as server:
        with pytest.raises(TransientError, match=r"after 0\.1 s: UNASSIGNED, tasks \[\]"):
            cluster_of(server, 0.1).apply("n", CONFIG)


def test_a_rebalance_is_waited_for() -> None:
    with canned({"PUT /connectors/n/pause": [BUSY, BUSY, (202, "")]}) as server:
        cluster_of(server).pause("n")
        assert len(server.requests) == 3


def test_a_rebalance_without_end_is_a_transient_error() -> None:
    with canned({"PUT /connectors/n/resume": BUSY}) as server:
        with pytest.raises(TransientError, match="rebalance in progress"):
            cluster_of(server, 0.1).resume("n")


def test_every_wrong_setting_is_named() -> None:
    values = [
        {"value": {"name": "topics", "errors": ["Missing", "Empty"]}},
        {"value": {"name": "fine", "errors": []}},
    ]
    with canned({VALIDATE: (200, {"configs": values})}) as server:
        with pytest.raises(ConfigError, match="refuses connector n: topics: Missing Empty"):
            cluster_of(server).apply("n", CONFIG)


@pytest.mark.parametrize("code", [404, 500])
def test_a_class_that_is_not_installed_is_named(code: int) -> None:
    answer = (code, {"message": "Failed to find any class C"})
    with canned({VALIDATE: answer}) as server:
        problems = cluster_of(server).validate(CONFIG)
    assert problems == {
        "connector.class": "Failed to find any class C (is the connector's plugin installed?)"
    }


@pytest.mark.parametrize(
    ("code", "kind"),
    [(400, PermanentError), (401, FatalError), (403, FatalError), (500, TransientError)],
)
def test_each_status_says_whether_to_try_again(code: int, kind: type[ReviewStreamError]) -> None:
    with canned({STATUS: (code, "because")}) as server:
        with pytest.raises(kind, match="because") as raised:
            cluster_of(server).status("n")
    assert type(raised.value) is kind


def test_a_cluster_that_is_away_is_one_sentence() -> None:
    cluster = KafkaConnectCluster(ConnectSettings(url="http://127.0.0.1:1"))
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1 cannot be reached.*connect\.url"):
        cluster.status("n")


def test_a_name_is_only_ever_a_name() -> None:
    with canned({}) as server:
        cluster_of(server).delete("../a b?c")
        ((asked, _, _),) = server.requests
    assert asked == "DELETE /connectors/..%2Fa%20b%3Fc"


def test_credentials_are_sent_and_never_shown() -> None:
    with canned({STATUS: (401, {"message": "no"})}) as server:
        settings = ConnectSettings(url=server.url, username="u", password=SecretStr("hush"))
        with KafkaConnectCluster(settings) as cluster, pytest.raises(FatalError) as refused:
            cluster.status("n")
        ((_, headers, _),) = server.requests
    assert headers["authorization"].startswith("Basic ")
    assert "hush" not in str(refused.value)


def test_a_file_that_holds_no_authority_is_named(tmp_path: Path) -> None:
    (empty := tmp_path / "empty.pem").write_text("")
    for file, why in (
        (empty, " holds no certificate in PEM"),
        (tmp_path / "none", ": No such file"),
    ):
        with pytest.raises(ConfigError, match=f"connect.ca_location: {file}{why}"):
            KafkaConnectCluster(ConnectSettings(url="https://127.0.0.1:1", ca_location=str(file)))


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "foo://x", "::::"])
def test_a_proxy_that_cannot_be_used_is_told_with_the_variables_to_look_at(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match=r"connect\.url cannot be made: .*look at ALL_PROXY"):
        KafkaConnectCluster(ConnectSettings())
