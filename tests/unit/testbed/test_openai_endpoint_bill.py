"""What the mock bills: whole micro-dollars, exactly, and what its client can know of it."""

from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream_testbed.mock_openai.bill import KEPT, Bill, Tokens
from reviewstream_testbed.mock_openai.mock_options import (
    MockPrices,
    Options,
    read_hidden,
    read_prices,
    read_share,
    with_changes,
)

money = st.decimals(0, 1_000, places=4)
counts = st.integers(0, 10**7)


@given(st.tuples(money, money, money), st.tuples(counts, counts, counts), st.sampled_from([1, 2]))
def test_a_request_costs_what_its_tokens_do_rounded_up_once(
    usd: tuple[Decimal, Decimal, Decimal], tokens: tuple[int, int, int], part: int
) -> None:
    prices = read_prices(",".join(map(str, usd)))
    assert prices is not None
    prompt, cached, completion = map(Fraction, usd)
    sent, read, said = tokens[0], min(tokens[1], tokens[0]), tokens[2]
    exact = (sent - read) * prompt + read * cached + said * completion
    assert prices.cost(sent, read, said, Fraction(1, part)) == ceil(exact / part)


def test_a_price_that_no_float_holds_is_exact() -> None:
    prices = read_prices("0.1,0.1,0.1")
    assert prices == MockPrices(*[Fraction(1, 10)] * 3)
    assert read_prices([0.1, "0.1", 0.1]) == prices  # JSON's numbers are taken by their digits
    assert prices is not None
    assert prices.cost(10, 0, 20, Fraction(1)) == 3  # 0.1 * 30 in floats is more, and 4


@pytest.mark.parametrize("given_", ["1,2", "1,2,x", "1,2,-3", "1,2,nan", 7, ["1"]])
def test_prices_that_make_no_sense_are_refused(given_: object) -> None:
    with pytest.raises(ValueError, match=r"price|number"):
        read_prices(given_)


@pytest.mark.parametrize("given_", ["1.1", -0.1, "x", None, "inf"])
def test_a_share_is_from_0_to_1(given_: object) -> None:
    with pytest.raises(ValueError, match=r"cached_share|number"):
        read_share(given_)


@pytest.mark.parametrize("given_", [-1, 1.5, True, "7", 10**9])
def test_hidden_tokens_are_a_whole_number(given_: object) -> None:
    with pytest.raises(ValueError, match="hidden_tokens"):
        read_hidden(given_)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"latency": 1}, "there is no option 'latency'; there are models, hidden_tokens"),
        ({"effort": "heeded"}, "effort is 'heeded' .honoured or ignored"),
        ({"models": "gpt-7"}, "models is 'gpt-7'"),
        ({"tell_limits": 1}, "tell_limits is 1"),
    ],
)
def test_an_option_that_a_room_cannot_change_is_refused(
    fields: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        with_changes(Options(), fields)


def test_options_that_are_not_named_stay() -> None:
    changed = with_changes(Options(hidden_tokens=3), {"cached_share": 0.25})
    assert (changed.hidden_tokens, changed.cached_share) == (3, Fraction(1, 4))


def test_a_bill_tells_what_its_clients_know_and_what_they_cannot() -> None:
    bill = Bill()
    known = bill.add("m", "flex", Tokens(100, 40, 20, 300), 7, "")
    bill.close(known, "whole", told=True)
    unknown = bill.add("m", "default", Tokens(10, 0, 5, 0), 2, "cut")
    bill.close(unknown, "cut", told=False)
    bill.refuse("m", 429, "rate_429")
    shown = bill.shown()
    first, second, third = shown["entries"]
    assert (first["completion_tokens"], first["reasoning_tokens"], first["status"]) == (
        320,
        300,
        200,
    )
    assert (second["delivery"], second["told"]) == ("cut", False)
    assert (third["status"], third["delivery"], third["cost_micro_usd"]) == (429, "error", 0)
    totals = shown["totals"]
    assert (totals["requests"], totals["cost_micro_usd"], totals["prompt_tokens"]) == (3, 9, 110)
    assert totals["told"] == {
        "prompt_tokens": 100, "cached_tokens": 40, "completion_tokens": 320, "cost_micro_usd": 7,
    }  # fmt: skip
    assert totals["untold"]["cost_micro_usd"] == 2


def test_a_bill_keeps_the_newest_entries_and_the_sum_of_all() -> None:
    bill = Bill()
    for _ in range(KEPT + 5):
        bill.close(bill.add("m", "default", Tokens(1), 1, ""), "whole", told=True)
    shown = bill.shown()
    assert len(shown["entries"]) == KEPT
    assert shown["entries"][0]["number"] == 6
    assert shown["totals"]["cost_micro_usd"] == KEPT + 5
