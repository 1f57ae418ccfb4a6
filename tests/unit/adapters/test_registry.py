"""What the registries answer, and what we say of it."""

import pytest
from pydantic import SecretStr

from reviewstream.adapters.registry import ConfluentRegistry
from reviewstream.errors import (
    ConfigError,
    FatalError,
    IncompatibleSchemaError,
    PermanentError,
    ReviewStreamError,
    TransientError,
)
from reviewstream.settings import RegistrySettings
from tests.contract.schema_registry import A, record
from tests.unit.adapters.canned import Canned, canned

AWAY = "http://127.0.0.1:1"


def registry_of(server: Canned) -> ConfluentRegistry:
    return ConfluentRegistry(RegistrySettings(url=server.url))


@pytest.mark.parametrize("code", [409, 40901])
def test_a_refused_schema_is_known_by_its_status_and_explained(code: int) -> None:
    answers = {
        "POST /subjects/s/versions": (409, {"error_code": code, "message": "incompatible"}),
        "GET /subjects/s/versions": (200, [1]),
        "GET /subjects/s/versions/1": (
            200,
            {"subject": "s", "id": 1, "version": 1, "schema": record(A)},
        ),
        "GET /config/s": (200, {"compatibilityLevel": "FULL_TRANSITIVE"}),
    }
    with canned({**answers}) as server, pytest.raises(IncompatibleSchemaError) as refused:
        registry_of(server).register("s", record({"name": "a", "type": "int"}))
    assert "subject s " in str(refused.value)
    assert "FULL_TRANSITIVE" in str(refused.value)
    assert "v1 read by the new one: $.a: string cannot be read as int" in str(refused.value)


def test_a_long_explanation_is_cut() -> None:
    many = record(*({"name": f"f{n}", "type": "int"} for n in range(9)))
    answers = {
        "POST /subjects/s/versions": (409, {"error_code": 409, "message": "incompatible"}),
        "GET /subjects/s/versions": (200, [1]),
        "GET /subjects/s/versions/1": (
            200,
            {"subject": "s", "id": 1, "version": 1, "schema": record()},
        ),
        "GET /config/s": (200, {"compatibilityLevel": "FULL"}),
    }
    with canned({**answers}) as server, pytest.raises(IncompatibleSchemaError, match="and 6 more"):
        registry_of(server).register("s", many)


def test_a_refusal_that_we_cannot_explain_is_still_named() -> None:
    answers = {
        "POST /subjects/s/versions": (409, {"error_code": 409, "message": "incompatible"}),
        "GET /config/s": (200, {"compatibilityLevel": "FULL"}),
    }
    with canned({**answers}) as server:
        with pytest.raises(IncompatibleSchemaError, match="it does not say why"):
            registry_of(server).register("s", record(A))


def test_without_a_level_of_its_own_a_subject_has_the_global_one() -> None:
    with canned({"GET /config": (200, {"compatibilityLevel": "BACKWARD"})}) as server:
        assert registry_of(server).compatibility("s") == "BACKWARD"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, FatalError),
        (403, FatalError),
        (422, PermanentError),
        (429, TransientError),
        (500, TransientError),
        (503, TransientError),
    ],
)
def test_each_status_says_whether_to_try_again(status: int, kind: type[ReviewStreamError]) -> None:
    body = {"error_code": status, "message": "because"}
    paths = ("POST /subjects/s/versions", "POST /subjects/s", "GET /subjects/s/versions")
    with canned({**dict.fromkeys((*paths, "GET /config/s"), (status, body))}) as server:
        registry = registry_of(server)
        for ask in (
            lambda: registry.register("s", record()),
            lambda: registry.find("s", record()),
            lambda: registry.versions("s"),
            lambda: registry.compatibility("s"),
        ):
            with pytest.raises(kind, match="because") as raised:
                ask()
            assert type(raised.value) is kind


def test_a_registry_that_is_away_is_one_sentence() -> None:
    registry = ConfluentRegistry(RegistrySettings(url=AWAY))
    for ask in (registry.subjects, lambda: registry.register("s", record())):
        with pytest.raises(TransientError, match=rf"{AWAY} cannot be reached: .*registry\.url"):
            ask()


@pytest.mark.parametrize("url", ["ftp://r", "localhost:8081"])
def test_an_address_that_is_none_is_a_setting_to_correct(url: str) -> None:
    with pytest.raises(ConfigError, match="under registry"):
        ConfluentRegistry(RegistrySettings().model_copy(update={"url": url}))


def test_a_host_that_has_no_name_is_a_setting_to_correct() -> None:
    unchecked = RegistrySettings().model_copy(update={"url": "http://xn--\u00df.example"})
    registry = ConfluentRegistry(unchecked)
    for ask in (registry.subjects, lambda: registry.register("s", record())):
        with pytest.raises(ConfigError, match="under registry"):
            ask()


def test_an_authority_file_that_is_not_there_is_a_setting_to_correct() -> None:
    settings = RegistrySettings(url="https://r", ca_location="/no/such/file")
    with pytest.raises(ConfigError, match="under registry"):
        ConfluentRegistry(settings)


def test_an_answer_that_is_not_json_is_not_a_registry() -> None:
    with canned({"GET /subjects": (200, "<html>")}) as server:
        with pytest.raises(ConfigError, match="list the subjects"):
            registry_of(server).subjects()


def test_credentials_are_sent_and_never_shown() -> None:
    with canned({"GET /subjects": (401, {"message": "no"})}) as server:
        settings = RegistrySettings(url=server.url, username="u", password=SecretStr("hush"))
        with ConfluentRegistry(settings) as registry, pytest.raises(FatalError) as refused:
            registry.subjects()
        ((_, headers, _),) = server.requests
    assert headers["authorization"].startswith("Basic ")
    assert "hush" not in str(refused.value)


def test_a_token_is_sent_instead_of_user_and_password() -> None:
    secret = SecretStr("hidden")
    settings = {"username": "me", "password": secret, "token": secret, "logical_cluster": "lsrc-1"}
    with canned({"GET /subjects": (200, [])}) as server:
        registry = ConfluentRegistry(
            RegistrySettings.model_validate({"url": server.url, **settings})
        )
        assert registry.subjects() == []
        headers = server.requests[-1][1]
    assert headers["authorization"] == "Bearer hidden"
    assert headers["target-sr-cluster"] == "lsrc-1"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("ALL_PROXY", "foo://x"),
        ("ALL_PROXY", "::::"),
        ("SSL_CERT_FILE", "/no/such/file"),
    ],
)
def test_a_variable_that_cannot_be_used_is_among_those_to_look_at(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=rf"cannot be made: .*under registry, .*{variable}"):
        ConfluentRegistry(RegistrySettings())
