"""No text is asked about twice, however reviews come and whoever labels them."""

import asyncio
from collections import Counter
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.ledger.retrying_ledger import CLAIM_PATIENCE
from reviewstream.core.labelling.ports import LabelLedger, LedgerEntry, LedgerKey
from reviewstream.core.labelling.probe import PROBE_TEXT
from reviewstream.core.labelling.prompts import BYTES_PER_TOKEN, MAX_TEXT_TOKENS, as_sent
from reviewstream.core.records.reviews import LabelledReview, RejectedReview, Sentiment
from reviewstream.errors import ConfigError, PermanentError, TransientError
from reviewstream.testing import FakeChatModel, FakeClock, MemoryLedger, NoLimit, judging
from tests.unit.core.labelling.test_labeller import _reviews, _sha256

CEILING = MAX_TEXT_TOKENS * BYTES_PER_TOKEN
texts = st.lists(st.sampled_from(["", "a", "b", "\0", "é", "\ud800", "?"]), max_size=8)


def labeller(
    model: FakeChatModel,
    ledger: LabelLedger,
    *,
    concurrency: int = 3,
    clock: FakeClock | None = None,
    patience: float = CLAIM_PATIENCE,
) -> Labeller:
    policy = LabelPolicy(model="m", concurrency=concurrency, startup_timeout=1e9)
    return Labeller(model, ledger, NoLimit(), clock or FakeClock(), policy, patience=patience)


def asked_about(model: FakeChatModel) -> Counter[str]:
    """Return how often each text was asked about."""
    requests = (msgspec.json.decode(request.user)["reviews"] for request in model.requests)
    return Counter(review["text"] for reviews in requests for review in reviews)


def sentiment_of(text: str) -> Sentiment:
    return list(Sentiment)[len(text.encode()) % 3]


@given(
    batches=st.lists(texts, max_size=6), labellers=st.integers(1, 4), concurrency=st.integers(1, 4)
)
def test_each_text_is_asked_about_once_by_all_who_share_a_ledger(
    batches: list[list[str]], labellers: int, concurrency: int
) -> None:
    model, ledger = FakeChatModel(judging(sentiment_of)), MemoryLedger()
    several = [labeller(model, ledger, concurrency=concurrency) for _ in range(labellers)]

    async def label_all() -> list[list[LabelledReview | RejectedReview]]:
        return await asyncio.gather(
            *(
                several[number % labellers].label(_reviews(*batch))
                for number, batch in enumerate(batches)
            )
        )

    outcomes = asyncio.run(label_all())
    wanted = {as_sent(text) for batch in batches for text in batch}
    assert asked_about(model) == Counter(wanted)
    labelled = [one for each in outcomes for one in each if isinstance(one, LabelledReview)]
    assert [one.text for one in labelled] == [text for batch in batches for text in batch]
    assert all(one.sentiment == sentiment_of(as_sent(one.text)) for one in labelled)
    paid = Counter(as_sent(one.text) for one in labelled if not one.provenance.from_ledger)
    assert paid == Counter(wanted)
    assert ledger.claimed == set()


@given(first=texts, second=texts)
def test_a_second_run_asks_about_what_is_new(first: list[str], second: list[str]) -> None:
    ledger, model = MemoryLedger(), FakeChatModel()
    asyncio.run(labeller(FakeChatModel(), ledger).label(_reviews(*first)))
    asyncio.run(labeller(model, ledger).label(_reviews(*second)))
    assert set(asked_about(model)) == set(map(as_sent, second)) - set(map(as_sent, first))


