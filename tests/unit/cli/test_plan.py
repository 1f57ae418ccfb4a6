"""`reviewstream plan`, on files; nobody is asked."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reviewstream.cli import main
from reviewstream.core.prices import AS_OF
from reviewstream.samples import expand, write_sample


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
    away = ["-s", "openai.base_url=http://127.0.0.1:1/v1"]
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
    assert body["completion_tokens"] == 15 * body["to_ask"] + 4 * body["requests"]
    assert body["cost_usd"] == pytest.approx(
        (0.15 * body["prompt_tokens"] + 0.6 * body["completion_tokens"]) / 1e6, abs=1e-5
    )
    assert (body["minutes"], body["left_usd"], body["budget"]) == (None, None, None)
    assert body["prices"] == f"of {AS_OF}, as listed"
    assert body["completion_tokens_from"] == "prompt"


def test_a_person_is_told_what_it_is_based_on(path: Path) -> None:
    out = run(path).stdout
    assert "│ lines                           │ 100 │" in out
    assert "15.0 tokens for each label, what prompt version 1 is expected to take" in out
    assert f"Prices: of {AS_OF}, as listed." in out
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
    assert planned(path, given[0])["prices"] == f"as set, and of {AS_OF}, as listed"


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
