"""Prices from a list: ours in these tests, as the vendor's change, and the vendor's as a whole."""

import socket
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.adapters.openai.prices import GenaiPrices, listed_prices, open_price_list, priced
from reviewstream.app import known_prices
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.endpoint.dialects import DIALECTS, Dialect
from reviewstream.settings import OpenAISettings

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
OPENAI = next(one for one in get_snapshot().providers if one.id == "openai")


def usd(
    prompt: str | TieredPrices, completion: str | TieredPrices, cached: str | None = None
) -> ModelPrice:
    asked, said = (Decimal(one) if isinstance(one, str) else one for one in (prompt, completion))
    read = None if cached is None else Decimal(cached)
    return ModelPrice(input_mtok=asked, output_mtok=said, cache_read_mtok=read)


def tiers(base: str, start: int, price: str) -> TieredPrices:
    return TieredPrices(base=Decimal(base), tiers=[Tier(start=start, price=Decimal(price))])


def model(name: str, prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(name), prices=prices)


def listed(
    *models: ModelInfo, other: tuple[ModelInfo, ...] = (), at: datetime = NOON
) -> GenaiPrices:
    providers = [
        Provider(id="openai", name="OpenAI", api_pattern="x", models=list(models)),
        Provider(id="other", name="Other", api_pattern="y", models=list(other)),
    ]
    return GenaiPrices(DataSnapshot(providers=providers, from_auto_update=False), "1.2.3", at)


PLAIN = model("m", usd("0.15", "0.6", "0.075"))
DATED = model("m-2024-05-13", usd("5", "15"))


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    open_price_list.cache_clear()
    yield
    open_price_list.cache_clear()


def test_a_list_has_a_name_a_version_and_a_day() -> None:
    assert listed().name == "genai-prices 1.2.3, in force on 2026-06-01"


def test_a_dated_model_has_its_own_price() -> None:
    prices = listed(PLAIN, DATED)
    assert prices.prices("m", None) == Prices(prompt=150_000, cached=75_000, completion=600_000)
    assert prices.prices("m-2024-05-13", None) == Prices(prompt=5_000_000, completion=15_000_000)


@pytest.mark.parametrize("name", ["", "m-2031-01-01", "m-tuned", "llama"])
def test_nothing_is_guessed_of_an_unknown_model(name: str) -> None:
    assert listed(PLAIN, DATED).prices(name, None) is None


def test_a_model_is_known_by_its_name_in_the_list_too() -> None:
    tuned = ModelInfo(id="ft:m", match=ClauseEquals("ft:m-2024"), prices=usd("1", "2"))
    expected = Prices(prompt=1_000_000, completion=2_000_000)
    assert [listed(tuned).prices(name, None) for name in ("ft:m", "ft:m-2024", "ft:")] == [
        expected,
        expected,
        None,
    ]


def test_a_listed_model_without_a_price_for_tokens_has_the_price_0() -> None:
    prices = listed(model("m", ModelPrice(input_mtok=Decimal(1))), model("free", ModelPrice()))
    assert prices.prices("m", None) == Prices(prompt=1_000_000)
    assert prices.prices("free", None) == Prices()


def test_a_model_is_looked_up_under_its_provider_alone() -> None:
    prices = listed(PLAIN, other=(model("n", usd("1", "2")),))
    assert prices.prices("n", "other") == Prices(prompt=1_000_000, completion=2_000_000)
    assert prices.prices("n", None) is None
    assert prices.prices("m", "other") is None
    assert prices.prices("m", "nobody") is None


def test_a_price_below_a_micro_dollar_is_rounded_up() -> None:
    prices = listed(model("m", usd("0.0000001", "0.1380001"))).prices("m", None)
    assert prices == Prices(prompt=1, completion=138_001)


def test_a_price_of_writing_to_the_cache_is_known() -> None:
    written = ModelPrice(
        input_mtok=Decimal(1), output_mtok=Decimal(2), cache_write_mtok=Decimal("1.25")
    )
    prices = listed(model("m", written)).prices("m", None)
    assert prices == Prices(prompt=1_000_000, written=1_250_000, completion=2_000_000)


@pytest.mark.parametrize(("longest", "prompt"), [(None, 4), (1_001, 4), (1_000, 2), (0, 2)])
def test_a_price_for_long_requests_counts_if_a_request_can_be_so_long(
    longest: int | None, prompt: int
) -> None:
    prices = listed(model("m", usd(tiers("2", 1_000, "4"), "3")))
    found = prices.prices("m", None, prompt_tokens=longest)
    assert found == Prices(prompt=prompt * 1_000_000, completion=3_000_000)


def test_a_lower_price_for_long_requests_is_no_ceiling() -> None:
    found = listed(model("m", usd(tiers("2", 1_000, "1"), "3"))).prices("m", None)
    assert found == Prices(prompt=2_000_000, completion=3_000_000)


@pytest.mark.parametrize(("day", "prompt"), [(date(2026, 5, 31), 1), (date(2026, 6, 1), 2)])
def test_a_price_is_the_one_in_force_on_the_day(day: date, prompt: int) -> None:
    dated = [
        ConditionalPrice(prices=usd("1", "1")),
        ConditionalPrice(StartDateConstraint(date(2026, 6, 1)), prices=usd("2", "1")),
        ConditionalPrice(StartDateConstraint(date(2026, 6, 2)), prices=usd("3", "1")),
    ]
    prices = listed(model("m", dated), at=datetime.combine(day, time(23, 59), tzinfo=UTC))
    found = prices.prices("m", None)
    assert found is not None
    assert found.prompt == prompt * 1_000_000


