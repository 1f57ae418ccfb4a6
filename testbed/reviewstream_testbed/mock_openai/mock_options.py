"""Options of the endpoint, set at the start or changed by a tenant."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reviewstream_testbed.mock_openai.rate_limits import Limits

MAX_HIDDEN: Final = 1_000_000  # tokens per review
EFFORT: Final = ("honoured", "ignored")


class MockPrices(NamedTuple):
    """Exact prices in US dollars per million tokens, which are micro-dollars per token."""

    prompt: Fraction
    cached: Fraction
    completion: Fraction

    def cost(self, prompt: int, cached: int, completion: int, factor: Fraction) -> int:
        """Return the cost of one request in whole micro-dollars, rounded up.

        Args:
            prompt: Prompt tokens, including the cached ones.
            cached: Cached prompt tokens.
            completion: Completion tokens, including the hidden ones.
            factor: Price factor of the tier.
        """
        parts = (prompt - cached) * self.prompt, cached * self.cached, completion * self.completion
        return ceil(sum(parts, Fraction(0)) * factor)


class Recording(NamedTuple):
    """A source of answers that replaces the mock's own.

    Attributes:
        folder: The cassette, with one file per exchange.
        url: The endpoint to record, with its `/v1`; if empty, only recorded answers are used.
    """

    folder: Path
    url: str = ""


class Options(NamedTuple):
    """Behaviour of the endpoint.

    Attributes:
        latency: Seconds before every answer.
        api_key: The only accepted key; None accepts every key that begins with `sk-`.
        judge: A key of `JUDGES`.
        limits: Rate limits of each tenant.
        dialect: A key of `DIALECTS`.
        models: Additional model names besides OpenAI's.
        hidden_tokens: Hidden tokens of a reasoning model per review, at medium effort.
        effort: `honoured`, or `ignored`: the hidden tokens are the same at any effort.
        cached_share: Share of the prompt tokens that is reported and billed as cached.
        prices: Token prices; None to report no costs.
        tell_limits: Send headers with the usual limits if no limits are enforced.
        recording: Cassette to replay or record; None for the mock's own answers.
    """

    latency: float = 0.0
    api_key: str | None = None
    judge: str = "lexicon"
    limits: Limits = Limits()
    dialect: str = "openai"
    models: tuple[str, ...] = ()
    hidden_tokens: int = 0
    effort: str = "honoured"
    cached_share: Fraction = Fraction(0)
    prices: MockPrices | None = None
    tell_limits: bool = False
    recording: Recording | None = None


def with_changes(options: Options, fields: Any) -> Options:  # noqa: ANN401 - comes from JSON
    """Return the options, changed by the fields of a JSON object.

    Raises:
        ValueError: A field cannot be changed or has an invalid value.
    """
    for name, value in dict(fields).items():
        if name not in _READ:
            raise ValueError(f"there is no option {name!r}; there are {', '.join(_READ)}")
        options = options._replace(**{name: _READ[name](value)})
    return options


def read_prices(given: object) -> MockPrices | None:
    """Return the prices in `PROMPT,CACHED,COMPLETION` or in an array of the three.

    Raises:
        ValueError: The value has neither form, or a price is not a number or is negative.
    """
    if given is None:
        return None
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or len(parts) != len(MockPrices._fields):
        raise ValueError(f"prices are {given!r} (PROMPT,CACHED,COMPLETION in US dollars a million)")
    found = MockPrices(*map(_exact, parts))
    if min(found) < 0:
        raise ValueError(f"prices are {given!r} (none below 0)")
    return found


def read_share(given: object) -> Fraction:
    """Return a share.

    Raises:
        ValueError: The value is not from 0 to 1.
    """
    share = _exact(given)
    if not 0 <= share <= 1:
        raise ValueError(f"cached_share is {given} (0 to 1)")
    return share


def read_hidden(given: object) -> int:
    """Return a number of tokens.

    Raises:
        ValueError: The value is not a whole number, or is too large.
    """
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MAX_HIDDEN:
        raise ValueError(f"hidden_tokens is {given!r} (a whole number from 0 to {MAX_HIDDEN})")
    return given


def _exact(given: object) -> Fraction:
    """Return the exact decimal number; a float from JSON is converted by its digits."""
    try:
        return Fraction(Decimal(str(given)))
    except (InvalidOperation, ValueError, OverflowError) as err:
        raise ValueError(f"{given!r} is no number") from err


def _effort(given: object) -> str:
    if given not in EFFORT:
        raise ValueError(f"effort is {given!r} ({' or '.join(EFFORT)})")
    return str(given)


def _names(given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ValueError(f"models is {given!r} (an array of names)")  # noqa: TRY004 - the same type as for all fields
    return tuple(map(str, given))


def _flag(given: object) -> bool:
    if not isinstance(given, bool):
        raise ValueError(f"tell_limits is {given!r} (true or false)")  # noqa: TRY004 - as above
    return given


_READ: Final[Mapping[str, Callable[[object], Any]]] = MappingProxyType(
    {
        "models": _names,
        "hidden_tokens": read_hidden,
        "effort": _effort,
        "cached_share": read_share,
        "prices": read_prices,
        "tell_limits": _flag,
    }
)
ROOM_OPTIONS: Final = tuple(_READ)
