"""A Redis is trusted by its certificate, or not at all."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from reviewstream.adapters.redis_client import RedisClient
from reviewstream.errors import ConfigError, TransientError
from reviewstream_testbed.certificates import Authority, Certificate


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ca")


@contextmanager
def hanging_up(shown: Certificate | None) -> Iterator[str]:
    """Greet one client, by TLS if there is a certificate, and hang up; yield where."""

    def greet() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):  # a client that does not trust us goes
            if shown is None:
                connection.sendall(b"-ERR this is no TLS\r\n")
                return
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(shown.chain, shown.key)
            context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=greet)
        thread.start()
        yield f"rediss://:hidden@127.0.0.1:{server.getsockname()[1]}/0"
        thread.join()


def ask(url: str, trusted: Path | None = None) -> None:
    query = f"?ssl_ca_certs={trusted}" if trusted else ""
    redis = RedisClient(f"{url}{query}", timeout=20)
    with redis.plain_errors("key"):
        redis.client.get("key")


def test_who_is_trusted_is_spoken_to(authority: Authority) -> None:
    with hanging_up(authority.issue("redis")) as url:
        with pytest.raises(TransientError, match=r"the ledger in rediss://.* is away"):
            ask(url, authority.certificates)


def test_a_certificate_of_somebody_else_is_not_tried_again(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other").certificates
    for trusted in (None, other):
        with hanging_up(authority.issue("redis")) as url:
            with pytest.raises(ConfigError, match=r"is not trusted .*ledger\.url with") as caught:
                ask(url, trusted)
        assert "ssl_ca_certs=FILE" in str(caught.value)
        assert "hidden" not in str(caught.value)


def test_a_certificate_for_another_name_is_not_taken(authority: Authority) -> None:
    with hanging_up(authority.issue("elsewhere", "redis.example")) as url:
        with pytest.raises(ConfigError, match=r"is not trusted .*mismatch"):
            ask(url, authority.certificates)


def test_the_check_does_not_depend_on_what_the_library_does_by_itself() -> None:
    said = RedisClient("rediss://127.0.0.1", timeout=1).client.connection_pool.connection_kwargs
    assert (said["ssl_cert_reqs"], said["ssl_check_hostname"]) == ("required", True)


def test_who_asks_for_the_checks_that_there_are_gets_them() -> None:
    url = "rediss://127.0.0.1?ssl_cert_reqs=required&ssl_check_hostname=true"
    said = RedisClient(url, timeout=1).client.connection_pool.connection_kwargs
    assert (said["ssl_cert_reqs"], said["ssl_check_hostname"]) == ("required", True)


def test_a_file_of_certificates_that_is_not_there_is_a_setting_to_correct(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ledger\.url .*none\.pem: No such file"):
        ask("rediss://127.0.0.1", tmp_path / "none.pem")


def test_a_redis_without_tls_is_a_setting_to_correct() -> None:
    with hanging_up(None) as url:
        with pytest.raises(ConfigError, match=r"does not speak TLS as we do .*see ledger\.url"):
            ask(url)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("db=1&ssl_check_hostname=no", "ssl_check_hostname"),
        ("ssl%5Fcert_reqs=none", "ssl_cert_reqs"),
        ("ssl_cert_reqs=", "ssl_cert_reqs"),
        ("ssl_cert_reqs=required&ssl_cert_reqs=none", "ssl_cert_reqs"),
    ],
)
@pytest.mark.parametrize("scheme", ["rediss", "redis"])
def test_no_url_turns_checks_off(scheme: str, query: str, name: str) -> None:
    with pytest.raises(ConfigError, match=f"leave {name} out") as caught:
        RedisClient(f"{scheme}://:hidden@127.0.0.1/0?{query}", timeout=1)
    assert "hidden" not in str(caught.value)


def test_without_tls_there_is_nothing_to_check() -> None:
    with pytest.raises(TransientError, match=r"redis://127\.0\.0\.1:1/0 is away"):
        ask("redis://127.0.0.1:1/0")
