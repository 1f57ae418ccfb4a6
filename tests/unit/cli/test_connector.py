"""`reviewstream connector`."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from reviewstream import app
from reviewstream.cli import main
from reviewstream.testing import MemoryConnect

NAME = "reviews-elasticsearch"
RESUME = "indexes nothing: run `reviewstream connector resume`"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> MemoryConnect:
    connect = MemoryConnect()
    connect.apply(NAME, {"connector.class": MemoryConnect.CLASS})
    monkeypatch.setattr(app, "open_connect", lambda _settings: connect)
    return connect


def run(*arguments: str) -> Result:
    given = ("connector", *arguments, "-s", f"connect.connector_class={MemoryConnect.CLASS}")
    return CliRunner().invoke(main, [*given])


@pytest.mark.parametrize("verb", ["status", "apply", "restart"])
@pytest.mark.parametrize(
    ("rest", "state"), [(MemoryConnect.pause, "PAUSED"), (MemoryConnect.stop, "STOPPED")]
)
def test_a_connector_that_rests_is_told_of_with_the_command_that_ends_it(
    connect: MemoryConnect, verb: str, rest: Callable[[MemoryConnect, str], None], state: str
) -> None:
    assert RESUME not in run(verb).output
    rest(connect, NAME)
    told = run(verb)
    assert told.exit_code == 0
    assert f"{NAME}: it is {state} and {RESUME}" in told.stderr
    assert run("resume").exit_code == 0
    assert RESUME not in run(verb).output


def test_advice_is_no_part_of_the_json(connect: MemoryConnect) -> None:
    connect.stop(NAME)
    told = run("status", "--json")
    assert json.loads(told.stdout) == {
        "name": NAME,
        "state": "STOPPED",
        "tasks": [],
        "trace": None,
    }
    assert RESUME in told.stderr


def test_the_status_of_a_connector_that_does_not_exist_is_a_finding(
    connect: MemoryConnect,
) -> None:
    connect.delete(NAME)
    told = run("status", "--json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)["state"] == "ABSENT"
    assert f"there is no connector {NAME}: run `reviewstream connector apply`" in told.stderr
    assert run("pause").exit_code == 2


@pytest.mark.parametrize("verb", ["status", "apply"])
def test_a_failed_task_of_a_running_connector_is_a_finding(
    connect: MemoryConnect, verb: str
) -> None:
    connect.fail_task(NAME, "org.apache.kafka.connect.errors.ConnectException: away")
    told = run(verb)
    assert told.exit_code == 1
    assert "RUNNING; tasks: FAILED" in told.stderr
    assert "ConnectException: away" in told.stderr
    assert run("restart").exit_code == 0
    assert run(verb).exit_code == 0
