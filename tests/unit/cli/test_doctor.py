"""`reviewstream doctor`."""

import importlib.util
import json
import socket
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reviewstream import app
from reviewstream.cli import connections, doctor, main
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.ports import ChatModel
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import FatalError, RefusedError
from reviewstream.extras import install_command
from reviewstream.settings import OpenAISettings, Settings
from reviewstream.testing import FakeChatModel, judging
from tests.unit.adapters.redis.test_connection import answering, info


def without(monkeypatch: pytest.MonkeyPatch, *absent: str) -> None:
    def find(name: str) -> object:
        return None if name in absent else importlib.util.find_spec(name)

    monkeypatch.setattr(doctor, "find_spec", find)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "openai", "reviewstream_testbed")
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["good"] is False
    (found,) = [check for check in answer["checks"] if check["name"] == "extra [openai]"]
    assert found["detail"] == "openai not installed"
    assert found["fix"] == install_command("openai")
    assert f"fix: {install_command('openai')}" in result.stderr


def test_the_machine_is_looked_at_where_the_testbed_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "reviewstream_testbed")
    bare = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout.splitlines()[-1])
    monkeypatch.undo()
    full = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout.splitlines()[-1])
    seen = {check["name"] for check in full["checks"]} - {c["name"] for c in bare["checks"]}
    assert {"java", "memory", "disk", "servers"} <= seen


def checks(*arguments: str) -> tuple[dict[str, dict[str, object]], str]:
    result = CliRunner().invoke(main, ["doctor", "--json", *arguments])
    found = json.loads(result.stdout.splitlines()[-1])["checks"]
    return {check["name"]: check for check in found}, result.stderr


@pytest.mark.parametrize(
    ("secret", "url"),
    [
        ("openai.api_key", "openai.base_url"),
        ("registry.token", "registry.url"),
        ("registry.password", "registry.url"),
        ("connect.password", "connect.url"),
        ("elasticsearch.password", "elasticsearch.url"),
        ("elasticsearch.api_key", "elasticsearch.url"),
        ("kafka.oauth_client_secret", "kafka.oauth_token_url"),
    ],
)
def test_a_secret_that_others_could_hear_is_named_and_no_fault(secret: str, url: str) -> None:
    given = ["-s", f"{secret}=hidden", "-s", f"{url}=http://server:1?key=hidden"]
    found, said = checks(*given)
    assert found[secret]["good"] is found[secret]["warns"] is True
    assert f"beware  {secret}: sent to http://server:1, everyone on the way can read it" in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    "url",
    ["https://server:1", "http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1"],
)
def test_a_secret_that_nobody_else_can_hear_is_not_told_of(url: str) -> None:
    found, said = checks("-s", "registry.token=hidden", "-s", f"registry.url={url}")
    assert "registry.token" not in found
    assert "beware" not in said


KAFKA = ("kafka.security_protocol=SASL_PLAINTEXT", "kafka.sasl_password=hidden")


@pytest.mark.parametrize(
    ("name", "given", "where", "cure"),
    [
        (
            "kafka.sasl_password",
            (*KAFKA, "kafka.sasl_mechanism=PLAIN", "kafka.bootstrap_servers=127.0.0.1:1,far:9092"),
            "far:9092",
            "SASL_SSL",
        ),
        ("ledger.url", ("ledger.url=redis://:hidden@far:6379/0",), "far:6379", "rediss://"),
        (
            "openai.api_key_command",
            ("openai.api_key_command=hidden", "openai.base_url=http://far/v1"),
            "http://far/v1",
            "https://",
        ),
    ],
)
def test_a_secret_of_another_protocol_is_named_too(
    name: str, given: tuple[str, ...], where: str, cure: str
) -> None:
    _, said = checks(*(part for one in given for part in ("-s", one)))
    assert f"beware  {name}: sent to {where}, everyone on the way can read it: " in said
    assert f"{cure} keeps it secret" in said
    assert "hidden" not in said


