"""The sentences about a budget."""

import pytest

from reviewstream.core.labelling.limits.budget import no_price, pending_sentence, spent_sentence
from reviewstream.core.labelling.limits.operations import LimitKey, Reply

MODEL = "m"


@pytest.mark.parametrize(
    ("spent", "budget", "cost", "said"),
    [
        (9_800, 10_000, 400, "$0.0098 of $0.01, and the next request may cost $0.0004;"),
        (12_000_000, 12_300_000, 300_001, "$12.00 of $12.30, and the next request may cost $0.30"),
        (0, 0, 1, "$0.00 of $0.00, and the next request may cost $0.000001;"),
    ],
)
def test_whoever_has_spent_all_is_told_of_what_and_how_to_go_on(
    spent: int, budget: int, cost: int, said: str
) -> None:
    terms = LimitKey(model=MODEL, budget_micro_usd=budget)
    sentence = spent_sentence(terms, Reply(spent=spent, is_spent=True), cost)
    assert sentence.startswith(f"the budget is spent: {said}")
    assert sentence.endswith(
        "raise --budget-usd (limits.budget_usd) and start again: nothing is lost"
    )


def test_what_is_reserved_is_not_called_spent() -> None:
    terms = LimitKey(model=MODEL, budget_micro_usd=5_000_000)
    reply = Reply(spent=4_935_000, reserved=1_675_000)
    state = (
        "$3.26 of $5.00, and the next request may cost $0.12"
        " ($1.675 more is reserved for requests in flight)"
    )
    assert spent_sentence(terms, reply, 120_000).startswith(f"the budget is spent: {state};")
    assert pending_sentence(terms, reply, 120_000) == (
        f"waiting until requests in flight are settled: {state}"
    )


def test_whoever_has_no_price_is_told_what_to_set() -> None:
    assert no_price("m") == (
        "no price of m is known: set openai.input_usd_per_million and"
        " openai.output_usd_per_million, to 0 if it costs nothing"
    )
