"""The ledger in memory, in a SQLite file, and in Redis."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from reviewstream.adapters.redis.redis_ledger import LABELS, PROOF, PROOF_LEASE
from reviewstream.app import open_archive
from reviewstream.core.labelling.ports import LedgerArchive
from reviewstream.errors import ConfigError, TransientError
from reviewstream.settings import LedgerSettings
from reviewstream.testing import MemoryLedger
from tests.contract.label_ledger import LabelLedgerContract, OpenAgain, SharedLedgerContract
from tests.contract.ledger_entries import entries, key_of
from tests.contract.redis_server import MISSING, RedisServer, redis_program
from tests.contract.waiting import eventually


class TestMemory(LabelLedgerContract):
    @pytest.fixture
    def ledger(self) -> LedgerArchive:
        return MemoryLedger()

    @pytest.fixture
    def again(self, ledger: LedgerArchive) -> OpenAgain:
        return lambda: ledger


class _Opened(SharedLedgerContract):
    @pytest.fixture
    def again(self, shared: LedgerSettings) -> Iterator[OpenAgain]:
        opened: list[LedgerArchive] = []

        def open_again() -> LedgerArchive:
            opened.append(open_archive(shared))
            return opened[-1]

        yield open_again
        for each in opened:
            each.close()

    @pytest.fixture
    def ledger(self, again: OpenAgain) -> LedgerArchive:
        return again()


class TestSqlite(_Opened):
    @pytest.fixture
    def shared(self, tmp_path: Path) -> LedgerSettings:
        return LedgerSettings(file=str(tmp_path / "new" / "ledger.sqlite3"))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
    def test_a_file_that_may_only_be_read_is_proven_to_be_of_no_use(
        self, ledger: LedgerArchive, shared: LedgerSettings, again: OpenAgain
    ) -> None:
        ledger.record(entries(1))
        Path(str(shared.file)).chmod(0o400)
        other = again()
        assert other.find([key_of(1)]) == entries(1)
        with pytest.raises(ConfigError, match=r"readonly database: .* ledger\.file"):
            other.prove()


@pytest.fixture(scope="session")
def program() -> str:
    return redis_program() or pytest.skip(MISSING)


@pytest.fixture(scope="session")
def redis_server(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(program, tmp_path_factory.mktemp("redis"), password="p@ss/word")
    yield server
    server.close()


class TestRedis(_Opened):
    @pytest.fixture
    def shared(self, redis_server: RedisServer) -> LedgerSettings:
        redis_server.empty()
        return LedgerSettings(url=SecretStr(redis_server.url), lease=2.0)

    def test_a_server_that_is_killed_comes_back_with_every_label(
        self, ledger: LedgerArchive, redis_server: RedisServer
    ) -> None:
        ledger.record(entries(*range(100)))
        assert ledger.claim([key_of(1)])
        redis_server.kill()
        with pytest.raises(TransientError, match=r"in redis://127\.0\.0\.1:\d+/0 is away"):
            ledger.find([key_of(1)])
        ledger.release([key_of(1)])  # nobody is there to be told, which is fine
        redis_server.start()
        assert dict(ledger.entries()) == entries(*range(100))

    def test_a_server_that_takes_no_more_is_proven_to_be_of_no_use(
        self, ledger: LedgerArchive, redis_server: RedisServer
    ) -> None:
        ledger.record(entries(1))
        with redis.Redis.from_url(redis_server.url) as client:
            client.config_set("maxmemory", 1)
            try:
                with pytest.raises(ConfigError, match="maxmemory"):
                    ledger.prove()
            finally:
                client.config_set("maxmemory", 0)
            ledger.prove()
            client.slaveof("127.0.0.1", 1)
            try:
                with pytest.raises(TransientError, match="read only replica"):
                    ledger.prove()
            finally:
                client.slaveof()
            assert client.pttl(PROOF) <= PROOF_LEASE  # it is no claim of anything, and soon gone
        assert dict(ledger.entries()) == entries(1)

    def test_a_server_that_may_drop_labels_is_warned_of_once(
        self,
        ledger: LedgerArchive,
        redis_server: RedisServer,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with redis.Redis.from_url(redis_server.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            try:
                ledger.prove()
                ledger.prove()
            finally:
                client.config_set("maxmemory-policy", "noeviction")
        [warning] = caplog.messages
        assert "may drop labels" in warning
        assert "allkeys-lru" in warning

    def test_a_claim_is_renewed_as_long_as_its_process_lives_and_holds_it(
        self, ledger: LedgerArchive, redis_server: RedisServer, again: OpenAgain
    ) -> None:
        assert ledger.claim([key_of(1), key_of(2)])
        with redis.Redis.from_url(redis_server.url) as client:
            claims = client.keys("reviewstream:buying:*")
            assert len(claims) == 2
            for claim in claims:
                client.pexpire(claim, 1_000)  # half of the lease is gone
            eventually(lambda: min(map(client.pttl, claims)), lambda left: left > 1_000)
            ledger.release([key_of(1)])
            assert client.exists(*claims) == 1
            other = again()
            assert other.claim([key_of(1), key_of(2)]) == {key_of(1)}
            ledger.close()
            eventually(lambda: client.exists(*claims), lambda count: count == 1)
            assert other.claim([key_of(2)]) == {key_of(2)}

    def test_a_claim_that_is_anothers_by_now_is_not_renewed(
        self, ledger: LedgerArchive, redis_server: RedisServer
    ) -> None:
        assert ledger.claim([key_of(1)])
        with redis.Redis.from_url(redis_server.url) as client:
            [claim] = client.keys("reviewstream:buying:*")
            client.set(claim, "another", px=1_500)
            eventually(lambda: client.exists(claim), lambda count: count == 0)

    def test_a_claim_that_ran_out_is_given_back_by_its_new_holder_alone(
        self, ledger: LedgerArchive, redis_server: RedisServer, again: OpenAgain
    ) -> None:
        other = again()
        assert ledger.claim([key_of(1)])
        redis_server.empty()  # as if the lease had passed
        assert other.claim([key_of(1)])
        ledger.release([key_of(1)])
        assert ledger.claim([key_of(1)]) == set()
        other.release([key_of(1)])
        assert ledger.claim([key_of(1)])

    def test_a_wrong_password_is_a_setting_to_be_mended_and_is_not_shown(
        self, redis_server: RedisServer
    ) -> None:
        url = redis_server.url.replace("p%40ss", "wrong")
        ledger = open_archive(LedgerSettings(url=SecretStr(url)))
        with pytest.raises(ConfigError, match=r"see ledger\.url") as caught:
            ledger.find([key_of(1)])
        assert "wrong" not in str(caught.value)
        ledger.close()

    @pytest.mark.parametrize("kind", ["hset", "set"])
    def test_what_others_keep_under_our_name_is_not_read_as_labels(
        self, ledger: LedgerArchive, redis_server: RedisServer, kind: str
    ) -> None:
        with redis.Redis.from_url(redis_server.url) as client:
            client.hset(LABELS, "x", "y") if kind == "hset" else client.set(LABELS, "x")
        with pytest.raises(ConfigError, match=r"reviewstream:labels: .*: see ledger\.url"):
            list(ledger.entries())
