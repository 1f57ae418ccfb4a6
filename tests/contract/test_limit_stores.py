"""Limits and budgets in memory, in a SQLite file, and in Redis."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from msgspec import structs
from pydantic import SecretStr

from reviewstream.adapters.redis.redis_limits import LIMITS, RedisLimits
from reviewstream.adapters.sqlite.sqlite_limits import SqliteLimits
from reviewstream.adapters.system_clock import SystemClock
from reviewstream.app import open_limits
from reviewstream.core.labelling.limits.operations import Poll
from reviewstream.core.labelling.ports import LimitStore
from reviewstream.errors import ConfigError, TransientError
from reviewstream.settings import LedgerSettings, LimitsSettings
from reviewstream.testing import MemoryLimits
from tests.contract.limit_store import (
    TERMS,
    LimitStoreContract,
    OpenAgain,
    SharedLimitsContract,
    StoreLimiterContract,
    TestTime,
    take,
)
from tests.contract.redis_server import MISSING, RedisServer, redis_program


@pytest.fixture
def time() -> TestTime:
    return TestTime()


class TestMemory(LimitStoreContract):
    @pytest.fixture
    def store(self, time: TestTime) -> LimitStore:
        return MemoryLimits(time)


class TestMemoryLimiter(StoreLimiterContract):
    @pytest.fixture
    def store(self) -> LimitStore:
        return MemoryLimits(SystemClock())


@pytest.fixture
def again(shared: LedgerSettings) -> Iterator[OpenAgain]:
    opened: list[LimitStore] = []

    def open_again() -> LimitStore:
        opened.append(open_limits(LimitsSettings(), shared))
        return opened[-1]

    yield open_again
    for each in opened:
        each.close()


class TestSqlite(SharedLimitsContract):
    @pytest.fixture
    def shared(self, tmp_path: Path) -> LedgerSettings:
        return LedgerSettings(file=str(tmp_path / "new" / "ledger.sqlite3"))

    @pytest.fixture
    def store(self, shared: LedgerSettings, time: TestTime) -> Iterator[LimitStore]:
        file = Path(f"{shared.file}-limits")
        with closing(SqliteLimits(file, now=time.seconds)) as opened:
            yield opened


class TestSqliteLimiter(StoreLimiterContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[LimitStore]:
        with closing(SqliteLimits(tmp_path / "limits")) as opened:
            yield opened


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    program = redis_program() or pytest.skip(MISSING)
    server = RedisServer(program, tmp_path_factory.mktemp("redis"), password="p@ss/word")
    yield server
    server.close()


class TestRedis(SharedLimitsContract):
    @pytest.fixture
    def shared(self, redis_server: RedisServer) -> LedgerSettings:
        redis_server.empty()
        return LedgerSettings(url=SecretStr(redis_server.url))

    @pytest.fixture
    def store(
        self, shared: LedgerSettings, redis_server: RedisServer, time: TestTime
    ) -> Iterator[LimitStore]:
        assert shared.url is not None
        with closing(RedisLimits(redis_server.url, now=time.seconds)) as opened:
            yield opened

    def test_a_server_that_is_killed_comes_back_with_what_was_spent(
        self, again: OpenAgain, redis_server: RedisServer
    ) -> None:
        store = again()
        place = take(store, TERMS, 70).place
        redis_server.kill()
        with pytest.raises(TransientError, match=r"in redis://127\.0\.0\.1:\d+/0 is away"):
            take(store, TERMS, 1)
        redis_server.start()
        assert store.apply(Poll(place=place), TERMS).spent == 70

    def test_a_server_that_lost_everything_holds_nobody(
        self, again: OpenAgain, redis_server: RedisServer
    ) -> None:
        store = again()
        places = [take(store, TERMS, 1) for _ in range(9)]
        assert places[-1].wait > 5
        redis_server.empty()
        assert store.apply(Poll(place=places[-1].place), TERMS).wait == 0

    def test_what_an_earlier_version_kept_is_gone_on_with(
        self, again: OpenAgain, redis_server: RedisServer
    ) -> None:
        store, terms = again(), structs.replace(TERMS, budget_micro_usd=100)
        take(store, terms, 60)
        with redis.Redis.from_url(redis_server.url) as client:
            assert client.hget(LIMITS, f"account:{TERMS.account}") == b"60"
            assert client.hdel(LIMITS, f"reserved:{TERMS.account}") == 1
        reply = take(store, terms, 41)
        assert (reply.is_spent, reply.spent, reply.reserved) == (True, 60, 0)
        assert take(store, terms, 40).reserved == 40

    @pytest.mark.parametrize(
        ("name", "what"),
        [
            *((f"pace:{TERMS.model}", what) for what in ("1 2 3", "x", "pace", "")),
            *((f"account:{TERMS.account}", what) for what in ("x", "-5", "", "nan")),
            *((f"reserved:{TERMS.account}", what) for what in ("5", "-5 0 0", "", "1 2 x")),
        ],
    )
    def test_what_others_keep_under_our_name_is_not_read_as_limits(
        self, again: OpenAgain, redis_server: RedisServer, name: str, what: str
    ) -> None:
        store = again()
        with redis.Redis.from_url(redis_server.url) as client:
            client.hset(LIMITS, name, what)
        with pytest.raises(ConfigError, match=r"reviewstream:limits: .*: see ledger\.url"):
            take(store, TERMS, 1)

    def test_a_replica_is_away_until_it_is_made_the_master(
        self, again: OpenAgain, redis_server: RedisServer
    ) -> None:
        store = again()
        with redis.Redis.from_url(redis_server.url) as client:
            client.config_set("replica-serve-stale-data", "yes")
            client.replicaof("127.0.0.1", "1")
            try:
                with pytest.raises(TransientError, match=r"is away: .*read only"):
                    take(store, TERMS, 1)
                client.config_set("replica-serve-stale-data", "no")
                with pytest.raises(TransientError, match=r"is away: .*Link with MASTER"):
                    take(store, TERMS, 1)
            finally:
                client.replicaof("NO", "ONE")
        assert take(store, TERMS, 1).spent == 1

    def test_a_server_without_room_is_a_setting_to_correct(
        self, again: OpenAgain, redis_server: RedisServer
    ) -> None:
        store = again()
        take(store, TERMS, 1)
        with redis.Redis.from_url(redis_server.url) as client:
            client.config_set("maxmemory", "1")
            try:
                with pytest.raises(ConfigError, match=r"no room .*: raise its maxmemory"):
                    take(store, TERMS, 1)
            finally:
                client.config_set("maxmemory", "0")
        assert take(store, TERMS, 1).spent == 2


class TestRedisLimiter(StoreLimiterContract):
    @pytest.fixture
    def store(self, redis_server: RedisServer) -> Iterator[LimitStore]:
        redis_server.empty()
        with closing(RedisLimits(redis_server.url)) as opened:
            yield opened
