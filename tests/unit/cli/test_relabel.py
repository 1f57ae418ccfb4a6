"""`reviewstream relabel` says what it finds and does, and ends as it should."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
from click.testing import CliRunner, Result

from reviewstream import app
from reviewstream.app import label_policy
from reviewstream.cli import main
from reviewstream.cli.relabel import ROUNDS
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.labeller import Labeller
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import BudgetExceededError, PermanentError, RateLimitError, TransientError
from reviewstream.settings import LedgerSettings, LimitsSettings, OpenAISettings
from reviewstream.testing import FakeChatModel, FakeClock, NoLimit, judging
from tests.unit.core.relabel.test_relabelling import Bed, labelled

Answer: TypeAlias = Callable[[ChatRequest], ChatAnswer | Exception]

REVIEWS = 40
OPTIONS = ("--progress", "none", "-s", "openai.pack=1", "-s", "openai.concurrency=1")


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    """A topic in memory; what the command opens leads to it."""
    bed = Bed(*(labelled(f"r{number:02}", text=f"text {number}") for number in range(REVIEWS)))

    @asynccontextmanager
    async def open_labeller(
        settings: OpenAISettings, _: LedgerSettings, limits: LimitsSettings
    ) -> AsyncIterator[Labeller]:
        bed.accounts.append(limits.account)
        policy = label_policy(settings)
        yield Labeller(bed.model, bed.ledger, NoLimit(), FakeClock(), policy)

    monkeypatch.setattr(app, "open_log", lambda _: bed.log)
    monkeypatch.setattr(app, "open_registry", lambda _: bed.registry)
    monkeypatch.setattr(app, "open_record_sink", lambda _: bed.log.sink())
    monkeypatch.setattr(app, "open_labeller", open_labeller)
    return bed


def relabel(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["relabel", "--prompt-version", "2", *OPTIONS, *arguments])


@pytest.mark.parametrize(
    ("arguments", "account"),
    [
        ((), "relabel reviews.labelled: prompt 2"),
        (("--generation", "3"), "relabel reviews.labelled: prompt 2, generation 3"),
        (("-s", "limits.account=mine"), "mine"),
    ],
)
def test_each_order_pays_from_an_account_of_its_own_unless_one_is_named(
    bed: Bed, arguments: tuple[str, ...], account: str
) -> None:
    assert relabel(*arguments).exit_code == 0
    assert bed.accounts == [account]


def test_everything_is_labelled_and_counted(bed: Bed) -> None:
    result = relabel("--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    counts = ("records", "reviews", "done", "due", "labelled", "rejected", "from_ledger", "changed")
    assert {name: answer[name] for name in counts} == {
        "records": REVIEWS,
        "reviews": REVIEWS,
        "done": 0,
        "due": REVIEWS,
        "labelled": REVIEWS,
        "rejected": 0,
        "from_ledger": 0,
        "changed": REVIEWS,
    }
    assert answer["cost_micro_usd"] > 0
    assert {one.provenance.prompt_version for one in bed.newest().values()} == {2}


def test_a_second_start_has_nothing_to_do(bed: Bed) -> None:
    assert relabel().exit_code == 0
    result = relabel()
    assert result.exit_code == 0
    assert f"{REVIEWS} have their new label already, 0 are to be labelled." in result.output
    assert "0 labelled" in result.output
    assert len(bed.records()) == 2 * REVIEWS


def test_a_dry_run_says_what_it_may_cost_and_asks_nobody(bed: Bed) -> None:
    result = relabel("--dry-run", "--where", "review_id=r07")
    assert result.exit_code == 0
    assert f"{REVIEWS} reviews, 1 selected: 0 have their new label already, 1" in result.output
    assert "about 1 requests" in result.output
    assert json.loads(relabel("--dry-run", "--json").stdout)["requests"] == REVIEWS
    assert bed.model.requests == []
    assert len(bed.records()) == REVIEWS


def test_what_could_not_be_labelled_is_a_finding(bed: Bed) -> None:
    well = judging(lambda _: Sentiment.NEGATIVE)

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        return PermanentError("refused") if "text 7" in request.user else well(request)

    bed.model = FakeChatModel(answer)
    result = relabel("--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["labelled"], found["rejected"]) == (REVIEWS - 1, 1)


def test_a_record_that_is_no_labelled_review_is_a_finding(bed: Bed) -> None:
    bed.put(b"r99", b"hello")
    result = relabel()
    assert result.exit_code == 1
    assert "; 1 records are no labelled reviews (at " in result.output


def test_a_spent_limit_ends_with_its_code_and_says_how_far_it_came(bed: Bed) -> None:
    well = judging(lambda _: Sentiment.NEGATIVE)
    bed.model = FakeChatModel(
        lambda request: (
            BudgetExceededError("broke") if len(bed.model.requests) > 20 else well(request)
        )
    )
    result = relabel()
    assert result.exit_code == 3
    assert f"of {REVIEWS} reviews have their new label; start again to go on." in result.output
    assert "reviewstream: broke" in result.output
    bed.model = FakeChatModel(well)
    assert relabel().exit_code == 0
    assert len(bed.records()) == 2 * REVIEWS
    assert sum(bed.asked().values()) == REVIEWS - 20


def interrupting(bed: Bed, after: int, answer: Answer) -> FakeChatModel:
    """Return a model that has the process signalled once, while it answers."""

    def interrupted(request: ChatRequest) -> ChatAnswer | Exception:
        if len(bed.model.requests) == after:
            os.kill(os.getpid(), signal.SIGTERM)
        return answer(request)

    return FakeChatModel(interrupted)


def test_a_signal_ends_it_and_what_was_paid_for_is_kept(bed: Bed) -> None:
    well = judging(lambda _: Sentiment.NEGATIVE)
    bed.model = interrupting(bed, ROUNDS + 3, well)
    result = relabel()
    assert result.exit_code == 128 + signal.SIGTERM
    assert "reviewstream: stopped by SIGTERM; requests in flight are finished" in result.stderr
    assert "start again to go on." in result.stderr
    assert len(bed.records()) - REVIEWS == ROUNDS  # of a pack of one each
    paid = sum(bed.asked().values())
    bed.model = FakeChatModel(well)
    assert relabel().exit_code == 0
    assert len(bed.records()) == 2 * REVIEWS
    assert sum(bed.asked().values()) == REVIEWS - paid


@pytest.mark.parametrize(
    "error", [RateLimitError("slow down", retry_after=5), TransientError("away")], ids=repr
)
def test_a_signal_ends_the_wait_for_an_endpoint(bed: Bed, error: Exception) -> None:
    bed.model = interrupting(bed, 12, lambda _: error)
    result = relabel("-s", "openai.startup_timeout=1e6")
    assert result.exit_code == 128 + signal.SIGTERM
    assert f"Stopped with {REVIEWS} left; start again to go on." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--where", "star<=2"), "there is no field 'star'; there are review_id"),
        (("--where", "stars"), "is no condition"),
        (("--generation", "1000"), "1000 is not in the range 1<=x<=999"),
        (("--prompt-version", "77"), "there are 1, 2"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(
    bed: Bed, arguments: tuple[str, ...], said: str
) -> None:
    result = relabel(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert bed.model.requests == []


def test_where_there_is_no_higher_generation_nothing_is_paid_for(bed: Bed) -> None:
    publisher = bed.publisher()
    publisher.publish(labelled("high", generation=999))
    publisher.flush()
    result = relabel()
    assert result.exit_code == 2
    assert "1 of these reviews have a label of generation 999" in result.output
    assert "--where 'generation<999'" in result.output
    assert bed.model.requests == []
    assert relabel("--where", "generation<999").exit_code == 0
