"""How an endpoint behaves unless a room is told otherwise."""

from typing import NamedTuple

from reviewstream_testbed.openai_endpoint.rate_limits import Limits


class Options(NamedTuple):
    """How the endpoint behaves.

    Attributes:
        latency: Seconds before every answer.
        api_key: The only key accepted; None: every key that begins with `sk-`.
        judge: A key of `JUDGES`.
        limits: What every room may ask per minute.
    """

    latency: float = 0.0
    api_key: str | None = None
    judge: str = "lexicon"
    limits: Limits = Limits()
