"""A store of ours that fails rejects nothing: the run ends in a sentence, or waits and goes on."""

import resource
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest
import redis
from pydantic import SecretStr

from reviewstream.app import open_labeller
from reviewstream.core.records.reviews import LabelledReview
from reviewstream.errors import ConfigError, ReviewStreamError
from reviewstream.settings import LedgerSettings, LimitsSettings, OpenAISettings
from tests.contract.case_endpoint import (
    CaseEndpoint,
    Reply,
    Request,
    asked,
    case_endpoint,
    reply,
    rows,
)
from tests.contract.redis_server import MISSING, RedisServer, redis_program

pytestmark = pytest.mark.anyio

TEXTS: Final = [f"good number {number}" for number in range(100)]
PACK, CONCURRENCY = 5, 4
MIDST: Final = 5  # request, in the midst of the run, at which something happens
AWHILE: Final = 1.0  # seconds that a Redis is away


def happening(what: Callable[[], object]) -> Callable[[int, Request], Reply]:
    """Return what answers well, after something has happened at one request."""

    def answer(number: int, request: Request) -> Reply:
        if number == MIDST:
            what()
        return reply({}, request)

    return answer


async def label(
    endpoint: CaseEndpoint, ledger: LedgerSettings, limits: LimitsSettings | None = None
) -> None:
    """Label all texts: none is rejected."""
    model = OpenAISettings(
        base_url=endpoint.url,
        api_key=SecretStr("sk-case"),
        model="some/model",
        pack=PACK,
        concurrency=CONCURRENCY,
        controls=False,
    )
    async with open_labeller(model, ledger, limits or LimitsSettings()) as labeller:
        outcomes = await labeller.label(rows(TEXTS))
    assert all(isinstance(one, LabelledReview) for one in outcomes)


def _assert_paid_once(endpoint: CaseEndpoint) -> None:
    count = Counter(one["text"] for sent in endpoint.requests for one in asked(sent))
    assert {count.pop(text) for text in TEXTS} == {1}
    assert not count.keys() - {"Good."}


async def _fails_in_a_sentence(
    endpoint: CaseEndpoint, ledger: LedgerSettings, limits: LimitsSettings | None, setting: str
) -> None:
    with pytest.raises(ReviewStreamError) as raised:
        await label(endpoint, ledger, limits)
    assert isinstance(raised.value, ConfigError), repr(raised.value)
    assert setting in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.fixture
def ledger(tmp_path: Path) -> LedgerSettings:
    return LedgerSettings(enabled=True, file=f"{tmp_path}/ledger", timeout=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "limits"


def _damage(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE limits SET state = '{\"rate\": \"junk' WHERE kind = 'pace'")
    connection.close()


def _fill_with_junk(file: Path) -> None:
    file.touch()
    for part in file.parent.glob(f"{file.name}*"):
        part.write_bytes(b"this is no database" * 1_000)


def _remove(file: Path) -> None:
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()


@pytest.mark.parametrize("spoil", [_damage, _fill_with_junk])
async def test_a_limits_file_that_is_spoilt_in_the_midst_ends_the_run_and_the_next_goes_on(
    ledger: LedgerSettings, file: Path, spoil: Callable[[Path], None]
) -> None:
    limits = LimitsSettings(file=str(file))
    with case_endpoint(happening(lambda: spoil(file))) as endpoint:
        await _fails_in_a_sentence(endpoint, ledger, limits, str(file))
        assert len(endpoint.requests) < len(TEXTS) / PACK
        _remove(file)
        await label(endpoint, ledger, limits)
    _assert_paid_once(endpoint)


async def test_a_limits_file_of_junk_costs_no_request(ledger: LedgerSettings, file: Path) -> None:
    _fill_with_junk(file)
    limits = LimitsSettings(file=str(file))
    with case_endpoint() as endpoint:
        for _ in range(2):
            await _fails_in_a_sentence(endpoint, ledger, limits, "limits.file")
        assert not endpoint.requests
        _remove(file)
        await label(endpoint, ledger, limits)
    _assert_paid_once(endpoint)


async def test_a_folder_that_cannot_be_made_costs_no_request(
    ledger: LedgerSettings, tmp_path: Path
) -> None:
    (tmp_path / "plain").touch()
    limits = LimitsSettings(file=f"{tmp_path}/plain/limits")
    with case_endpoint() as endpoint:
        await _fails_in_a_sentence(endpoint, ledger, limits, "limits.file")
        assert not endpoint.requests
        (tmp_path / "plain").unlink()
        await label(endpoint, ledger, limits)
    _assert_paid_once(endpoint)


@contextmanager
def _no_room() -> Iterator[None]:
    """Let no file grow any more, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("is_first", [True, False], ids=["nothing is there", "files are there"])
async def test_on_a_full_disk_nothing_is_bought_and_nothing_is_rejected(
    ledger: LedgerSettings, *, is_first: bool
) -> None:
    with case_endpoint() as endpoint:
        if not is_first:
            model = OpenAISettings(base_url=endpoint.url, model="some/model", controls=False)
            async with open_labeller(model, ledger, LimitsSettings()) as labeller:
                await labeller.label(rows(["another good one"]))
            endpoint.requests.clear()
        with _no_room():
            for _ in range(3):
                with pytest.raises(ReviewStreamError, match=r"ledger"):
                    await label(endpoint, ledger)
        assert not endpoint.requests
        await label(endpoint, ledger)
    _assert_paid_once(endpoint)


async def test_a_disk_that_fills_up_in_the_midst_costs_what_is_in_flight_at_most(
    ledger: LedgerSettings,
) -> None:
    with ExitStack() as full, case_endpoint() as endpoint:
        endpoint.answer = happening(lambda: full.enter_context(_no_room()))
        with pytest.raises(ReviewStreamError, match=r"ledger|limits"):
            await label(endpoint, ledger)
        full.close()
        await label(endpoint, ledger)
    again = len(endpoint.requests) - len(TEXTS) // PACK
    assert 0 <= again <= CONCURRENCY


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if (program := redis_program()) is None:
        pytest.skip(MISSING)
    running = RedisServer(program, tmp_path_factory.mktemp("redis"))
    yield running
    running.close()


def _told(server: RedisServer, *command: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*command)


def _read_only(server: RedisServer) -> None:
    _told(server, "REPLICAOF", "127.0.0.1", "1")
    threading.Timer(AWHILE, _told, (server, "REPLICAOF", "NO", "ONE")).start()


def _killed(server: RedisServer) -> None:
    server.kill()
    threading.Timer(AWHILE, server.start).start()


@pytest.mark.parametrize("fail", [_read_only, _killed])
async def test_a_redis_that_fails_over_is_waited_for(
    server: RedisServer, fail: Callable[[RedisServer], None]
) -> None:
    server.empty()
    ledger = LedgerSettings(enabled=True, url=SecretStr(server.url), timeout=2)
    with case_endpoint(happening(lambda: fail(server))) as endpoint:
        await label(endpoint, ledger)
        await label(endpoint, ledger)
    _assert_paid_once(endpoint)
