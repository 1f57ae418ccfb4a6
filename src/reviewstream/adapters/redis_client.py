"""A Redis of the user's, and its errors in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from reviewstream.errors import ConfigError, TransientError

SETTING: Final = "ledger.url (REVIEWSTREAM_LEDGER_URL)"

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


class RedisClient:
    """A client that connects when it is first asked, and never retries.

    Args:
        url: `redis://`, `rediss://` or `unix://`; never shown, since it may hold a password.
        timeout: Seconds to wait for an answer.

    Attributes:
        client: The vendor's.

    Raises:
        ConfigError: The URL is malformed.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        try:
            self._where = _address(url)
            self.client = redis.Redis.from_url(
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

    @contextmanager
    def plain_errors(self, key: str) -> Iterator[None]:
        """Turn the vendor's errors about what is kept under a key into ours.

        Raises:
            TransientError: Redis is away.
            ConfigError: It refuses us, or something else is under the key.
        """
        try:
            yield
        except _REFUSED as err:
            raise ConfigError(f"{self._where}: {err}: see {SETTING}") from err
        except _PASSING as err:
            raise TransientError(f"the ledger in {self._where} is away: {err}") from err
        except (redis.RedisError, msgspec.MsgspecError) as err:  # another program's data, perhaps
            raise ConfigError(f"{self._where}, {key}: {err}: see {SETTING}") from err


def _address(url: str) -> str:
    """Return a URL without user, password and query, to be shown."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
