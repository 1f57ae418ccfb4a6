"""Claims among machines that share a Redis, which expire soon after their process has died."""

from collections.abc import Collection
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Final
from uuid import uuid4

import redis

CLAIM: Final = b"reviewstream:buying:"  # prefix of the keys of claims
RENEWALS: Final = 3  # per lease
PATIENCE: Final = 1.0  # seconds that `close` waits for a running renewal

_FAILS: Final = (redis.RedisError, ValueError)  # ValueError: the server is not a Redis

# An expired claim may belong to another process: only its holder removes or renews a claim.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
"""
_RENEW: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
"""


class RedisClaims:
    """Claims of one ledger: Redis keys that expire after `lease`.

    A killed process releases nothing. A live one renews its claims in a thread, because a batch
    may be split and retried for minutes, and may wait for its turn for longer.

    Args:
        client: Client of Redis; its errors are raised unchanged.
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
        """Claim those names that no process has claimed, including this one, and return them."""
        with self._client.pipeline(transaction=False) as batch:
            for name in names:
                batch.set(CLAIM + name, self._holder, nx=True, px=self._lease)
            taken = {name for name, mine in zip(names, batch.execute(), strict=True) if mine}
        with self._lock:
            self._held |= taken
        self._begin()
        return taken

    def give_back(self, names: Collection[bytes]) -> None:
        """Release claims; if Redis is unavailable, they expire."""
        with self._lock:
            self._held -= set(names)
        with suppress(*_FAILS), self._client.pipeline(transaction=False) as batch:
            for name in names:
                batch.eval(_RELEASE, 1, CLAIM + name, self._holder)
            batch.execute()

    def close(self) -> None:
        """Stop the renewal; claims that were not released expire."""
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
