"""What protects the servers of a secure testbed, without the servers."""

import base64
import json
import socket
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from reviewstream_testbed import Testbed, TestbedError
from reviewstream_testbed.providers import CONTAINERS
from reviewstream_testbed.security.credentials import Security
from reviewstream_testbed.security.oidc_server import AUDIENCE, NAME, OidcServer
from reviewstream_testbed.security.tls_proxy import TlsProxy
from tests.unit.adapters.canned import Canned, canned


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> Security:
    return Security.new(tmp_path_factory.mktemp("secure") / "security")


@pytest.fixture
def server() -> Iterator[Canned]:
    answers = {"POST /a": (201, {"b": 1}), "HEAD /a": (200, {}), "GET /a": (409, {"c": 2})}
    with canned({**answers}) as running:
        yield running


@pytest.fixture
def proxy(security: Security, server: Canned) -> Iterator[TlsProxy]:
    running = TlsProxy(lambda: int(server.url.rpartition(":")[2]), security)
    yield running
    running.close()


@pytest.fixture
def client(proxy: TlsProxy, security: Security) -> Iterator[httpx2.Client]:
    trusted = ssl.create_default_context(cafile=str(security.certificates))
    auth = (security.username, security.password)
    with httpx2.Client(
        base_url=f"https://127.0.0.1:{proxy.port}", verify=trusted, auth=auth
    ) as one:
        yield one


def test_everything_is_for_its_owner_alone_and_no_text_holds_a_password(
    security: Security,
) -> None:
    folder = security.certificates.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert security.password not in repr(security)
    assert security.api_key not in repr(security)


def test_requests_and_answers_pass_the_gate_as_they_are(
    client: httpx2.Client, server: Canned
) -> None:
    answer = client.post("/a", json={"x": [1]})
    assert (answer.status_code, answer.json()) == (201, {"b": 1})
    assert client.get("/a").status_code == 409
    head = client.head("/a")
    assert (head.status_code, head.content) == (200, b"")
    asked, headers, body = server.requests[0]
    assert (asked, json.loads(body)) == ("POST /a", {"x": [1]})
    assert "authorization" not in headers


def test_a_request_in_chunks_passes_the_gate(client: httpx2.Client, server: Canned) -> None:
    assert client.post("/a", content=iter([b"one", b"two"])).status_code == 201
    assert server.requests[0][2] == b"onetwo"


def test_an_api_key_opens_the_gate_too(
    client: httpx2.Client, security: Security, server: Canned
) -> None:
    client.auth = httpx2.Auth()
    headers = {"Authorization": f"ApiKey {security.api_key}"}
    assert client.post("/a", headers=headers).status_code == 201
    assert len(server.requests) == 1


@pytest.mark.parametrize("auth", [None, ("testbed", "wrong"), ("other", "testbed")])
def test_without_the_password_nothing_passes_the_gate(
    client: httpx2.Client, server: Canned, auth: tuple[str, str] | None
) -> None:
    client.auth = auth or httpx2.Auth()
    answer = client.post("/a", json={})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert server.requests == []


def test_who_does_not_speak_tls_gets_nothing(proxy: TlsProxy, server: Canned) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as client:
        client.sendall(b"GET /a HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in client.recv(100)
    assert server.requests == []


def test_a_proxy_without_a_server_says_so(client: httpx2.Client, proxy: TlsProxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    proxy._server.target = lambda: port
    assert client.get("/a").status_code == 502


def test_the_issuer_gives_tokens_to_who_knows_the_password(
    security: Security, tmp_path: Path
) -> None:
    issuer = OidcServer(security, tmp_path)
    try:
        claims = json.loads(_part(_token(issuer.url, security.password), 1))
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            _token(issuer.url, "wrong")
        refused.value.close()
    finally:
        issuer.close()
    assert (claims["sub"], claims["aud"], claims["iss"]) == (security.username, AUDIENCE, NAME)
    (key,) = json.loads(issuer.keys.read_text())["keys"]
    assert "d" not in key  # the private number


def _token(url: str, password: str) -> str:
    user = base64.b64encode(f"testbed:{password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - our own address
        url, b"grant_type=client_credentials", {"Authorization": f"Basic {user}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own address
        return str(json.load(answer)["access_token"])


def _part(token: str, number: int) -> bytes:
    part = token.split(".")[number]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_only_embedded_servers_can_be_made_secure() -> None:
    with pytest.raises(TestbedError, match="only embedded servers can be made secure"):
        Testbed(provider=CONTAINERS, secure=True)
