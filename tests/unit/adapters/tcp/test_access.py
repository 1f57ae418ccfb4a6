"""TLS, tokens and limits of the review server: who gets in, and what the others are told."""

import asyncio
import hmac
import logging
import pickle
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from reviewstream.adapters.tcp import log_server as tcp_server
from reviewstream.adapters.tcp.access import (
    MAX_TOKEN,
    ClientAuth,
    ServerAuth,
    client_key,
    server_context,
)
from reviewstream.adapters.tcp.channels import TlsChannel
from reviewstream.adapters.tcp.client import ReviewClient
from reviewstream.adapters.tcp.log_server import (
    TOLD,
    ServeOptions,
    ServerAddress,
    serving,
)
from reviewstream.adapters.tcp.sessions import ClientSession
from reviewstream.adapters.tls import ssl_context
from reviewstream.core.transport.protocol import (
    Error,
    ErrorCode,
    HelloRequest,
    LatestRequest,
    TailRequest,
)
from reviewstream.errors import ConfigError, FatalError, ReviewStreamError, TransientError
from reviewstream_testbed.security.certificates import Authority, Certificate
from tests.unit.adapters.tcp.test_log_server import replies

TOKEN = SecretStr("0123456789abcdef-token")
CONTENT = b"".join(b'{"review_id": "%d"}\n' % n for n in range(50_000))
SECRETS = ("token", "reviews.json", "review_id", str(len(CONTENT)))  # nobody unknown learns these


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "reviews.json"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.issue("server")


@pytest.fixture(scope="module")
def auth(certificate: Certificate) -> ServerAuth:
    return ServerAuth(tls_cert=certificate.chain, tls_key=certificate.key, token=TOKEN)


@pytest.fixture(scope="module")
def secure(path: Path, auth: ServerAuth) -> Iterator[ServerAddress]:
    with serving(path, ServeOptions(auth=auth)) as address:
        yield address


@pytest.fixture(scope="module")
def access(authority: Authority) -> ClientAuth:
    return ClientAuth(tls=True, ca_location=str(authority.certificates), token=TOKEN)


@contextmanager
def client_of(address: ServerAddress, access: ClientAuth) -> Iterator[ReviewClient]:
    with ReviewClient(address.host, address.port, timeout=20, access=access) as client:
        yield client


def refusal(address: ServerAddress, access: ClientAuth) -> ReviewStreamError:
    """Return the error of a client that must not get in."""
    with client_of(address, access) as client, pytest.raises(ReviewStreamError) as caught:
        client.hello()
    assert TOKEN.get_secret_value() not in str(caught.value)
    return caught.value


def test_with_certificate_and_token_all_lines_come(
    secure: ServerAddress, access: ClientAuth
) -> None:
    with client_of(secure, access) as client:
        assert client.hello().size == len(CONTENT)
        lines = [line for some in client.read(0, len(CONTENT)) for line in some]
    assert b"".join(line.data + b"\n" for line in lines if hasattr(line, "data")) == CONTENT


def test_many_secure_clients_read_at_once(secure: ServerAddress, access: ClientAuth) -> None:
    counts: list[int] = []

    def read() -> None:
        with client_of(secure, access) as client:
            counts.append(sum(len(lines) for lines in client.tail(0)))

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    assert counts == [50_000] * 8


def test_a_pickled_client_gets_in_too(secure: ServerAddress, access: ClientAuth) -> None:
    with client_of(secure, access) as client:
        client.hello()
        with pickle.loads(pickle.dumps(client)) as copy:
            assert copy.latest(0).head == len(CONTENT)


