"""A Redis is trusted by its certificate, or not at all."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from reviewstream.adapters.redis.connection import RedisClient
from reviewstream.adapters.redis.redis_ledger import RedisLedger
from reviewstream.adapters.redis.redis_limits import RedisLimits
from reviewstream.core.labelling.limits.operations import Abort, LimitKey
from reviewstream.errors import ConfigError, ReviewStreamError, TransientError
from reviewstream_testbed.security.certificates import Authority, Certificate


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ca")


@contextmanager
def answering(words: str) -> Iterator[str]:
    """Answer everything that one client says with the same line; yield where."""

    def answer() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            while connection.recv(4_096):
                connection.sendall(words.encode() + b"\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0?protocol=2"
        thread.join()


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
    with closing(redis.client), redis.plain_errors("key"):
        redis.client.get("key")


SCRIPT = "Error running script (call to f_1f): @user_script:227: @user_script: 227:"


@pytest.mark.parametrize("before", ["", f"ERR {SCRIPT} -"])
@pytest.mark.parametrize(
    "words",
    [
        "BUSY Redis is busy running a script.",
        "CLUSTERDOWN The cluster is down",
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.",
        "READONLY You can't write against a read only replica.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
    ],
)
def test_a_redis_that_fails_over_or_loads_is_away(before: str, words: str) -> None:
    with answering(f"-{before}{words}") as url:
        with pytest.raises(
            TransientError, match=r"the ledger in redis://.* is away: .*: see "
        ) as raised:
            ask(url)
    assert words.split(" ", 1)[1] in str(raised.value)


@pytest.mark.parametrize("words", ["MOVED 3999 10.0.0.1:6381", "ASK 3999 10.0.0.1:6381"])
def test_a_cluster_is_a_setting_to_correct(words: str) -> None:
    with answering(f"-{words}") as url:
        with pytest.raises(
            ConfigError, match=r"a Redis Cluster, which is not supported .*ledger\.url"
        ):
            ask(url)


@pytest.mark.parametrize("before", ["", f"ERR {SCRIPT} -"])
def test_a_redis_without_room_is_told_how_to_get_some(before: str) -> None:
    with answering(f"-{before}OOM command not allowed when used memory > 'maxmemory'.") as url:
        with pytest.raises(ConfigError, match=r"no room \(.*maxmemory.*: raise its maxmemory"):
            ask(url)


@pytest.mark.parametrize(
    "words",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "NOAUTH Authentication required.",
        "NOPERM this user has no permissions to run the 'get' command",
        f"ERR {SCRIPT} not a pace of reviewstream",
        "ERR unknown command `GET`, with args beginning with: `a-READONLY LOADING`",
    ],
)
def test_what_will_not_pass_is_a_setting_to_correct(words: str) -> None:
    with answering(f"-{words}") as url:
        with pytest.raises(ConfigError, match=r"see ledger\.url"):
            ask(url)


def info(policy: str) -> str:
    text = f"# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:{policy}\r\n"
    return f"${len(text)}\r\n{text}"


def complaint(url: str) -> str:
    asked = RedisClient(url, timeout=20)
    with closing(asked.client):
        return asked.eviction()


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-lru"])
def test_a_redis_that_may_drop_what_it_keeps_is_complained_about(policy: str) -> None:
    with answering(info(policy)) as url:
        assert f"(maxmemory-policy {policy}), and then they are paid for again" in complaint(url)


@pytest.mark.parametrize(
    "words",
    [
        info("noeviction"),
        "$0\r\n",
        "-NOPERM User default has no permissions to run the 'info' command",
    ],
)
def test_a_redis_that_keeps_everything_or_does_not_say_is_fine(words: str) -> None:
    with answering(words) as url:
        assert complaint(url) == ""


@pytest.mark.parametrize("words", [":7", "*1\r\n:7", "*x", "HTTP/1.1 400 Bad Request"])
def test_what_answers_as_no_redis_does_is_one_sentence(words: str) -> None:
    with answering(words) as url, pytest.raises(ReviewStreamError, match=r"ledger\.url"):
        complaint(url)
    with answering(words) as url, closing(RedisLedger(url, timeout=20)) as ledger:
        with pytest.raises(ReviewStreamError, match=r"ledger\.url"):
            list(ledger.entries())
    with answering(words) as url, closing(RedisLimits(url, timeout=20)) as limits:
        with pytest.raises(ReviewStreamError, match=r"ledger\.url"):
            limits.apply(Abort(), LimitKey(model="m", account="a"))


def test_a_redis_that_loads_cannot_say_yet() -> None:
    with answering("-LOADING Redis is loading the dataset in memory") as url:
        with pytest.raises(TransientError, match="is away"):
            complaint(url)


def test_a_redis_that_refuses_us_is_a_setting_to_correct_whatever_is_asked() -> None:
    with answering("-NOAUTH Authentication required.") as url:
        with pytest.raises(ConfigError, match=r"see ledger\.url"):
            complaint(url)


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
        ("ssl_check_hostname=false", "ssl_check_hostname"),
        ("ssl_check_hostname=False", "ssl_check_hostname"),
        ("ssl_check_hostname=0", "ssl_check_hostname"),
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


@pytest.mark.parametrize("url", ["redis://r/0?bogus=1", "rediss://r?x=1", "unix:///s?bogus=1"])
def test_an_option_that_there_is_not_is_a_setting_to_correct(url: str) -> None:
    option = re.escape(url.partition("?")[2].partition("=")[0])
    with pytest.raises(ConfigError, match=rf"ledger\.url .*question mark \({option}\)"):
        RedisClient(url, timeout=1)
