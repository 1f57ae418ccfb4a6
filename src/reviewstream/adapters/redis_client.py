"""A Redis of the user's, and its errors in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from reviewstream.adapters.trust import tls_failure, trusting
from reviewstream.errors import ConfigError, TransientError

SETTING: Final = "ledger.url (REVIEWSTREAM_LEDGER_URL)"
_AUTHORITY: Final = "url with ?ssl_ca_certs=FILE at its end"

# Said once more, as redis 5 looks at no name by itself; in the URL they would win over ours.
_CHECKS: Final = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
_AS_OURS: Final = {"ssl_cert_reqs": {"required"}, "ssl_check_hostname": {"true", "True", "1"}}
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
        ConfigError: The URL is malformed, or says how to check a certificate.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        try:
            self._where = _address(url)
            self.client = redis.Redis.from_url(
                url,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
                **_checks(url),
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
            ConfigError: It refuses us, or is not the one that we trust, or something else is under
                the key.
        """
        try:
            yield
        except _REFUSED as err:
            raise ConfigError(f"{self._where}: {err}: see {SETTING}") from err
        except _PASSING as err:
            who = f"the ledger in {self._where}"
            if distrusted := tls_failure(err, who, section="ledger", authority=_AUTHORITY):
                raise distrusted from err
            raise TransientError(f"{who} is away: {err}") from err
        except (redis.RedisError, msgspec.MsgspecError) as err:  # another program's data, perhaps
            raise ConfigError(f"{self._where}, {key}: {err}: see {SETTING}") from err


def _checks(url: str) -> dict[str, Any]:
    """Return how certificates are checked: a URL cannot say otherwise."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    if said := [name for name in _CHECKS if set(query.get(name, ())) - _AS_OURS[name]]:
        raise ConfigError(
            f"{SETTING}: leave {said[0]} out: certificates are checked, name included"
        )
    for file in query.get("ssl_ca_certs", ()):
        trusting(file, setting=SETTING)  # a file that cannot be used would be tried again
    return _CHECKS if parts.scheme == "rediss" else {}


def _address(url: str) -> str:
    """Return a URL without user, password and query, to be shown."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
