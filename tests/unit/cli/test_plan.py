"""`reviewstream plan`, on files; nobody is asked."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reviewstream.adapters.openai import prices as price_adapter
from reviewstream.cli import main
from reviewstream.core.labelling.costs import Prices
from reviewstream.samples import expand, write_sample


class Listed:
    """A price list of ours: the vendor's changes."""

    name = "a list, in force on 2026-06-01"
    known = {  # noqa: RUF012
        "gpt-4o-mini": Prices(prompt=150_000, cached=75_000, completion=600_000),
        "thinks": Prices(prompt=100_000, completion=400_000),
        "writes": Prices(prompt=200_000, written=250_000, completion=1_200_000),
        "free": Prices(),
    }

    def prices(
        self, model: str, _provider: str | None, *, prompt_tokens: int | None = None
    ) -> Prices | None:
        assert prompt_tokens
        return self.known.get(model)


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_adapter, "open_price_list", Listed)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REVIEWSTREAM_LEDGER__FILE", str(tmp_path / "ledger.sqlite3"))
    path = tmp_path / "review.json"
    write_sample(path, 100, seed=1)
    return path


def run(path: Path | str, *settings: str, options: tuple[str, ...] = ()) -> Result:
    given = [argument for one in settings for argument in ("-s", one)]
    # Nobody listens there: a plan that asked would fail.
    away = ["-s", "openai.base_url=http://127.0.0.1:1/v1", "-s", "openai.model=gpt-4o-mini"]
    return CliRunner().invoke(
        main, ["plan", str(path), *options, *away, *given], env={"COLUMNS": "200"}
    )


