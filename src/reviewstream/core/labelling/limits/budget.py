"""Messages about a budget: a missing price, spent, reserved, and the cost of the next request."""

from reviewstream.core.labelling.costs import MILLION
from reviewstream.core.labelling.limits.operations import LimitKey, Reply


def no_price(model: str) -> str:
    """Return the message for a model without a price."""
    return (
        f"no price of {model} is known: set openai.input_usd_per_million and"
        " openai.output_usd_per_million, to 0 if it costs nothing"
    )


def spent_sentence(terms: LimitKey, reply: Reply, micro_usd: int) -> str:
    """Return the message for a budget that does not cover the next request."""
    return (
        f"the budget is spent: {_state_phrase(terms, reply, micro_usd)}; raise --budget-usd"
        " (limits.budget_usd) and start again: nothing is lost"
    )


def pending_sentence(terms: LimitKey, reply: Reply, micro_usd: int) -> str:
    """Return the message while it is open whether the budget covers the next request."""
    return f"waiting until requests in flight are settled: {_state_phrase(terms, reply, micro_usd)}"


def _state_phrase(terms: LimitKey, reply: Reply, micro_usd: int) -> str:
    """Return the spent and the reserved amount, and the maximum cost of the next request."""
    settled, budget = _usd(reply.spent - reply.reserved), _usd(terms.budget_micro_usd or 0)
    flight = f" (${_usd(reply.reserved)} more is reserved for requests in flight)"
    return (
        f"${settled} of ${budget}, and the next request may cost ${_usd(micro_usd)}"
        f"{flight if reply.reserved else ''}"
    )


def _usd(micro_usd: int) -> str:
    """Return micro-dollars as dollars with at least two decimals and no further trailing zeros."""
    whole, rest = divmod(micro_usd, MILLION)
    return f"{whole}.{f'{rest:06}'.rstrip('0'):0<2}"
