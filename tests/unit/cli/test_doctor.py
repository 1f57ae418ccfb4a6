"""`reviewstream doctor`."""

import importlib.util
import json

import pytest
from click.testing import CliRunner

from reviewstream.cli import doctor, main


def without(monkeypatch: pytest.MonkeyPatch, *absent: str) -> None:
    def find(name: str) -> object:
        return None if name in absent else importlib.util.find_spec(name)

    monkeypatch.setattr(doctor, "find_spec", find)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "openai", "psutil")
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["good"] is False
    (found,) = [check for check in answer["checks"] if check["name"] == "extra [openai]"]
    assert found["detail"] == "openai not installed"
    assert found["fix"] == "pip install 'reviewstream[openai]'"
    assert "fix: pip install 'reviewstream[openai]'" in result.stderr


def test_the_machine_is_looked_at_where_the_testbed_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "psutil")
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