@pytest.mark.parametrize("token", [None, "", "0123456789abcdef-tokem", "0123456789abcdef-token "])
def test_without_the_token_one_sentence_comes_and_nothing_of_the_file(
    secure: ServerAddress,
    access: ClientAuth,
    token: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = ClientAuth(
        tls=True,
        ca_location=access.ca_location,
        token=None if token is None else SecretStr(token),
    )
    with caplog.at_level(logging.WARNING):
        error = refusal(secure, wrong)
    assert isinstance(error, FatalError)
    assert "see source.token (REVIEWSTREAM_SOURCE__TOKEN)" in str(error)
    assert "refused 127.0.0.1" in caplog.text
    assert not [secret for secret in (token, TOKEN.get_secret_value()) if secret in caplog.messages]


def test_who_asks_on_without_the_token_gets_no_byte(path: Path) -> None:
    asked = (
        HelloRequest(),
        HelloRequest(token=TOKEN.get_secret_value()[:-1]),
        LatestRequest(start=0),
        HelloRequest(version=7, fingerprint="1-00"),
    )
    with serving(path, ServeOptions(auth=ServerAuth(token=TOKEN))) as address:
        for first, second in permutations(asked, 2):
            said = replies(address, first.encode(), second.encode(), stop=False)
            assert len(said) == 1
            assert isinstance(said[0], Error)
            assert said[0].code in {ErrorCode.UNAUTHORIZED, ErrorCode.BAD_REQUEST}
            assert not [each for each in SECRETS[1:] if each in said[0].message]


def test_a_certificate_of_somebody_else_is_not_trusted(
    secure: ServerAddress, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    error = refusal(secure, ClientAuth(tls=True, ca_location=str(other.certificates), token=TOKEN))
    assert isinstance(error, ConfigError)
    assert "is not trusted" in str(error)
    assert "source.ca_location" in str(error)
    assert "is not trusted" in str(refusal(secure, ClientAuth(tls=True, token=TOKEN)))


def test_a_certificate_for_another_host_is_not_trusted(
    path: Path, authority: Authority, access: ClientAuth
) -> None:
    elsewhere = authority.issue("elsewhere", "reviews.example.com")
    auth = ServerAuth(tls_cert=elsewhere.chain, tls_key=elsewhere.key, token=TOKEN)
    with serving(path, ServeOptions(auth=auth)) as address:
        assert "127.0.0.1" in str(refusal(address, access))


def test_the_certificate_must_be_for_the_name_that_the_client_uses(
    path: Path, authority: Authority, access: ClientAuth
) -> None:
    address_alone = authority.issue("address", "127.0.0.1")
    auth = ServerAuth(tls_cert=address_alone.chain, tls_key=address_alone.key, token=TOKEN)
    with serving(path, ServeOptions(auth=auth)) as address:
        with client_of(address, access) as client:
            assert client.hello().size == len(CONTENT)
        by_name = ServerAddress(host="localhost", port=address.port)
        assert "the certificate of localhost" in str(refusal(by_name, access))


def test_a_client_without_tls_is_told_so(secure: ServerAddress) -> None:
    error = refusal(secure, ClientAuth(token=TOKEN))
    assert isinstance(error, FatalError)
    assert "speaks TLS alone: set source.tls = true" in str(error)


def test_a_server_without_tls_is_named_as_such(path: Path, access: ClientAuth) -> None:
    with serving(path, ServeOptions(auth=ServerAuth(token=TOKEN))) as address:
        error = refusal(address, access)
    assert isinstance(error, ConfigError)
    assert "does not speak TLS as we do" in str(error)


def test_a_token_is_not_sent_in_the_clear_to_another_machine() -> None:
    with ReviewClient("192.0.2.1", 9, access=ClientAuth(token=TOKEN)) as client:
        with pytest.raises(ConfigError, match=r"travel to 192.0.2.1 .*: set source.tls = true"):
            client.hello()


def test_who_fails_in_the_handshake_is_told_why_in_tls_s_own_words(secure: ServerAddress) -> None:
    with socket.create_connection((secure.host, secure.port), timeout=20) as client:
        client.sendall(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00")  # a hello without anything in it
        assert client.recv(1) == b"\x15"  # an alert


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\n", b"\x16\x03\x01\x00\x02hi"])
def test_garbage_instead_of_tls_ends_the_connection(secure: ServerAddress, garbage: bytes) -> None:
    with socket.create_connection((secure.host, secure.port), timeout=20) as client:
        client.sendall(garbage)
        client.shutdown(socket.SHUT_WR)
        received = b""
        while data := client.recv(1000):
            received += data
    assert not [each for each in SECRETS[1:] if each.encode() in received]


def test_old_tls_is_refused(secure: ServerAddress) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((secure.host, secure.port), timeout=20) as client:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(client)


def test_no_side_agrees_to_less_than_tls_1_2(certificate: Certificate) -> None:
    """OpenSSL's own configuration may refuse old versions too, and need not."""
    server = server_context(certificate.chain, certificate.key)
    for context in (server, ssl_context(None, setting="source.ca_location")):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(tried: bytes, token: bytes) -> bool:
        compared.append((tried, token))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tried = ["", "0", TOKEN.get_secret_value()[:-1], TOKEN.get_secret_value(), "ü"]
    assert not any(ServerAuth(token=TOKEN).authorize(each) for each in tried)
    expected = TOKEN.get_secret_value().encode()
    assert compared == [(each.encode(), expected) for each in tried]


@given(st.text(max_size=40))
def test_only_the_very_token_opens_the_server(tried: str) -> None:
    auth = ServerAuth(token=TOKEN)
    assert auth.authorize(tried) == (tried == TOKEN.get_secret_value())
    assert not auth.authorize(None)
    assert auth.authorize(TOKEN.get_secret_value())
    assert ServerAuth().authorize(tried)


@pytest.mark.parametrize(
    "token", ["", "short", "x" * (MAX_TOKEN + 1), "ü" * 20, "0123456789\n123456"]
)
def test_a_token_that_is_easily_guessed_or_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ConfigError, match=r"16 to 1024 visible .*secrets.token_urlsafe") as caught:
        ServerAuth(token=SecretStr(token))
    assert len(token) < 2 or token not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])  # noqa: S104 - refused
