"""`reviewstream rejects replay`: sends rejects and dead letters again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from reviewstream.asking import Call
from reviewstream.cli.context import DONE, FINDINGS, Context
from reviewstream.cli.progress import Stages, stages
from reviewstream.cli.signals import IN_FLIGHT, finishing, in_loop
from reviewstream.cli.terminal import plain
from reviewstream.core.labelling.costs import MILLION
from reviewstream.core.labelling.shutdown import Cancelled
from reviewstream.core.records.batches import bounded
from reviewstream.core.rejects.replaying import Repeater, Replayed, Replayer, ReplayRefusal
from reviewstream.errors import ReviewStreamError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reviewstream.core.delivery.ports import RecordSink
    from reviewstream.core.rejects.listing import Reject, Rejects, Remaining, Wanted

ROUNDS: Final = 8  # sequential requests between two publications
BYTES: Final = 16 << 20  # of lines in memory, approximately
NAMED: Final = 100  # refusals that are listed


class Sender(Protocol):
    """Sends rejects again: `Replayer` or `Repeater`."""

    async def replay(self, rejects: "Sequence[Reject]") -> Replayed:
        """Send rejects; those that succeed are on their topic on return."""
        ...


class Replay:
    """One run of the command.

    Args:
        context: Context of the command.
        rejects: The stored rejects.
        letters: They are the connector's dead letters.
        repaired: Lines by id that replace the rejected ones.
    """

    def __init__(
        self,
        context: Context,
        rejects: "Rejects",
        *,
        letters: bool,
        repaired: "Mapping[str, bytes]",
    ) -> None:
        self._context = context
        self._rejects = rejects
        self._letters = letters
        self._repaired = repaired
        self._done = Replayed()
        self._refusals: list[ReplayRefusal] = []

    def run(self, wanted: "Wanted", *, dry: bool) -> int:
        """Send the selected rejects, print the outcome, and return the exit code."""
        left = self._remaining(wanted) if dry else self._send_all(wanted)
        if self._context.json:
            self._context.emit(self._as_json(left))
        else:
            for sentence in self._told(left, dry=dry):
                self._context.console.print(sentence, markup=False, soft_wrap=True)
        return DONE if dry or self._done.sent == len(left.places) else FINDINGS

    def _remaining(self, wanted: "Wanted") -> "Remaining":
        with Call("reading the topics"):
            return self._rejects.remaining(wanted)

    def _send_all(self, wanted: "Wanted") -> "Remaining":
        from reviewstream import app

        kafka = self._context.settings.kafka
        # Another run is fenced before its results are read.
        with app.open_only_sink(kafka, f"reviewstream-replay-{kafka.labelled_topic}") as sink:
            left = self._remaining(wanted)
            if left.places:
                self._context.warn_of_prices()
                with stages(self._context.progress, self._context.console) as shown:
                    self._try(left, sink, shown)
        return left

    def _try(self, left: "Remaining", sink: "RecordSink", shown: Stages) -> None:
        try:
            asyncio.run(self._send(left, sink, shown))
        except ReviewStreamError:
            self._context.console.print(
                f"{self._done.sent} of {len(left.places)} got through; start again to go on."
            )
            raise

    async def _send(self, left: "Remaining", sink: "RecordSink", shown: Stages) -> None:
        model, total = self._context.settings.openai, len(left.places)
        size = ROUNDS * model.concurrency * model.pack
        async with self._sender(sink) as (sender, end):
            found = self._rejects.at(left.places)
            with finishing(IN_FLIGHT, end) as stop, suppress(Cancelled):
                for some in bounded(found, lambda one: len(one.raw), size=size, room=BYTES):
                    if stop.is_set():
                        break
                    self._done = self._done.plus(await sender.replay(some))
                    shown.update("replayed", self._done.sent + self._done.refused, total)

    @asynccontextmanager
    async def _sender(
        self, sink: "RecordSink"
    ) -> AsyncIterator[tuple[Sender, Callable[[], object]]]:
        """Open the sender; yield it with a function that ends its waits, from any thread."""
        from reviewstream import app
        from reviewstream.core.delivery.publishing import Publisher

        settings = self._context.settings
        if self._letters:
            topic = settings.kafka.labelled_topic
            yield Repeater(sink, topic, self._rejects.labelled, self._refuse), lambda: None
            return
        registry = app.open_registry(settings.registry)
        topics = app.find_topics(settings.kafka, settings.registry, registry)
        # By default all replays of a topic share one budget, also after a restart.
        account = settings.limits.account or f"replay {settings.kafka.labelled_topic}"
        limits = settings.limits.model_copy(update={"account": account})
        async with app.open_labeller(settings.openai, settings.ledger, limits) as labeller:
            replayer = Replayer(
                labeller.label, Publisher(topics, sink), self._refuse, self._repaired
            )
            yield replayer, in_loop(labeller.end)

    def _refuse(self, refusal: ReplayRefusal) -> None:
        if len(self._refusals) < NAMED:
            self._refusals.append(refusal)

    def _as_json(self, left: "Remaining") -> dict[str, Any]:
        return {
            "rejects": len(left.places),
            "through_already": left.through,
            **msgspec.to_builtins(self._done),
            "refusals": msgspec.to_builtins(self._refusals),
        }

    def _told(self, left: "Remaining", *, dry: bool) -> Iterator[str]:
        total, done = len(left.places), self._done
        yield f"{total} rejects to be sent again; {left.through} have got through already."
        if dry:
            return
        yield (
            f"{done.sent} got through, of them {done.from_ledger} with a label from the ledger, "
            f"for {done.cost_micro_usd / MILLION:.6f} US dollars; {done.refused} did not."
        )
        for one in self._refusals:
            yield f"{plain(one.id)}: {one.reason}: {plain(one.detail)}"
        if unsent := total - done.sent - done.refused:
            yield f"Stopped with {unsent} left; start again to go on."
