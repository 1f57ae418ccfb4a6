"""`LedgerArchive` in a Redis, shared by all machines of a cluster."""

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Final, cast

import msgspec

from reviewstream.adapters.redis.connection import RedisClient
from reviewstream.adapters.redis.redis_leases import CLAIM, RedisClaims
from reviewstream.core.labelling.ports import LedgerEntry, LedgerKey

LABELS: Final = "reviewstream:labels"  # a hash: key of a label -> label, both as JSON
PROOF: Final = CLAIM + b"proof"  # an empty key with the prefix, and so the permission, of claims
PROOF_LEASE: Final = 1_000  # milliseconds
SCAN: Final = 1_000  # fields of the hash that are read at once

logger = logging.getLogger(__name__)

_keys: Final = msgspec.json.Decoder(LedgerKey)
_entries: Final = msgspec.json.Decoder(LedgerEntry)


class RedisLedger:
    """`LedgerArchive` in one hash; it connects on first use.

    Args:
        url: `redis://`, `rediss://` or `unix://`; never shown, as it may contain a password.
        timeout: Seconds to wait for an answer.
        lease: Seconds after which a dead process's claims expire.

    Raises:
        ConfigError: The URL is malformed.
    """

    def __init__(self, url: str, *, timeout: float = 30.0, lease: float = 60.0) -> None:
        self._redis = RedisClient(url, timeout=timeout)
        self._client = self._redis.client
        self._claims = RedisClaims(self._client, lease=lease)
        self._is_proven = False

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
        names = {_field(key): key for key in keys}
        with self._redis.plain_errors(LABELS):
            return {names[name] for name in self._claims.take(names)}

    def release(self, keys: Collection[LedgerKey]) -> None:
        """See `LabelLedger.release`."""
        self._claims.give_back([_field(key) for key in keys])

    def prove(self) -> None:
        """See `LabelLedger.prove`: a Redis without free memory refuses every write."""
        with self._redis.plain_errors(LABELS):
            self._client.set(PROOF, b"", px=PROOF_LEASE)
        if not self._is_proven and (complaint := self._redis.eviction()):
            logger.warning("%s", complaint)
        self._is_proven = True

    def close(self) -> None:
        """See `LabelLedger.close`; claims that were not released expire."""
        self._claims.close()
        self._client.close()

    def entries(self) -> Iterator[tuple[LedgerKey, LedgerEntry]]:
        """See `LedgerArchive.entries`."""
        seen: set[int] = set()  # Redis may return a field twice while the hash grows
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
