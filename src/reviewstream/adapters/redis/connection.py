"""A client of Redis that reports errors in one sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from reviewstream.adapters.shapes import foreign
from reviewstream.adapters.tls import ssl_context, tls_failure
from reviewstream.asking import asking
from reviewstream.errors import ConfigError, ReviewStreamError, TransientError

SETTING: Final = "ledger.url (REVIEWSTREAM_LEDGER_URL)"
KEEPS: Final = "noeviction"  # the maxmemory-policy without eviction
SHAPES: Final = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)
_AUTHORITY: Final = "url with ?ssl_ca_certs=FILE at its end"

# Set explicitly, because redis 5 does not verify names by default; the URL would override them.
_CHECKS: Final = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
_AS_OURS: Final = {"ssl_cert_reqs": {"required"}, "ssl_check_hostname": {"true", "True", "1"}}
_REFUSED: Final = (
    redis.AuthenticationError,  # a ConnectionError, but permanent
    redis.exceptions.AuthorizationError,
)
_PASSING: Final = (redis.ConnectionError, redis.TimeoutError)
# Failover, loading, or temporarily not writable; the client is soon directed elsewhere.
_RECOVERING: Final = frozenset(
    {
        *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "READONLY"),
        "TRYAGAIN",
    }
)
_ELSEWHERE: Final = frozenset({"ASK", "MOVED"})
_FULL: Final = "OOM"
# redis-py removes the code from the message of errors that it has classes for. Before Redis 7, an
# error inside a script has the code in the middle, after a hyphen.
_CLASSES: Final = (
    (redis.exceptions.MovedError, "MOVED"),  # a subclass of AskError
    (redis.exceptions.AskError, "ASK"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),  # a subclass of ClusterDownError
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),
    (redis.exceptions.ReadOnlyError, "READONLY"),
    (redis.exceptions.TryAgainError, "TRYAGAIN"),
    (redis.exceptions.OutOfMemoryError, "OOM"),
)
_CODE: Final = re.compile(r"(?:^|: ?-)([A-Z]{3,})\b")


class RedisClient:
    """A client that connects on first use, and never retries.

    Args:
        url: `redis://`, `rediss://` or `unix://`; never shown, as it may contain a password.
        timeout: Seconds to wait for an answer.

    Attributes:
        client: redis-py's client.

    Raises:
        ConfigError: The URL is malformed, or changes the verification of certificates.
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
            self.client.connection_pool.make_connection()  # validates the URL's options
        except ValueError:
            raise ConfigError(
                f"{SETTING}: expected redis://[user:password@]host[:port][/database], "
                "or rediss:// or unix://"
            ) from None
        except (TypeError, redis.RedisError):
            options = ", ".join(parse_qs(urlsplit(url).query, keep_blank_values=True))
            raise ConfigError(
                f"{SETTING}: redis-py does not take an option after its question mark ({options})"
            ) from None

    @contextmanager
    def plain_errors(self, key: str) -> Iterator[None]:
        """Map the errors of redis-py for the data under a key to ours.

        Raises:
            TransientError: Redis is unavailable, or fails over.
            ConfigError: It refuses access, is not trusted, is a cluster or full, has other data
                under the key, or is not a Redis.
        """
        try:
            with asking(self._who):
                yield
        except _REFUSED as err:
            raise ConfigError(f"{self._where}: {err}: see {SETTING}") from err
        except _PASSING as err:
            if distrusted := tls_failure(err, self._who, section="ledger", authority=_AUTHORITY):
                raise distrusted from err
            raise self._away(err) from err
        except redis.RedisError as err:
            raise self._answered(err, key) from err
        except msgspec.MsgspecError as err:  # another program's data, perhaps
            raise self._unusable(err, key) from err
        except SHAPES as err:  # the client assumes that every answer is from a Redis
            raise foreign(self._who, repr(err), setting=SETTING) from err

    def eviction(self) -> str:
        """Return a warning if Redis may evict data; empty if it does not.

        A Redis that does not report its policy is assumed to evict nothing.

        Raises:
            ReviewStreamError: See `plain_errors`.
        """
        try:
            with self.plain_errors("INFO"):
                policy = self.client.info("memory").get("maxmemory_policy", KEEPS)
        except ConfigError as err:
            if isinstance(err.__cause__, redis.exceptions.NoPermissionError):
                return ""
            raise
        if policy == KEEPS:
            return ""
        return (
            f"{self._who} may drop labels and accounts when its memory is full (maxmemory-policy"
            f" {policy}), and then they are paid for again: `redis-cli CONFIG SET maxmemory-policy"
            f" {KEEPS}`"
        )

    @property
    def _who(self) -> str:
        return f"the ledger in {self._where}"

    def _away(self, err: Exception) -> TransientError:
        return TransientError(f"{self._who} is away: {err}: see {SETTING}")

    def _unusable(self, err: Exception, key: str) -> ConfigError:
        return ConfigError(f"{self._where}, {key}: {err}: see {SETTING}")

    def _answered(self, err: redis.RedisError, key: str) -> ReviewStreamError:
        """Return our error for an error reply of Redis."""
        code = _code(err)
        if code in _RECOVERING:
            return self._away(err)
        if code in _ELSEWHERE:
            return ConfigError(
                f"{self._where}: a Redis Cluster, which is not supported ({code} {err}): name a"
                f" single server or its replicated set by {SETTING}"
            )
        if code == _FULL:
            return ConfigError(
                f"{self._where}: no room ({err}): raise its maxmemory, with"
                " maxmemory-policy noeviction"
            )
        return self._unusable(err, key)


def _code(err: redis.RedisError) -> str:
    """Return the error code of Redis; empty if it is unknown."""
    for kind, code in _CLASSES:
        if isinstance(err, kind):
            return code
    codes = _CODE.findall(str(err))
    return codes[-1] if codes else ""


def _checks(url: str) -> dict[str, Any]:
    """Return the options that verify certificates; a URL that changes them is refused."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    if said := [name for name in _CHECKS if set(query.get(name, ())) - _AS_OURS[name]]:
        raise ConfigError(
            f"{SETTING}: leave {said[0]} out: certificates are checked, name included"
        )
    for file in query.get("ssl_ca_certs", ()):
        ssl_context(file, setting=SETTING)  # an unusable file would be retried
    return _CHECKS if parts.scheme == "rediss" else {}


def _address(url: str) -> str:
    """Return a URL without user, password and query, for messages."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