def test_an_address_open_to_others_needs_tls_and_a_token(
    host: str, certificate: Certificate
) -> None:
    halves = (
        ServerAuth(),
        ServerAuth(token=TOKEN),
        ServerAuth(tls_cert=certificate.chain, tls_key=certificate.key),
    )
    for half in halves:
        with pytest.raises(ConfigError, match=r"open to others: give --tls-cert, --tls-key and a"):
            ServeOptions(host=host, auth=half)


def test_an_address_open_to_others_is_served_with_both(
    path: Path, auth: ServerAuth, access: ClientAuth
) -> None:
    with serving(path, ServeOptions(host="0.0.0.0", auth=auth)) as address:  # noqa: S104 - the point
        with ReviewClient("127.0.0.1", address.port, access=access) as client:
            assert client.hello().size == len(CONTENT)


def test_the_plain_port_is_for_loopback_and_for_servers_without_a_token(auth: ServerAuth) -> None:
    for options in ({"host": "0.0.0.0", "auth": auth}, {"auth": ServerAuth(token=TOKEN)}):  # noqa: S104 - refused
        with pytest.raises(ConfigError, match="--plain-port lets in everyone"):
            ServeOptions(plain_port=0, **options)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (("none.pem", None), r"none.pem: No such file"),
        (("{chain}", None), "no PEM certificate with its key"),
        (("{chain}", "{other}"), "no PEM certificate with its key"),
        (("{key}", "{key}"), "no PEM certificate with its key"),
    ],
)
def test_files_that_are_no_certificate_are_named(
    certificate: Certificate,
    authority: Authority,
    files: tuple[str, str | None],
    complaint: str,
) -> None:
    names = {"chain": certificate.chain, "key": certificate.key}
    names["other"] = authority.issue("other").key
    cert, key = (None if name is None else Path(name.format(**names)) for name in files)
    with pytest.raises(ConfigError, match=complaint):
        ServerAuth(tls_cert=cert, tls_key=key).context()


def test_an_encrypted_key_is_refused_without_asking_anybody(
    certificate: Certificate, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match="not encrypted"):
        ServerAuth(tls_cert=certificate.chain, tls_key=locked).context()


def test_a_key_without_a_certificate_is_refused(certificate: Certificate) -> None:
    with pytest.raises(ConfigError, match="--tls-key is of no use without --tls-cert"):
        ServerAuth(tls_key=certificate.key)


@pytest.mark.parametrize("content", [None, "nothing"])
def test_a_file_that_holds_no_authority_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = ServerAddress(host="127.0.0.1", port=listener.getsockname()[1])
        assert f"source.ca_location: {file}" in str(
            refusal(where, ClientAuth(tls=True, ca_location=str(file)))
        )


def test_who_does_not_say_hello_is_hung_up_on(path: Path) -> None:
    with serving(path, ServeOptions(handshake=0.2)) as address:
        (said,) = replies(address, HelloRequest().encode()[:-1], stop=False)
    assert isinstance(said, Error)
    assert said.message == "no HelloRequest within 0.2 s"


def test_who_does_not_begin_with_tls_is_hung_up_on(path: Path, auth: ServerAuth) -> None:
    with serving(path, ServeOptions(handshake=0.2, auth=auth)) as address:
        with socket.create_connection((address.host, address.port), timeout=20) as client:
            client.sendall(b"\x16\x03\x01")
            assert client.recv(100) == b""


def test_who_asks_nothing_for_long_is_told_and_may_come_again(path: Path) -> None:
    with serving(path, ServeOptions(idle=0.2)) as address:
        with client_of(address, ClientAuth()) as client:
            client.hello()
            with socket.create_connection((address.host, address.port), timeout=20) as other:
                other.sendall(HelloRequest().encode())
                while other.recv(1000):
                    pass  # until it is hung up on, and so is the client, which came before
            with pytest.raises(TransientError, match=r"nothing was asked for 0.2 s|hung up|reset"):
                client.latest(0)
            assert client.latest(0).head == len(CONTENT)


