"""`LedgerArchive` in a Redis: for all machines of a cluster."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final, cast
from uuid import uuid4

import msgspec
import redis

from reviewstream.adapters.redis_client import RedisClient
from reviewstream.ports import LedgerEntry, LedgerKey

LABELS: Final = "reviewstream:labels"  # a hash: key of a label -> label, both as JSON
CLAIM: Final = b"reviewstream:buying:"  # what the key of a claim begins with
SCAN: Final = 1_000  # fields of the hash that are read at once

# A claim that has run out may be another's by now: only its holder's is removed.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
"""
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
        self._redis = RedisClient(url, timeout=timeout)
        self._client = self._redis.client

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """See `LabelLedger.find`."""
        if not keys:
            return {}
        with self._redis.plain_errors(LABELS):
            found = cast("list[bytes | None]", self._client.hmget(LABELS, list(map(_field, keys))))
            pairs = zip(keys, found, strict=True)
            return {key: _entries.decode(value) for key, value in pairs if value is not None}

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """See `LabelLedger.record`."""
        with self._redis.plain_errors(LABELS), self._client.pipeline(transaction=False) as batch:
            for key, entry in entries.items():
                batch.hsetnx(LABELS, _field(key), msgspec.json.encode(entry))
            batch.execute()

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """See `LabelLedger.claim`."""
        with self._redis.plain_errors(LABELS), self._client.pipeline(transaction=False) as batch:
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
        with self._redis.plain_errors(LABELS):
            for field, value in self._client.hscan_iter(LABELS, count=SCAN):
                if hash(field) not in seen:
                    seen.add(hash(field))
                    yield _keys.decode(field), _entries.decode(value)

    def forget(self, keys: Collection[LedgerKey]) -> int:
        """See `LedgerArchive.forget`."""
        if not keys:
            return 0
        with self._redis.plain_errors(LABELS):
            return self._client.hdel(LABELS, *map(_field, keys))


def _field(key: LedgerKey) -> bytes:
    return msgspec.json.encode(key)