@pytest.mark.parametrize("hour", range(24))
@pytest.mark.parametrize(("base", "by_day"), [("1", "2"), ("2", "1")])
def test_of_prices_that_depend_on_the_hour_the_highest_counts(
    hour: int, base: str, by_day: str
) -> None:
    hours = TimeOfDateConstraint(time(8, tzinfo=UTC), time(16, tzinfo=UTC))
    by_hour = [
        ConditionalPrice(prices=usd(base, "1")),
        ConditionalPrice(hours, prices=usd(by_day, "1")),
    ]
    prices = listed(model("m", by_hour), at=NOON.replace(hour=hour))
    found = prices.prices("m", None)
    assert found is not None
    assert found.prompt == 2_000_000


def test_prices_that_the_user_did_not_set_are_those_of_the_list() -> None:
    settings = priced(OpenAISettings(model="m"), listed(PLAIN))
    assert known_prices(settings) == Prices(prompt=150_000, cached=75_000, completion=600_000)


@pytest.mark.parametrize(
    ("given_prices", "expected"),
    [
        # A discount of the list means nothing beside a price that was set.
        ({"input_usd_per_million": 0}, (0, None, 0.6)),
        ({"input_usd_per_million": 0, "cached_input_usd_per_million": 0.1}, (0, 0.1, 0.6)),
        ({"output_usd_per_million": 0}, (0.15, 0.075, 0)),
        ({"cached_input_usd_per_million": 0}, (0.15, 0, 0.6)),
        ({"input_usd_per_million": 3, "output_usd_per_million": 4}, (3, None, 4)),
    ],
)
def test_each_price_that_the_user_set_wins(
    given_prices: dict[str, Any], expected: tuple[float, float | None, float]
) -> None:
    settings = priced(OpenAISettings(model="m", **given_prices), listed(PLAIN))
    assert expected == (
        settings.input_usd_per_million,
        settings.cached_input_usd_per_million,
        settings.output_usd_per_million,
    )


@given(*[st.none() | st.integers(0, 10**9).map(lambda micro: micro / 1e6)] * 3)
def test_settings_that_were_priced_stay_so_without_a_list(
    prompt: float | None, cached: float | None, completion: float | None
) -> None:
    given_settings = OpenAISettings(
        model="m",
        input_usd_per_million=prompt,
        cached_input_usd_per_million=cached,
        output_usd_per_million=completion,
    )
    settings = priced(given_settings, listed(PLAIN))
    assert priced(settings, listed()) is settings


@given(st.decimals(0, 1_000, places=6), st.decimals(0, 1_000, places=6))
def test_a_listed_price_comes_through_the_settings_exactly(
    prompt: Decimal, completion: Decimal
) -> None:
    prices = listed(model("m", usd(str(prompt), str(completion))))
    assert known_prices(priced(OpenAISettings(model="m"), prices)) == prices.prices("m", None)


@pytest.mark.parametrize(("pack", "prompt"), [(8_000, 2), (100_000, 4)])
def test_a_request_can_be_as_long_as_the_settings_allow(pack: int, prompt: int) -> None:
    prices = listed(model("m", usd(tiers("2", 272_000, "4"), "3")))
    found = listed_prices(OpenAISettings(model="m", max_pack_tokens=pack), prices)
    assert found is not None
    assert found.prompt == prompt * 1_000_000


@pytest.mark.parametrize(("provider", "prompt"), [("other", 7), (None, 2)])
def test_the_address_decides_whose_prices_count(
    provider: str | None, prompt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect = Dialect(name="any", provider=provider)
    monkeypatch.setattr("reviewstream.adapters.openai.prices.dialect_of", lambda *_: dialect)
    prices = listed(model("m", usd("2", "3")), other=(model("m", usd("7", "9")),))
    found = listed_prices(OpenAISettings(model="m"), prices)
    assert found is not None
    assert found.prompt == prompt * 1_000_000


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_provider_of_a_dialect_is_in_the_installed_list(dialect: Dialect) -> None:
    assert dialect.provider in {None, *(one.id for one in get_snapshot().providers)}


def test_of_an_unknown_model_the_settings_stay_as_they_are() -> None:
    settings = OpenAISettings(model="llama", input_usd_per_million=1)
    assert priced(settings, listed(PLAIN)) is settings
    assert known_prices(settings) is None


@pytest.mark.usefixtures("nothing_installed")
def test_without_the_package_the_prices_that_are_set_count() -> None:
    assert open_price_list() is None
    assert priced(OpenAISettings(model="gpt-4o-mini")) == OpenAISettings(model="gpt-4o-mini")
    given_settings = OpenAISettings(input_usd_per_million=1, output_usd_per_million=2)
    assert known_prices(priced(given_settings)) == Prices(prompt=1_000_000, completion=2_000_000)


@pytest.mark.parametrize("name", [one.id for one in OPENAI.models])
def test_every_model_of_openai_in_the_installed_list_has_prices(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)  # nothing is fetched
    prices = known_prices(priced(OpenAISettings(model=name)))
    assert prices is not None
    assert min(prices.prompt, prices.completion, prices.cached or 0) >= 0