def test_who_takes_nothing_for_long_is_hung_up_on(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b"x\n")
    with path.open("r+b") as file:
        file.truncate(1 << 30)  # more than all buffers
    for port in ("port", "plain_port"):
        with serving(path, ServeOptions(idle=0.2, plain_port=0, max_connections=1)) as address:
            where = (address.host, getattr(address, port))
            with socket.create_connection(where, timeout=20) as client:
                client.sendall(HelloRequest().encode() + TailRequest(start=0).encode())
                assert client.recv(1, socket.MSG_PEEK)
                with client_of(address, ClientAuth()) as other:  # there is room when it is gone
                    assert _in_the_end(other)


def test_a_client_with_too_many_connections_is_told_so_and_others_are_not_troubled(
    path: Path,
) -> None:
    options = ServeOptions(max_per_client=2, host="127.0.0.1", plain_port=0)
    with serving(path, options) as address:
        with client_of(address, ClientAuth()) as one, client_of(address, ClientAuth()) as two:
            one.hello()
            two.hello()
            error = refusal(address, ClientAuth())
            assert isinstance(error, TransientError)
            assert "has 2 connections already (--max-per-client)" in str(error)
            assert address.plain_port is not None
            with socket.create_connection((address.host, address.plain_port), timeout=20) as plain:
                assert plain.recv(10) == b""
            with socket.create_connection(
                (address.host, address.port), timeout=20, source_address=("127.0.0.2", 0)
            ) as other:
                other.sendall(HelloRequest().encode())
                assert other.recv(1) == b"H"
            two.close()
            with client_of(address, ClientAuth()) as three:
                assert _in_the_end(three)


def test_one_machine_that_says_nothing_does_not_keep_the_others_out(
    path: Path, auth: ServerAuth, access: ClientAuth
) -> None:
    options = ServeOptions(max_per_client=2, max_connections=2 + TOLD + 1, auth=auth, handshake=600)
    with serving(path, options) as address, ExitStack() as silent:
        silence = [
            silent.enter_context(
                socket.create_connection(
                    (address.host, address.port), timeout=20, source_address=("127.0.0.9", 0)
                )
            )
            for _ in range(options.max_connections + 5)
        ]
        assert silence[-1].recv(1) == b""  # it is hung up on: all before it have been looked at
        with client_of(address, access) as other:
            assert other.hello().size == len(CONTENT)


def test_the_time_for_tls_is_part_of_the_time_for_a_hello(
    path: Path, auth: ServerAuth, access: ClientAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, float]] = []

    async def noted(_: object, client: ClientSession) -> None:
        seen.append((client.greet_by, asyncio.get_running_loop().time()))

    async def slowly(channel: TlsChannel) -> None:
        await handshake(channel)
        await asyncio.sleep(0.2)

    handshake = TlsChannel.handshake
    monkeypatch.setattr(TlsChannel, "handshake", slowly)
    monkeypatch.setattr(tcp_server, "answer_requests", noted)
    with serving(path, ServeOptions(auth=auth, handshake=20)) as address:
        refusal(address, access)
    (greet_by, now), *_ = seen
    assert greet_by <= now - 0.2 + 20


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2a00:1:1:2:3:4:5:6", "2a00:0001:0001:0002::/64"),
        ("2a00:1:1:2::9", "2a00:0001:0001:0002::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fd00::1", "fd00::1"),
        ("::1", "::1"),
    ],
)
def test_one_network_of_ipv6_is_one_client(address: str, client: str) -> None:
    assert client_key(address) == client


def _in_the_end(client: ReviewClient) -> bool:
    """Ask until the server has noticed who is gone, for some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(TransientError):
            return client.hello().size > 0
    return False


def test_over_the_limit_of_all_connections_a_client_is_hung_up_on(path: Path) -> None:
    with serving(path, ServeOptions(max_connections=1)) as address:
        with client_of(address, ClientAuth()) as one:
            one.hello()
            assert isinstance(refusal(address, ClientAuth()), TransientError)
        with client_of(address, ClientAuth()) as two:
            assert _in_the_end(two)


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"max_connections": 0}, "--max-connections 0: give 1 or more"),
        ({"max_per_client": -1}, "--max-per-client -1: give 1 or more"),
        ({"idle": 0.0}, "--idle 0: give"),
        ({"idle": float("nan")}, "--idle nan: give"),
    ],
)
def test_a_limit_that_lets_nobody_in_is_refused(limits: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ServeOptions(**limits)  # type: ignore[arg-type] # the numbers are of both kinds


def test_a_token_is_in_no_text_of_a_message_or_setting(
    access: ClientAuth, auth: ServerAuth
) -> None:
    request = HelloRequest(token=TOKEN.get_secret_value())
    for shown in (repr(request), repr(access), repr(auth), str(ServeOptions(auth=auth))):
        assert TOKEN.get_secret_value() not in shown
