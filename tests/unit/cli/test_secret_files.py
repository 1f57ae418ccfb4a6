"""Secrets that are in files, as container engines and secret stores hand them over."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from reviewstream import ConfigError
from reviewstream.cli.context import load_settings
from reviewstream.settings import RegistrySettings, Settings

SECRETS = {
    "REVIEWSTREAM_SOURCE__TOKEN",
    "REVIEWSTREAM_OPENAI__API_KEY",
    "OPENAI_API_KEY",
    "REVIEWSTREAM_LEDGER__URL",
    "REVIEWSTREAM_LEDGER_URL",
    "REVIEWSTREAM_KAFKA__SASL_PASSWORD",
    "REVIEWSTREAM_KAFKA__OAUTH_CLIENT_SECRET",
    "REVIEWSTREAM_REGISTRY__PASSWORD",
    "REVIEWSTREAM_REGISTRY__TOKEN",
    "REVIEWSTREAM_CONNECT__PASSWORD",
    "REVIEWSTREAM_ELASTICSEARCH__PASSWORD",
    "REVIEWSTREAM_ELASTICSEARCH__API_KEY",
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (file := tmp_path / "secret").write_text("from a file\n")
    return file


def secrets_of(settings: Settings) -> list[str]:
    sections: list[dict[str, Any]] = [
        dict(each) for _, each in settings if isinstance(each, BaseModel)
    ]
    found = [value for section in sections for value in section.values()]
    return [value.get_secret_value() for value in found if isinstance(value, SecretStr)]


@pytest.mark.parametrize("variable", sorted(SECRETS))
def test_every_secret_may_be_in_a_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv(f"{variable}_FILE", str(file))
    assert secrets_of(load_settings(None, None)) == ["from a file"]


def test_an_env_file_may_name_one_too(file: Path) -> None:
    (env_file := file.with_name("env")).write_text(f"REVIEWSTREAM_SOURCE__TOKEN_FILE={file}\n")
    assert secrets_of(load_settings(None, env_file))[-1:] == ["from a file"]


def test_the_secret_itself_beats_its_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWSTREAM_SOURCE__TOKEN_FILE", str(file))
    monkeypatch.setenv("REVIEWSTREAM_SOURCE__TOKEN", "itself")
    token = load_settings(None, None).source.token
    assert token is not None
    assert token.get_secret_value() == "itself"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "No such file"), (b"\n", "is empty"), (b"\xff", "is not text in UTF-8")],
)
def test_a_file_without_a_secret_is_named_with_its_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, complaint: str
) -> None:
    file.unlink() if content is None else file.write_bytes(content)
    monkeypatch.setenv("REVIEWSTREAM_SOURCE__TOKEN_FILE", str(file))
    with pytest.raises(ConfigError, match=complaint) as caught:
        load_settings(None, None)
    assert str(caught.value).startswith(f"REVIEWSTREAM_SOURCE__TOKEN_FILE: {file}: ")


def test_other_names_that_end_alike_are_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVIEWSTREAM_LEDGER__FILE", "labels.sqlite3")
    monkeypatch.setenv("REVIEWSTREAM_KAFKA__SASL_USERNAME_FILE", str(file))
    with pytest.raises(ConfigError, match=r"no setting kafka.sasl_username_file"):
        load_settings(None, None)
    monkeypatch.delenv("REVIEWSTREAM_KAFKA__SASL_USERNAME_FILE")
    assert load_settings(None, None).ledger.file == "labels.sqlite3"


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("registry.url", "set username, password, token instead"),
        ("connect.url", "set username, password instead"),
        ("elasticsearch.url", "set username, password, api_key instead"),
        ("openai.base_url", "set api_key instead"),
        ("kafka.oauth_token_url", "set oauth_client_id, oauth_client_secret instead"),
    ],
)
@pytest.mark.parametrize(
    "url",
    [
        "https://me:hidden@example.com",
        "http://a:8081,http://me:hidden@b:8081",
        "me:hidden@example.com:8081",
        "http://me:hid#hidden@example.com",
        "http://me:hid/hidden@example.com",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_shown(name: str, instead: str, url: str) -> None:
    with pytest.raises(ConfigError, match="leave user and password out of the URL") as caught:
        load_settings(None, None, [f"{name}={url}"])
    assert "hidden" not in str(caught.value)
    assert instead in str(caught.value)


def test_whoever_makes_settings_in_a_program_is_not_shown_the_password_either() -> None:
    with pytest.raises(ValueError, match="leave user and password out") as caught:
        RegistrySettings(url="http://me:hidden@example.com")
    assert "hidden" not in str(caught.value)
    with pytest.raises(ValueError, match="leave user and password out") as caught:
        Settings.model_validate({"connect": {"url": "http://me:hidden@example.com"}})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "http://h:port",
        "http://h:99999",
        "http://[::1",
        "http://xn--ß",
        "http://h/\x1bc",
    ],
)
@pytest.mark.parametrize("name", ["registry.url", "connect.url", "openai.base_url"])
def test_a_url_that_cannot_be_read_is_refused(name: str, url: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} .*is not a URL") as caught:
        load_settings(None, None, [f"{name}={url}"])
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://a:8081,https://b_c:8082",
        "http://[::1]:8081/v7",
        "http://[fe80::1%25eth0]:8081",
        "http://node.01:8081",
        "http://a/b?c=d,e",
        "http://a",
    ],
)
def test_a_url_without_a_password_is_taken_as_it_is(url: str) -> None:
    assert load_settings(None, None, [f"registry.url={url}"]).registry.url == url


def test_a_secret_among_settings_that_are_shown_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match=r"is a secret: set kafka\.sasl_password") as caught:
        load_settings(None, None, ["kafka.client.sasl.password=hidden"])
    assert "hidden" not in str(caught.value)