@given(batch=texts, refused=st.sampled_from(["a", "b", ""]))
def test_what_was_refused_is_not_remembered_and_is_claimed_by_nobody(
    batch: list[str], refused: str
) -> None:
    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        texts = [one["text"] for one in msgspec.json.decode(request.user)["reviews"]]
        return PermanentError("no") if refused in texts else judging(sentiment_of)(request)

    model, ledger = FakeChatModel(answer), MemoryLedger()
    asyncio.run(labeller(model, ledger).label(_reviews(*batch)))
    wanted = set(map(as_sent, batch))
    assert {key.text_sha256 for key in ledger.labels} == set(map(_sha256, wanted - {refused}))
    model.requests.clear()
    asyncio.run(labeller(model, ledger).label(_reviews(*batch)))
    again = asked_about(model)
    del again[PROBE_TEXT]
    assert again == Counter(wanted & {refused})
    assert ledger.claimed == set()


@pytest.mark.anyio
async def test_texts_that_differ_after_what_is_sent_are_one_question() -> None:
    model, ledger = FakeChatModel(), MemoryLedger()
    long = "x" * CEILING
    outcomes = await labeller(model, ledger).label(_reviews(long + "a", long + "b"))
    assert len(model.requests) == 1
    assert all(isinstance(one, LabelledReview) for one in outcomes)


@pytest.mark.anyio
async def test_a_cancelled_purchase_can_be_made_by_another() -> None:
    arrived = asyncio.Event()

    class Hanging(FakeChatModel):
        async def answer(self, request: ChatRequest) -> ChatAnswer:
            arrived.set()
            await asyncio.Event().wait()
            return await super().answer(request)

    ledger, model = MemoryLedger(), FakeChatModel()
    task = asyncio.create_task(labeller(Hanging(), ledger).label(_reviews("a")))
    await arrived.wait()
    waiting = asyncio.create_task(labeller(model, ledger).label(_reviews("a")))
    task.cancel()
    (outcome,) = await waiting
    assert isinstance(outcome, LabelledReview)
    assert len(model.requests) == 1
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.anyio
@pytest.mark.parametrize("several", [True, False], ids=["two tasks", "one task"])
async def test_an_outage_longer_than_anybodys_patience_makes_nobody_ask_twice(
    *, several: bool
) -> None:
    clock, ledger, answered = FakeClock(), MemoryLedger(), Counter[str]()

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        if len(clock.sleeps) < 200:
            return TransientError("HTTP 503")
        answered.update(one["text"] for one in msgspec.json.decode(request.user)["reviews"])
        return judging(sentiment_of)(request)

    first = labeller(FakeChatModel(answer), ledger, clock=clock, patience=1.0)
    second = labeller(FakeChatModel(answer), ledger, clock=clock, patience=1.0)
    pair = (first, second if several else first)
    outcomes = await asyncio.gather(*(one.label(_reviews("a")) for one in pair))
    assert all(isinstance(one, LabelledReview) for (one,) in outcomes)
    del answered[PROBE_TEXT]
    assert answered == {"a": 1}
    assert ledger.claimed == set()


class FillingDisk(MemoryLedger):
    """A ledger on a disk that holds so many labels."""

    def __init__(self, room: int, proof: int) -> None:
        super().__init__()
        self.room, self.proof = room, proof

    def prove(self) -> None:
        if len(self.labels) + self.proof > self.room:
            raise ConfigError("the disk is full")

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        if len(self.labels) + len(entries) > self.room:
            raise ConfigError("a label that was paid for is lost")
        super().record(entries)


@given(room=st.integers(0, 500), concurrency=st.integers(1, 4))
def test_a_disk_that_fills_in_the_middle_of_a_run_costs_no_label_that_was_paid_for(
    room: int, concurrency: int
) -> None:
    model = FakeChatModel(judging(sentiment_of))
    ledger = FillingDisk(room, proof=concurrency * LabelPolicy(model="m").pack)
    with pytest.raises(ConfigError, match="the disk is full"):
        asyncio.run(
            labeller(model, ledger, concurrency=concurrency).label(
                _reviews(*(str(number) for number in range(520)))
            )
        )
    assert asked_about(model).total() == len(ledger.labels)
