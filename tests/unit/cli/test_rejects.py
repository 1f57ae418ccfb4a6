"""`reviewstream rejects` shows what did not get through, and sends it again."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reviewstream import app
from reviewstream.app import label_policy
from reviewstream.cli import main
from reviewstream.cli.replay import ROUNDS
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.labeller import Labeller
from reviewstream.core.records.parsing import to_line
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import BudgetExceededError
from reviewstream.settings import LedgerSettings, LimitsSettings, OpenAISettings
from reviewstream.testing import FakeChatModel, FakeClock, MemoryTransactionalSink, NoLimit, judging
from tests.unit.core.reconcile.test_reconciliation import review
from tests.unit.core.rejects.test_replaying import LETTERS, Pipeline

OPTIONS = ("-s", "openai.pack=1", "-s", "openai.concurrency=1", "-s", "registry.auto_register=true")
WELL = judging(lambda _: Sentiment.NEGATIVE)


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Two lines with a label, two that are none, twenty that the model refused."""
    bed = Pipeline("a", "b", "", "", *(f"r{number:02}" for number in range(20)))
    for number in bed.ids:
        if number < 2:
            bed.label(number)
        elif number < 4:
            bed.reject(number)
        else:
            bed.refuse(number)

    @asynccontextmanager
    async def open_labeller(
        settings: OpenAISettings, _: LedgerSettings, _limits: LimitsSettings
    ) -> AsyncIterator[Labeller]:
        policy = label_policy(settings)
        yield Labeller(bed.model, bed.ledger, NoLimit(), FakeClock(), policy)

    monkeypatch.setattr(app, "open_log", lambda _: bed.log)
    monkeypatch.setattr(app, "open_registry", lambda _: bed.registry)
    monkeypatch.setattr(
        app, "open_transactional_sink", lambda _, name: MemoryTransactionalSink(bed.log, name)
    )
    monkeypatch.setattr(app, "open_record_sink", lambda _: bed.log.sink())
    monkeypatch.setattr(app, "open_labeller", open_labeller)
    return bed


def rejects(verb: str, *arguments: str | Path) -> Result:
    options = ("--progress", "none", *(OPTIONS if verb == "replay" else ()))
    return CliRunner().invoke(main, ["rejects", verb, *options, *map(str, arguments)])


@pytest.mark.usefixtures("bed")
def test_the_newest_are_listed_and_all_are_counted() -> None:
    result = rejects("list", "--limit", "3")
    assert result.exit_code == 0, result.output
    assert "22 rejects, the newest 3" in result.stdout
    found = json.loads(rejects("list", "--json", "--reason", "not_json").stdout)
    assert found["total"] == 2
    assert sorted(one["id"] for one in found["rejects"]) == ["review.json@200", "review.json@300"]
    assert {one["line"] for one in found["rejects"]} == {"{"}


def test_only_what_has_not_got_through_is_listed_if_so_asked(bed: Pipeline) -> None:
    bed.label(4)
    assert json.loads(rejects("list", "--open", "--json").stdout)["total"] == 21


def test_what_a_line_holds_cannot_control_the_terminal(bed: Pipeline) -> None:
    bed.refuse(1, raw=b"\x1b[31mred\xff")
    assert "\x1b" not in rejects("list", "--limit", "100").stdout
    assert "\x1b" not in rejects("show", "review.json@100").stdout


def test_one_is_shown_with_all_there_is(bed: Pipeline) -> None:
    bed.refuse(1, raw=b"\xff")
    shown = rejects("show", "review.json@400")
    assert shown.exit_code == 0
    for part in ("stage: LABEL", "reason: MODEL_REFUSED", "key: review.json@400", '"r00"'):
        assert part in shown.stdout
    assert rejects("show", "--raw", "review.json@100").stdout_bytes == b"\xff"
    found = json.loads(rejects("show", "--json", "review.json@100").stdout)
    assert found["line_base64"] == "/w=="


PAID = {"attempts": 2, "prompt_tokens": 1_234, "completion_tokens": 56, "cost_micro_usd": 789}


def test_what_was_paid_for_a_rejected_line_is_listed_and_summed_up(bed: Pipeline) -> None:
    bed.refuse(0, paid=PAID)
    bed.refuse(1, paid={"attempts": 1, "cost_micro_usd": 11})
    listed = " ".join(rejects("list", "--limit", "30").stdout.replace("│", " ").split())
    assert "24 rejects; all cost $0.000800" in listed
    assert "paid for" in listed
    found = json.loads(rejects("list", "--json", "--limit", "30").stdout)
    assert (found["total"], found["cost_micro_usd"]) == (24, 800)
    [one] = [one for one in found["rejects"] if one["id"] == "review.json@0"]
    assert {name: one[name] for name in PAID} == PAID
    [cheap] = [one for one in found["rejects"] if one["id"] == "review.json@400"]
    assert {cheap[name] for name in PAID} == {0}