@pytest.mark.parametrize(
    "given",
    [
        (*KAFKA, "kafka.sasl_mechanism=PLAIN", "kafka.bootstrap_servers=localhost:1"),
        (*KAFKA, "kafka.sasl_mechanism=SCRAM-SHA-256", "kafka.bootstrap_servers=far:1"),
        ("kafka.security_protocol=SASL_SSL", KAFKA[1], "kafka.bootstrap_servers=far:1"),
        ("ledger.url=rediss://:hidden@far:6379/0",),
        ("ledger.url=redis://far:6379/0",),
    ],
)
def test_a_secret_of_another_protocol_that_nobody_hears_is_not(given: tuple[str, ...]) -> None:
    assert "beware" not in checks(*(part for one in given for part in ("-s", one)))[1]


def test_without_a_secret_there_is_nothing_to_hear() -> None:
    assert "beware" not in checks("-s", "registry.url=http://server:1")[1]


def test_each_of_several_addresses_is_looked_at() -> None:
    urls = "http://127.0.0.1:1,http://server:1"
    _, said = checks("-s", "registry.token=hidden", "-s", f"registry.url={urls}")
    assert "registry.token: sent to http://server:1" in said


def test_settings_that_cannot_be_used_are_a_finding() -> None:
    found, said = checks("-s", "registry.url=nonsense")
    assert found["settings"]["good"] is False
    assert "missing settings: registry.url" in said


# --- doctor --model ---

LOCAL = ["-s", "openai.base_url=http://127.0.0.1:1/v1", "-s", "openai.model=gpt-5.6-luna"]
answered = judging(lambda _: Sentiment.POSITIVE)


