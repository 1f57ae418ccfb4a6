"""The verbs that talk to registry, Connect and Elasticsearch: what they say, how they end."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from reviewstream.cli import main
from reviewstream.core.schemas.schema_files import schema_text
from tests.unit.adapters.canned import Answer, Canned, canned

NAME = "reviews-elasticsearch"
STATUS = f"GET /connectors/{NAME}/status"
VALIDATE = (
    "PUT /connector-plugins/io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"
    "/config/validate"
)
RUNNING: Answer = (
    200,
    {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "RUNNING"}]},
)
FAILED: Answer = (
    200,
    {
        "connector": {"state": "RUNNING"},
        "tasks": [{"id": 0, "state": "FAILED", "trace": "Boom [bold]"}],
    },
)


def run(server: Canned, *arguments: str) -> Any:
    urls = [f"{section}.url={server.url}" for section in ("registry", "connect", "elasticsearch")]
    options = [option for url in urls for option in ("-s", url)]
    return CliRunner().invoke(main, [*arguments, *options])


def subject(name: str, text: str) -> dict[str, Answer | list[Answer]]:
    known = {"subject": f"{name}-value", "id": 7, "version": 1, "schema": text}
    return {
        f"GET /config/{name}-value": (200, {"compatibilityLevel": "FULL_TRANSITIVE"}),
        f"GET /subjects/{name}-value/versions": (200, [1]),
        f"GET /subjects/{name}-value/versions/1": (200, known),
        f"POST /subjects/{name}-value": (200, known),
        f"POST /subjects/{name}-value/versions": (200, {"id": 7}),
    }


REGISTERED = {
    **subject("reviews.labelled", schema_text("labelled_review")),
    **subject("reviews.rejected", schema_text("rejected_review")),
}
HOSTILE = "\x1b]0;PWNED\x07\x9b31m"
OTHER = schema_text("labelled_review").replace(
    '"name": "stars", "type": "double"', '"name": "stars", "type": "int"'
)


def test_a_running_connector_is_no_finding() -> None:
    with canned({STATUS: RUNNING}) as server:
        result = run(server, "connector", "status")
    assert (result.exit_code, result.output.strip()) == (0, f"{NAME}: RUNNING; tasks: RUNNING")


def test_a_failed_task_is_a_finding_with_its_trace() -> None:
    with canned({STATUS: FAILED}) as server:
        result = run(server, "connector", "status")
        as_json = run(server, "connector", "status", "--json")
    assert result.exit_code == as_json.exit_code == 1
    assert "Boom [bold]" in result.output
    assert json.loads(as_json.stdout)["tasks"] == ["FAILED"]


def test_a_trace_never_controls_the_terminal_and_keeps_its_lines() -> None:
    task = {"id": 0, "state": "FAILED\x9b31m", "trace": f"Boom {HOSTILE}\n\tat a.B\n"}
    found = {"connector": {"state": "RUNNING\x9b31m"}, "tasks": [task]}
    with canned({STATUS: (200, found)}) as server:
        result = run(server, "connector", "status")
    assert result.output.splitlines() == [
        f"{NAME}: RUNNING 31m; tasks: FAILED 31m",
        "Boom  ]0;PWNED  31m",
        "    at a.B",
    ]


@pytest.mark.parametrize(
    ("verb", "code"), [("status", 1), ("pause", 2), ("resume", 2), ("restart", 2)]
)
def test_a_connector_that_is_not_there_is_one_sentence(verb: str, code: int) -> None:
    with canned({}) as server:
        result = run(server, "connector", verb)
    assert result.exit_code == code
    assert "run `reviewstream connector apply`" in result.output


@pytest.mark.parametrize(
    ("verb", "asked"), [("pause", "PUT"), ("resume", "PUT"), ("restart", "POST")]
)
def test_a_connector_does_as_it_is_asked(verb: str, asked: str) -> None:
    request = f"{asked} /connectors/{NAME}/{verb}"
    with canned({STATUS: RUNNING, request: (202, "")}) as server:
        result = run(server, "connector", verb)
        as_json = run(server, "connector", verb, "--json")
        assert request in [each for each, _, _ in server.requests]
    assert result.exit_code == 0
    assert json.loads(as_json.stdout) == {"name": NAME, "asked": verb}


def test_a_connector_is_applied_and_then_shown() -> None:
    put = f"PUT /connectors/{NAME}/config"
    answers = {VALIDATE: (200, {"configs": []}), put: (201, {"tasks": []}), STATUS: RUNNING}
    with canned({**answers}) as server:
        result = run(server, "connector", "apply")
    assert (result.exit_code, result.output.strip()) == (0, f"{NAME}: RUNNING; tasks: RUNNING")


def test_a_wrong_setting_is_a_finding() -> None:
    wrong = {"configs": [{"value": {"name": "topics", "errors": ["is odd"]}}]}
    with canned({VALIDATE: (200, wrong)}) as server:
        result = run(server, "connector", "validate")
    assert (result.exit_code, result.output) == (1, "topics: is odd\n")


def test_a_problem_never_controls_the_terminal() -> None:
    wrong = {"configs": [{"value": {"name": "topics", "errors": [f"is {HOSTILE}"]}}]}
    with canned({VALIDATE: (200, wrong)}) as server:
        result = run(server, "connector", "validate")
    assert result.output == "topics: is ]0;PWNED 31m\n"


def test_a_valid_configuration_is_shown_without_its_secrets() -> None:
    secret = ["-s", "elasticsearch.username=u", "-s", "elasticsearch.password=hush"]
    with canned({VALIDATE: (200, {"configs": []})}) as server:
        result = run(server, "connector", "validate", "--json", *secret)
        assert run(server, "connector", "validate").output.strip() == "The configuration is valid."
    assert result.exit_code == 0
    assert json.loads(result.stdout)["problems"] == {}
    assert "hush" not in result.output


def test_schemas_that_fit_are_no_finding() -> None:
    with canned({**REGISTERED}) as server:
        result = run(server, "schemas", "check")
        as_json = run(server, "schemas", "check", "--json")
    assert (result.exit_code, result.output.strip()) == (0, "Every schema fits.")
    assert json.loads(as_json.stdout) == []


def test_a_schema_that_does_not_fit_is_a_finding() -> None:
    with canned({**REGISTERED, **subject("reviews.labelled", OTHER)}) as server:
        result = run(server, "schemas", "check")
    assert result.exit_code == 1
    assert "reviews.labelled-value: does not fit version 1: $.stars: " in result.output


def test_a_schema_that_does_not_fit_is_not_registered() -> None:
    with canned({**REGISTERED, **subject("reviews.labelled", OTHER)}) as server:
        result = run(server, "schemas", "register")
        posted = [asked for asked, _, _ in server.requests if asked.endswith("/versions")]
    assert result.exit_code == 2
    assert "subject reviews.labelled-value" in result.output
    assert not [asked for asked in posted if asked.startswith("POST")]


def test_a_registry_never_controls_the_terminal() -> None:
    level = {"GET /config/reviews.labelled-value": (200, {"compatibilityLevel": HOSTILE})}
    with canned({**REGISTERED, **level}) as server:
        result = run(server, "schemas", "check")
    assert "its level is ]0;PWNED 31m, not FULL_TRANSITIVE" in result.output


@pytest.mark.parametrize("verb", ["register", "show"])
def test_subjects_are_shown_with_version_and_id(verb: str) -> None:
    with canned({**REGISTERED}) as server:
        result = run(server, "schemas", verb)
        as_json = run(server, "schemas", verb, "--json")
    assert result.exit_code == 0
    assert "reviews.rejected-value" in result.output
    assert json.loads(as_json.stdout)[0] == {
        "subject": "reviews.labelled-value",
        "version": 1,
        "id": 7,
    }


def test_the_index_is_made_ready() -> None:
    answers = {
        "PUT /_index_template/reviews": (200, {"acknowledged": True}),
        "HEAD /_alias/reviews": (200, ""),
        "GET /reviews/_mapping": (200, {"reviews-v1": {"mappings": {}}}),
        "PUT /reviews-v1/_mapping": (200, {"acknowledged": True}),
        "POST /reviews/_count": (200, {"count": 3}),
    }
    with canned({**answers}, {"x-elastic-product": "Elasticsearch"}) as server:
        result = run(server, "index", "setup")
        as_json = run(server, "index", "setup", "--json")
    assert (result.exit_code, result.output.strip()) == (0, "reviews is ready.")
    assert json.loads(as_json.stdout) == {"alias": "reviews", "documents": 3}


@pytest.mark.parametrize("verb", ["status", "validate", "apply", "pause", "resume", "restart"])
def test_a_page_that_is_not_found_is_not_of_connect(verb: str) -> None:
    page: Answer = (404, "<html><body><h1>Not Found</h1></body></html>")
    with canned({STATUS: page, VALIDATE: page}) as server:
        result = run(server, "connector", verb)
    assert result.exit_code == 2
    assert "does connect.url lead to a proxy, a login page or another server?" in result.output
    assert "<" not in result.output
