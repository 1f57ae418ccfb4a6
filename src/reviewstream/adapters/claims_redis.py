"""Claims among machines that share a Redis, which end soon after the process that holds them."""

from collections.abc import Collection
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Final
from uuid import uuid4

import redis

CLAIM: Final = b"reviewstream:buying:"  # what the key of a claim begins with
RENEWALS: Final = 3  # in the time of a lease
PATIENCE: Final = 1.0  # seconds to wait at the end for a renewal that is under way

_FAILS: Final = (redis.RedisError, ValueError)  # the second where it is no Redis

# A claim that has run out may be another's by now: only its holder's is removed, or renewed.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
"""
_RENEW: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
"""


class RedisClaims:
    """Claims of one ledger: keys that Redis itself removes after `lease`.

    A process that is killed gives nothing back. One that lives renews what it holds, in a thread:
    a pack may be split and asked about for minutes, and may wait for its turn for longer.

    Args:
        client: Whose errors are the caller's.
        lease: Seconds.
    """

    def __init__(self, client: redis.Redis, *, lease: float) -> None:
        self._client = client
        self._lease = round(lease * 1000)  # milliseconds
        self._holder = uuid4().hex.encode()
        self._held: set[bytes] = set()
        self._lock = Lock()
        self._ended = Event()
        self._renewing: Thread | None = None

    def take(self, names: Collection[bytes]) -> set[bytes]:
        """Claim what nobody has claimed, ourselves included, and return it."""
        with self._client.pipeline(transaction=False) as batch:
            for name in names:
                batch.set(CLAIM + name, self._holder, nx=True, px=self._lease)
            taken = {name for name, mine in zip(names, batch.execute(), strict=True) if mine}
        with self._lock:
            self._held |= taken
        self._begin()
        return taken

    def give_back(self, names: Collection[bytes]) -> None:
        """End claims; where Redis is away, they run out by themselves."""
        with self._lock:
            self._held -= set(names)
        with suppress(*_FAILS), self._client.pipeline(transaction=False) as batch:
            for name in names:
                batch.eval(_RELEASE, 1, CLAIM + name, self._holder)
            batch.execute()

    def close(self) -> None:
        """Renew nothing any more; claims that were not given back run out."""
        self._ended.set()
        if self._renewing is not None:
            self._renewing.join(PATIENCE)

    def _begin(self) -> None:
        if self._renewing is None or not self._renewing.is_alive():
            self._renewing = Thread(target=self._renew, name="claims", daemon=True)
            self._renewing.start()

    def _renew(self) -> None:
        while not self._ended.wait(self._lease / 1000 / RENEWALS):
            with self._lock:
                held = tuple(self._held)
            with suppress(*_FAILS), self._client.pipeline(transaction=False) as batch:
                for name in held:
                    batch.eval(_RENEW, 1, CLAIM + name, self._holder, self._lease)
                batch.execute()