def planned(path: Path | str, *settings: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
    result = run(path, *settings, options=("--json", *options))
    assert result.exit_code == 0, result.output
    body: dict[str, Any] = json.loads(result.stdout)
    return body


def test_a_plan_is_told_as_json(path: Path) -> None:
    body = planned(path)
    assert body["lines"] == 100
    assert body["to_ask"] == 100 - body["copies"]
    assert body["requests"] == -(-body["to_ask"] // 20)
    labels = body["to_ask"] + 4 * body["requests"]  # four control texts in each
    assert body["completion_tokens"] == 15 * labels + 4 * body["requests"]
    assert body["cost_usd"] == pytest.approx(
        (0.15 * body["prompt_tokens"] + 0.6 * body["completion_tokens"]) / 1e6, abs=1e-5
    )
    assert (body["minutes"], body["left_usd"], body["budget"]) == (None, None, None)
    assert body["prices"] == "listed in a list, in force on 2026-06-01"
    assert (body["service_tier"], body["warnings"]) == (None, [])
    assert body["completion_tokens_from"] == "prompt"


def test_a_person_is_told_what_it_is_based_on(path: Path) -> None:
    out = run(path).stdout
    assert "│ lines                           │ 100 │" in out
    assert "15.0 tokens for each label, what prompt version 1 is expected to take" in out
    assert "Prices: listed in a list, in force on 2026-06-01." in out
    assert "Warning" not in out
    assert "Minutes: neither limits.requests_per_minute nor limits.tokens_per_minute is set" in out


def test_reviews_are_read_wherever_serve_reads_them(path: Path) -> None:
    archive = path.with_name("reviews.tgz")
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(path, "a.json")
        tar.add(path, "b.json")
    whole = planned(path)
    assert planned(archive, options=("--member", "b.json")) == whole
    assert planned(f"{archive}:a.json") == whole


def test_limits_say_how_long_it_takes(path: Path) -> None:
    body = planned(path, "limits.requests_per_minute=2")
    assert body["minutes"] == pytest.approx(body["requests"] / 2, rel=0.05)


@pytest.mark.parametrize(
    ("budget", "verdict", "code"),
    [("1", "suffices", 0), ("0.0001", "too small", 1), ("0", "too small", 1)],
)
def test_it_is_said_whether_the_budget_suffices(
    path: Path, budget: str, verdict: str, code: int
) -> None:
    result = run(path, f"limits.budget_usd={budget}", options=("--json",))
    assert result.exit_code == code, result.output
    body = json.loads(result.stdout)
    assert (body["budget"], body["left_usd"]) == (verdict, float(budget))


def test_a_budget_that_a_plan_nearly_fills_is_tight(path: Path) -> None:
    cost = planned(path)["cost_usd"]
    assert planned(path, f"limits.budget_usd={cost * 1.05:.9f}")["budget"] == "tight"
    out = run(path, f"limits.budget_usd={cost * 1.05:.9f}").stdout
    assert "which is hardly enough: an estimate may be a tenth off" in out


def test_given_prices_win_and_are_said_to_be_given(path: Path) -> None:
    given = ("openai.input_usd_per_million=0", "openai.output_usd_per_million=1000")
    body = planned(path, *given)
    assert body["cost_usd"] == pytest.approx(body["completion_tokens"] / 1000)
    assert body["prices"] == "as set"
    assert body["warnings"] == []
    partly = "as set, and listed in a list, in force on 2026-06-01"
    assert planned(path, given[0])["prices"] == partly


def test_standard_and_flex_are_shown_side_by_side(path: Path) -> None:
    body, flex = planned(path), planned(path, "openai.service_tier=flex")
    assert body["cost_usd"] == body["standard_usd"] == flex["standard_usd"]
    assert flex["cost_usd"] == flex["flex_usd"] == body["flex_usd"]
    assert body["flex_usd"] == pytest.approx(body["standard_usd"] / 2, abs=1e-5)
    figures = f"{body['standard_usd']:.4f} / {body['flex_usd']:.4f}"
    assert f"│ at the standard / flex tier │ {figures} │" in run(path).stdout


def test_the_factor_of_a_tier_is_that_of_the_settings(path: Path) -> None:
    body = planned(path, "openai.service_tier=priority", "openai.tier_price_factor=2")
    assert body["cost_usd"] == pytest.approx(2 * body["standard_usd"], abs=1e-5)
    assert body["flex_usd"] == pytest.approx(body["standard_usd"] / 2, abs=1e-5)
    flex = planned(path, "openai.service_tier=flex", "openai.tier_price_factor=0.8")
    assert flex["cost_usd"] == flex["flex_usd"]
    assert flex["flex_usd"] == pytest.approx(0.8 * body["standard_usd"], abs=1e-5)


def test_of_a_tier_of_unknown_price_it_is_said_what_to_set(path: Path) -> None:
    body = planned(path, "openai.service_tier=priority", "limits.budget_usd=1")
    assert (body["cost_usd"], body["budget"]) == (None, None)
    assert body["standard_usd"] > 0
    (warning,) = body["warnings"]
    assert "the price of the service tier priority is unknown: set openai.tier_price" in warning


def test_of_a_model_that_reasons_it_is_said_that_hidden_tokens_are_not_in_it(path: Path) -> None:
    assert planned(path)["warnings"] == []
    (warning,) = planned(path, "openai.model=o3")["warnings"]
    assert warning.startswith("o3 can reason, and its hidden tokens are billed as answers")
    assert "Warning: o3 can reason" in run(path, "openai.model=o3").stdout


@pytest.mark.parametrize(
    ("model", "effort", "dialect", "warnings"),
    [
        ("gpt-5.1", "auto", "openai", 0),  # takes none
        ("gpt-5.1", "auto", "deepseek", 1),  # which does not take none
        ("gpt-5.1", "low", "openai", 1),
        ("o3", "auto", "openai", 1),  # low is the least that it takes
        ("o3", "none", "openai", 0),
    ],
)
def test_a_model_that_is_asked_not_to_reason_has_no_hidden_tokens(
    path: Path, model: str, effort: str, dialect: str, warnings: int
) -> None:
    given = (f"model={model}", f"reasoning_effort={effort}", f"dialect={dialect}")
    body = planned(path, *(f"openai.{one}" for one in given))
    assert len(body["warnings"]) == warnings


def test_of_a_model_that_charges_for_its_cache_it_is_said_how_to_avoid_that(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (warning,) = planned(path, "openai.model=writes")["warnings"]
    assert "(listed: 0.25 US dollars a million)" in warning
    monkeypatch.setenv(
        "REVIEWSTREAM_OPENAI__EXTRA_BODY", '{"prompt_cache_options": {"mode": "explicit"}}'
    )
    assert planned(path, "openai.model=writes")["warnings"] == []


def test_a_listed_price_of_0_is_told_of(path: Path) -> None:
    body = planned(path, "openai.model=free")
    assert body["cost_usd"] == 0
    (warning,) = body["warnings"]
    assert "openai.input_usd_per_million and openai.output_usd_per_million" in warning


def test_without_a_list_a_price_must_be_set(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_adapter, "open_price_list", lambda: None)
    body = planned(path)
    assert body["cost_usd"] is None
    assert "genai-prices, which lists prices, is not installed" in body["prices"]


def test_of_an_unknown_model_it_is_said_that_no_price_is_known(path: Path) -> None:
    out = run(path, "openai.model=llama").stdout
    assert "│ US dollars                  │     ? │" in out
    assert "Prices: no price of llama is known: set openai.input_usd_per_million and" in out
    assert planned(path, "openai.model=llama")["cost_usd"] is None


def test_a_budget_for_an_unknown_model_is_one_sentence(path: Path) -> None:
    result = run(path, "openai.model=llama", "limits.budget_usd=1", options=("--progress", "none"))
    assert result.exit_code == 2
    assert result.stderr.startswith("reviewstream: limits.budget_usd is set, and no price of llama")
    assert result.stderr.count("\n") == 1


def test_without_a_ledger_nothing_is_remembered(path: Path) -> None:
    path.write_bytes(b"".join(expand(1, seed=1)) * 1_000)
    assert planned(path, "ledger.enabled=true")["to_ask"] == 1
    assert planned(path, "ledger.enabled=false")["to_ask"] == 4  # 1,000 in a task, 320 at once


def test_a_file_that_is_not_there_is_one_sentence(path: Path) -> None:
    result = run(path.with_name("none.json"))
    assert result.exit_code == 2
    assert "no such file" in result.stderr


def test_lines_that_are_no_review_are_told_by_reason_with_a_line_number(path: Path) -> None:
    path.write_bytes(b"[\n" + path.read_bytes() + b"7\n{}\n")
    body = planned(path)
    assert [(bad["reason"], bad["count"], bad["line"]) for bad in body["no_review"]] == [
        ("NOT_AN_OBJECT", 2, 1),
        ("MISSING_FIELD", 1, 103),
    ]
    assert "NOT_AN_OBJECT, first in line 1 " in run(path).stdout


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"", "empty"),
        (b"id,rating,body\n1,5,fine\n", "CSV with columns id, rating, body"),
        (b'[\n  {"review_id": "a"}\n]\n', "a JSON array: write one object a line, `jq -c '.[]'"),
        (b'{"id":1,"rating":5,"body":"x"}\n', "JSON lines without review_id"),
    ],
)
def test_a_file_without_a_review_is_a_finding_that_says_what_it_seems_to_be(
    path: Path, text: bytes, kind: str
) -> None:
    path.write_bytes(text)
    result = run(path)
    assert result.exit_code == 1
    assert f"reviewstream: {path} holds no review: it seems to be {kind}" in result.stderr
