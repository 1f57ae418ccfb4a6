"""Options of the endpoint: given at the start, or changed by a room."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reviewstream_testbed.openai_endpoint.rate_limits import Limits

MAX_HIDDEN: Final = 1_000_000  # tokens for a review
EFFORT: Final = ("honoured", "ignored")


class Prices(NamedTuple):
    """US dollars for a million tokens, exactly; so they are micro-dollars for one."""

    prompt: Fraction
    cached: Fraction
    completion: Fraction

    def cost(self, prompt: int, cached: int, completion: int, factor: Fraction) -> int:
        """Return what one request costs, in whole micro-dollars, rounded up.

        Args:
            prompt: Tokens, the cached ones included.
            cached: Tokens.
            completion: Tokens, the hidden ones included.
            factor: Of the tier.
        """
        parts = (prompt - cached) * self.prompt, cached * self.cached, completion * self.completion
        return ceil(sum(parts, Fraction(0)) * factor)


class Recording(NamedTuple):
    """Where answers come from, in place of the mock's own.

    Attributes:
        folder: The cassette: a file for each exchange.
        url: The endpoint that is asked, with its `/v1`; empty: only recorded answers are given.
    """

    folder: Path
    url: str = ""


class Options(NamedTuple):
    """Behaviour of the endpoint.

    Attributes:
        latency: Seconds before every answer.
        api_key: The only key accepted; None: every key that begins with `sk-`.
        judge: A key of `JUDGES`.
        limits: What every room may ask per minute.
        dialect: A key of `DIALECTS`.
        models: Names of models that there are besides OpenAI's.
        hidden_tokens: What a model that reasons thinks for a review, under medium effort.
        effort: `honoured`, or `ignored`: the hidden tokens are the same under any effort.
        cached_share: Of the prompt's tokens that are told, and billed, as cached.
        prices: What tokens cost; None: nothing is told of costs.
        tell_limits: Headers tell the usual limits where none is enforced.
        recording: Where answers are recorded or come from; None: they are the mock's.
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
    prices: Prices | None = None
    tell_limits: bool = False
    recording: Recording | None = None


def with_changes(options: Options, fields: Any) -> Options:  # noqa: ANN401 - comes from JSON
    """Return options with those changed that a JSON object names.

    Raises:
        ValueError: it names one that cannot be changed, or one cannot be so.
    """
    for name, value in dict(fields).items():
        if name not in _READ:
            raise ValueError(f"there is no option {name!r}; there are {', '.join(_READ)}")
        options = options._replace(**{name: _READ[name](value)})
    return options


def read_prices(given: object) -> Prices | None:
    """Return the prices that `PROMPT,CACHED,COMPLETION` means, or an array of the three.

    Raises:
        ValueError: it is neither, or one is no number, or below 0.
    """
    if given is None:
        return None
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or len(parts) != len(Prices._fields):
        raise ValueError(f"prices are {given!r} (PROMPT,CACHED,COMPLETION in US dollars a million)")
    found = Prices(*map(_exact, parts))
    if min(found) < 0:
        raise ValueError(f"prices are {given!r} (none below 0)")
    return found


def read_share(given: object) -> Fraction:
    """Return a share.

    Raises:
        ValueError: it is not from 0 to 1.
    """
    share = _exact(given)
    if not 0 <= share <= 1:
        raise ValueError(f"cached_share is {given} (0 to 1)")
    return share


def read_hidden(given: object) -> int:
    """Return a number of tokens.

    Raises:
        ValueError: it is no whole number, or too large.
    """
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MAX_HIDDEN:
        raise ValueError(f"hidden_tokens is {given!r} (a whole number from 0 to {MAX_HIDDEN})")
    return given


def _exact(given: object) -> Fraction:
    """Return the number as it is written: what JSON reads as a float is taken by its digits."""
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
        raise ValueError(f"models is {given!r} (an array of names)")  # noqa: TRY004 - told as all else
    return tuple(map(str, given))


def _flag(given: object) -> bool:
    if not isinstance(given, bool):
        raise ValueError(f"tell_limits is {given!r} (true or false)")  # noqa: TRY004 - likewise
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
