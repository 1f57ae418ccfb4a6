"""The HTTP client of an endpoint: connection, time-out, address for messages, API key."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

import openai

from reviewstream.adapters.openai.model_names import HOST
from reviewstream.adapters.openai.response_size import bound_body
from reviewstream.adapters.openai.token_command import TokenCommand
from reviewstream.adapters.tls import client_failure, ssl_context
from reviewstream.errors import ConfigError
from reviewstream.settings import OpenAISettings

NO_KEY: Final = "not-needed"  # sent to self-hosted endpoints, which require no key
FLEX_TIMEOUT: Final = 900.0  # seconds; a flex request may wait that long in a queue


def timeout_of(settings: OpenAISettings) -> float:
    """Return the seconds for one attempt: longer for flex, unless `timeout` is set."""
    if settings.service_tier == "flex" and "timeout" not in settings.model_fields_set:
        return FLEX_TIMEOUT
    return settings.timeout


def http_client(ca_location: str | None) -> openai.DefaultAsyncHttpxClient:
    """Return a client that follows no redirects, and trusts the certificates of a given file."""
    verify: ssl.SSLContext | bool = True
    if ca_location is not None:
        verify = ssl_context(ca_location, setting="openai.ca_location")
    try:
        client = openai.DefaultAsyncHttpxClient(follow_redirects=False, verify=verify)
    except Exception as err:  # one of two HTTP libraries, with different errors
        raise client_failure(err, setting="openai.base_url") from err
    client.headers["accept-encoding"] = "identity"  # answers are short; see `bound_body`
    client.event_hooks["response"].append(bound_body)
    return client


def is_unsent(err: Exception) -> bool:
    """Say whether no connection was made, by the error's name in either HTTP library."""
    return type(err.__cause__).__name__ in {"ConnectError", "ConnectTimeout", "PoolTimeout"}


def address_of(base_url: str) -> str:
    """Return an address without user name, password and query, for messages."""
    try:
        parts = urlsplit(base_url)
    except ValueError:  # a redirect to half an IPv6 address
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def api_key(settings: OpenAISettings) -> str | Callable[[], Awaitable[str]]:
    """Return the key, or the command that prints it.

    Raises:
        ConfigError: It is missing, or no key.
    """
    if settings.api_key_command is not None:
        return TokenCommand(settings.api_key_command)
    key = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    if not key and settings.base_url.startswith(f"https://{HOST}/"):
        raise ConfigError(
            "there is no API key: set OPENAI_API_KEY, REVIEWSTREAM_OPENAI__API_KEY, or api_key"
            " under [openai] in reviewstream.toml"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("the API key holds characters that no key has: copy it again")
    return key or NO_KEY