def test_the_cell_of_a_paid_line_says_requests_tokens_and_dollars(
    bed: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    bed.refuse(0, paid=PAID)
    listed = rejects("list", "--limit", "30").stdout
    assert "2 requests, 1,234 + 56 tokens, $0.000789" in listed
    assert listed.count("tokens, $") == 1  # the others were for nothing


def test_nothing_is_said_of_money_where_nothing_was_paid(bed: Pipeline) -> None:
    assert "paid for" not in rejects("list").stdout
    assert "cost" not in rejects("list").stdout
    assert "cost_micro_usd" not in rejects("show", "review.json@400").stdout
    bed.refuse(1, paid=PAID)
    shown = rejects("show", "review.json@100").stdout.splitlines()
    assert {f"{name}: {value}" for name, value in PAID.items()} <= {*shown}
    found = json.loads(rejects("show", "--json", "review.json@100").stdout)
    assert {name: found[name] for name in PAID} == PAID


def test_a_dead_letter_is_shown_with_its_headers_and_its_review(bed: Pipeline) -> None:
    for record, labelled in bed.labels():
        bed.letter(record, message=f"no {labelled.review_id}")
    assert json.loads(rejects("list", "--dlq", "--json").stdout)["total"] == 2
    first = json.loads(rejects("list", "--dlq", "--json").stdout)["rejects"][0]
    found = json.loads(rejects("show", "--dlq", "--json", first["id"]).stdout)
    assert found["detail"] == f"no {found['review']['review_id']}"
    assert found["headers"]["__connect.errors.topic"] == "reviews.labelled"


@pytest.mark.usefixtures("bed")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nobody@1"), "there is no reject 'nobody@1': see `reviewstream rejects list`"),
        (("replay", "nobody@1"), "no such reject: nobody@1"),
        (("replay", "x", "--file", os.devnull), "give IDs, or a --file that has them"),
        (("replay", "--dlq", "--file", os.devnull), "records of --dlq are sent as they are"),
        (("replay", "--file", os.devnull), "has no repaired line"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    result = rejects(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_a_dry_run_counts_and_asks_nobody(bed: Pipeline) -> None:
    result = rejects("replay", "--dry-run")
    assert result.exit_code == 0
    assert "22 rejects to be sent again; 0 have got through already." in result.output
    assert bed.model.requests == []
    assert len(bed.labels()) == 2


def test_all_are_sent_and_a_second_start_sends_what_is_left(bed: Pipeline) -> None:
    result = rejects("replay", "--json")
    assert result.exit_code == 1  # two lines are none still
    found = json.loads(result.stdout)
    assert (found["rejects"], found["sent"], found["refused"]) == (22, 20, 2)
    assert [one["reason"] for one in found["refusals"]] == ["NOT_JSON"] * 2
    assert len(bed.labels()) == 22
    again = rejects("replay", "--reason", "MODEL_REFUSED")
    assert again.exit_code == 0
    assert "0 rejects to be sent again; 20 have got through already." in again.output
    assert "review.json@200: NOT_JSON: $: " in rejects("replay").output
    assert len(bed.labels()) == 22


def test_a_list_that_was_repaired_is_sent(bed: Pipeline, tmp_path: Path) -> None:
    file = tmp_path / "rejects.jsonl"
    assert rejects("list", "--reason", "NOT_JSON", "--out", file).exit_code == 0
    listed = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for number, one in enumerate(listed):
        one["line"] = to_line(review(f"repaired{number}")).decode()
    file.write_text("\n".join(map(json.dumps, listed)), encoding="utf-8")
    result = rejects("replay", "--file", file)
    assert result.exit_code == 0, result.output
    assert {found.review_id for _, found in bed.labels()} == {"a", "b", "repaired0", "repaired1"}


def test_a_spent_limit_ends_with_its_code_and_the_next_start_goes_on(bed: Pipeline) -> None:
    bed.model = FakeChatModel(lambda _: BudgetExceededError("broke"))
    result = rejects("replay", "--reason", "MODEL_REFUSED")
    assert result.exit_code == 3
    assert "0 of 20 got through; start again to go on." in result.output
    assert "reviewstream: broke" in result.output
    bed.model = FakeChatModel(WELL)
    assert rejects("replay", "--reason", "MODEL_REFUSED").exit_code == 0
    assert len(bed.labels()) == 22


def test_a_signal_ends_it_and_the_next_start_goes_on(bed: Pipeline) -> None:
    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        os.kill(os.getpid(), signal.SIGINT)
        return WELL(request)

    bed.model = FakeChatModel(answer)
    result = rejects("replay", "--reason", "MODEL_REFUSED")
    assert result.exit_code == 128 + signal.SIGINT
    assert "reviewstream: stopped by Ctrl-C; requests in flight are finished" in result.stderr
    assert "start again to go on." in result.stderr
    assert len(bed.labels()) == 2 + ROUNDS
    bed.model = FakeChatModel(WELL)
    assert rejects("replay", "--reason", "MODEL_REFUSED").exit_code == 0
    assert len(bed.labels()) == 22


def test_dead_letters_are_put_on_their_topic_once_more(bed: Pipeline) -> None:
    for record, _ in bed.labels():
        bed.letter(record)
    result = rejects("replay", "--dlq")
    assert result.exit_code == 0, result.output
    assert len(bed.labels()) == 4
    assert "0 rejects to be sent again; 2" in rejects("replay", "--dlq").output
    bed.log.append(OutgoingRecord(topic=LETTERS, key=b"k", value=b"v"))
    assert rejects("replay", "--dlq").exit_code == 1
    assert bed.model.requests == []


def test_without_transactions_nobody_is_shut_out(bed: Pipeline) -> None:
    delivery = ("-s", "kafka.delivery=at_least_once")
    assert rejects("replay", "--reason", "MODEL_REFUSED", *delivery).exit_code == 0
    assert bed.log.epochs == {}
    assert len(bed.labels()) == 22


@pytest.mark.parametrize("verb", ["list", "replay"])
def test_a_reason_that_is_none_is_refused_with_the_nearest(verb: str) -> None:
    near, far = (rejects(verb, "--reason", name) for name in ("NOTJSON", "x"))
    assert near.exit_code == far.exit_code == 2
    assert "'NOTJSON' is not a reason. Did you mean NOT_JSON?" in near.output
    assert "There are OTHER, NOT_UTF8, " in " ".join(far.output.split())


def test_the_class_of_an_exception_may_be_any_name() -> None:
    result = rejects("list", "--reason", "DataException", "--dlq")
    assert "is not a reason" not in result.output
