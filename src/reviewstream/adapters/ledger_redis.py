"""`LedgerArchive` in a Redis: for all machines of a cluster."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, cast
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from reviewstream.errors import ConfigError, TransientError
from reviewstream.ports import LedgerEntry, LedgerKey

LABELS: Final = "reviewstream:labels"  # a hash: key of a label -> label, both as JSON
CLAIM: Final = b"reviewstream:buying:"  # what the key of a claim begins with
SCAN: Final = 1_000  # fields of the hash that are read at once
SETTING: Final = "ledger.url (REVIEWSTREAM_LEDGER_URL)"

# A claim that has run out may be another's by now: only its holder's is removed.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
"""
_REFUSED: Final = (
    redis.AuthenticationError,  # a kind of connection error, though it will not pass
    redis.exceptions.AuthorizationError,
)
_PASSING: Final = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ReadOnlyError,  # a replica: the client is sent elsewhere soon
    redis.exceptions.TryAgainError,
)
_keys: Final = msgspec.json.Decoder(LedgerKey)
_entries: Final = msgspec.json.Decoder(LedgerEntry)


class RedisLedger:
    """`LedgerArchive` in one hash; it connects when it is first asked.

    A claim is a key that Redis itself removes after `lease`, since a process that is killed gives
    nothing back. A text whose requests take longer than that may be bought twice.

    Args:
        url: `redis://`, `rediss://` or `unix://`; never shown, since it may hold a password.
        timeout: Seconds to wait for an answer.
        lease: Seconds.

    Raises:
        ConfigError: The URL is malformed.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, lease: float = 60.0) -> None:
        self._lease = round(lease * 1000)  # milliseconds
        self._holder = uuid4().hex.encode()
        try:
            self._where = _address(url)
            self._client = redis.Redis.from_url(
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError:
            raise ConfigError(
                f"{SETTING}: expected redis://[user:password@]host[:port][/database], "
                "or rediss:// or unix://"
            ) from None

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """See `LabelLedger.find`."""
        if not keys:
            return {}
        with self._plain_errors():
            found = cast("list[bytes | None]", self._client.hmget(LABELS, list(map(_field, keys))))
            pairs = zip(keys, found, strict=True)
            return {key: _entries.decode(value) for key, value in pairs if value is not None}

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """See `LabelLedger.record`."""
        with self._plain_errors(), self._client.pipeline(transaction=False) as batch:
            for key, entry in entries.items():
                batch.hsetnx(LABELS, _field(key), msgspec.json.encode(entry))
            batch.execute()

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """See `LabelLedger.claim`."""
        with self._plain_errors(), self._client.pipeline(transaction=False) as batch:
            for key in keys:
                batch.set(CLAIM + _field(key), self._holder, nx=True, px=self._lease)
            return {key for key, mine in zip(keys, batch.execute(), strict=True) if mine}

    def release(self, keys: Collection[LedgerKey]) -> None:
        """See `LabelLedger.release`."""
        with suppress(redis.RedisError), self._client.pipeline(transaction=False) as batch:
            for key in keys:  # where Redis is away, claims run out by themselves
                batch.eval(_RELEASE, 1, CLAIM + _field(key), self._holder)
            batch.execute()

    def close(self) -> None:
        """See `LabelLedger.close`; claims that were not given back run out."""
        self._client.close()

    def entries(self) -> Iterator[tuple[LedgerKey, LedgerEntry]]:
        """See `LedgerArchive.entries`."""
        seen: set[int] = set()  # Redis may tell of a field twice while the hash grows
        with self._plain_errors():
            for field, value in self._client.hscan_iter(LABELS, count=SCAN):
                if hash(field) not in seen:
                    seen.add(hash(field))
                    yield _keys.decode(field), _entries.decode(value)

    def forget(self, keys: Collection[LedgerKey]) -> int:
        """See `LedgerArchive.forget`."""
        if not keys:
            return 0
        with self._plain_errors():
            return self._client.hdel(LABELS, *map(_field, keys))

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except _REFUSED as err:
            raise ConfigError(f"{self._where}: {err}: see {SETTING}") from err
        except _PASSING as err:
            raise TransientError(f"the ledger in {self._where} is away: {err}") from err
        except (redis.RedisError, msgspec.MsgspecError) as err:  # another program's data, perhaps
            raise ConfigError(f"{self._where}, {LABELS}: {err}: see {SETTING}") from err


def _field(key: LedgerKey) -> bytes:
    return msgspec.json.encode(key)


def _address(url: str) -> str:
    """Return a URL without user, password and query, to be shown."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