class Endpoint:
    """What is asked in place of a real endpoint."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.behaviour: Callable[[ChatRequest], ChatAnswer | Exception] = answered
        self.model = FakeChatModel(self._answer)
        self.settings: OpenAISettings | None = None
        monkeypatch.setattr(app, "open_model", self._open)

    def _answer(self, request: ChatRequest) -> ChatAnswer | Exception:
        return self.behaviour(request)

    @asynccontextmanager
    async def _open(self, settings: OpenAISettings) -> AsyncIterator[ChatModel]:
        self.settings = settings
        yield self.model


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Endpoint:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Endpoint(monkeypatch)


def doctor_model(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--model", *LOCAL, *arguments])


def test_without_the_option_no_endpoint_is_asked(endpoint: Endpoint) -> None:
    CliRunner().invoke(main, ["doctor", *LOCAL])
    assert endpoint.settings is None


def test_the_cost_is_said_before_anything_is_asked(endpoint: Endpoint) -> None:
    seen: list[str] = []

    def stop(_: ChatRequest) -> Exception:
        seen.append(sys.stderr.buffer.getvalue().decode())  # type: ignore[union-attr]
        return FatalError("http://127.0.0.1:1/v1 refuses the API key (HTTP 401: no)")

    endpoint.behaviour = stop
    price = ["-s", "openai.input_usd_per_million=1", "-s", "openai.output_usd_per_million=1"]
    result = doctor_model(*price)
    (said,) = seen
    assert said.startswith("Asking http://127.0.0.1:1/v1 some 8 small questions, 12 at most")
    assert "US dollars" in said
    assert result.stderr.startswith(f"{said}http://127.0.0.1:1/v1 was asked (0.")


def test_a_price_that_is_not_known_is_said_so(endpoint: Endpoint) -> None:
    result = doctor_model("-s", "openai.model=of-my-own")
    assert "(price unknown)" in result.stderr
    assert "beware  price: no price of of-my-own is known" in result.stderr
    assert endpoint.settings is not None
    assert endpoint.settings.input_usd_per_million is None


@pytest.mark.usefixtures("endpoint")
def test_a_price_of_a_tier_that_is_not_known_is_said_so() -> None:
    result = doctor_model("-s", "openai.service_tier=priority")
    assert "beware  price: the price of the service tier priority is unknown" in result.stderr


@pytest.mark.usefixtures("endpoint")
def test_prices_that_are_set_are_said_to_be() -> None:
    free = ["-s", "openai.input_usd_per_million=0", "-s", "openai.output_usd_per_million=0"]
    assert "a million tokens of questions, 0 of answers, as set" in doctor_model(*free).stderr


def test_standard_output_is_a_settings_file(endpoint: Endpoint) -> None:
    result = doctor_model()
    assert result.exit_code == 0
    table = tomllib.loads(result.stdout)
    assert table["openai"]["model"] == "gpt-5.6-luna"
    assert Settings(**table).openai.response_format == "json_schema"
    assert "Requests made: " in result.stderr
    assert {one.options.response_format for one in endpoint.model.requests} == {"json_schema"}


def test_the_same_is_told_as_json(endpoint: Endpoint) -> None:
    body = json.loads(doctor_model("--json").stdout)
    assert body["good"] is True
    assert body["requests"] == len(endpoint.model.requests)
    assert body["settings"]["base_url"] == "http://127.0.0.1:1/v1"
    assert {"name": "reachable", "state": "ok", "detail": "http://127.0.0.1:1/v1", "fix": ""} in (
        body["checks"]
    )
    assert body["announced"].startswith("Asking http://127.0.0.1:1/v1")
    assert body["tokens"] > 0
    assert body["cost_usd"] > 0


def test_an_endpoint_that_labels_nothing_is_a_finding_without_settings(endpoint: Endpoint) -> None:
    endpoint.behaviour = lambda _: RefusedError("HTTP 400: no \x1b[31mway", field="model")
    result = doctor_model()
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "failed  model: HTTP 400: no [31mway" in result.stderr
    assert "fix: set openai.model to a model that the endpoint serves" in result.stderr


def test_settings_that_cannot_be_used_have_an_exit_code_of_their_own(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor_model("-s", "registry.url=nonsense").exit_code == 2
    assert doctor_model("-s", "openai.dialect=nonsense").exit_code == 2
    assert endpoint.settings is None
    monkeypatch.undo()
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    given = ["doctor", "--model", "-s", "openai.base_url=https://api.openai.com/v1"]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 2
    assert "there is no API key" in result.stderr


@pytest.mark.parametrize(
    ("policy", "good", "fix"),
    [
        ("allkeys-lru", False, "redis-cli CONFIG SET maxmemory-policy noeviction"),
        ("noeviction", True, ""),
    ],
)
def test_a_redis_that_may_drop_labels_is_refused(
    monkeypatch: pytest.MonkeyPatch, policy: str, *, good: bool, fix: str
) -> None:
    with answering(info(policy)) as url:
        monkeypatch.setenv("REVIEWSTREAM_LEDGER__URL", url)
        found, _ = checks()
    assert (found["ledger.url"]["good"], found["ledger.url"]["fix"]) == (good, fix)


def test_a_redis_that_is_away_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWSTREAM_LEDGER__URL", "redis://127.0.0.1:1")
    found, _ = checks()
    assert found["ledger.url"]["good"] is False
    assert "is away" in str(found["ledger.url"]["detail"])


def test_a_server_is_tried_and_its_failure_is_told_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found, _ = checks("-s", f"registry.url=http://127.0.0.1:{port}")
    assert (found["registry.url"]["good"], found["registry.url"]["state"]) == (True, "ok")
    assert found["registry.url"]["detail"] == f"127.0.0.1:{port} takes connections"
    found, said = checks("-s", f"registry.url=http://127.0.0.1:{port}")
    assert found["registry.url"]["good"] is False
    cause = f"registry.url: no connection to 127.0.0.1:{port}: Connection refused"
    assert f"missing {cause}\n          fix: start the server, or correct registry.url" in said


def test_a_server_that_is_not_set_need_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "TIMEOUT", 0.0)  # nothing connects, whatever runs here
    found, said = checks()
    for name in ("source.port", "kafka.bootstrap_servers", "connect.url", "elasticsearch.url"):
        assert (found[name]["good"], found[name]["state"]) == (True, "away")
        assert f"away    {name}: no connection to " in said


def test_a_source_whose_host_is_set_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "TIMEOUT", 0.0)  # nothing connects, whatever runs here
    found, _ = checks("-s", "source.host=127.0.0.1")
    assert (found["source.port"]["good"], found["source.port"]["state"]) == (False, "missing")


@pytest.mark.parametrize(("no_proxy", "is_tried"), [("127.0.0.1", True), ("", False)])
def test_a_server_is_tried_unless_a_proxy_stands_before_it(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, *, is_tried: bool
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", no_proxy)
    found, _ = checks("-s", "connect.url=http://127.0.0.1:1")
    assert ("connect.url" in found) is is_tried
