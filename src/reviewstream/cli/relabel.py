"""`reviewstream relabel`: gives newer labels to reviews that are on their topic."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from reviewstream.cli.context import DONE, FINDINGS, Context, verb
from reviewstream.cli.limits import limited
from reviewstream.cli.progress import Stages, stages
from reviewstream.cli.signals import IN_FLIGHT, finishing, in_loop
from reviewstream.core.labelling.costs import MILLION
from reviewstream.core.records.batches import bounded
from reviewstream.core.relabel.selection import Condition, parse_condition
from reviewstream.errors import ConfigError, ReviewStreamError

if TYPE_CHECKING:
    from reviewstream.core.records.reviews import LabelledReview
    from reviewstream.core.relabel.relabelling import Estimate, Progress
    from reviewstream.core.relabel.scan import RelabelScan, RelabelSpec, ScanResult

ROUNDS: Final = 8  # sequential requests between two publications
CHARACTERS: Final = 16 << 20  # of texts in memory, approximately


def _conditions(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> tuple[Condition, ...]:
    try:
        return tuple(map(parse_condition, given))
    except ConfigError as err:
        raise click.BadParameter(str(err)) from err


@click.command("relabel")
@click.option("--prompt-version", type=int, required=True, help="Label with this prompt version.")
@click.option(
    "--where",
    "conditions",
    multiple=True,
    callback=_conditions,
    metavar="CONDITION",
    help="Only these: 'stars<=2', 'written_at>=2020-01'. Of several, all must hold.",
)
@click.option(
    "--generation",
    type=click.IntRange(1, 999),
    help="Label all that are of a lower generation, whatever their prompt version.",
)
@click.option("--dry-run", is_flag=True, help="Say how many there are, and what they may cost.")
@verb
@limited
def command(
    context: Context,
    *,
    prompt_version: int,
    conditions: tuple[Condition, ...],
    generation: int | None,
    dry_run: bool,
) -> None:
    """Label reviews again that are on their topic, and publish the newer labels.

    Those that have a label of the prompt version already are left as they are: a second start goes
    on where the first one ended. The exit code is 1 if a review could not be labelled or read.
    """
    from reviewstream.core.labelling.prompts import known_version
    from reviewstream.core.relabel.scan import RelabelSpec

    known_version(prompt_version)
    context.warn_of_prices()
    order = RelabelSpec(prompt_version=prompt_version, generation=generation, conditions=conditions)
    with stages(context.progress, context.console) as shown, _opened(context, order) as work:
        survey = work.survey(lambda done, total: shown.update("read", done, total))
        _refuse_spent(survey)
        run = _Run(context, work, order, survey.due, shown)
        done = run.estimated() if dry_run else run.relabelled()
    if context.json:
        context.emit(_as_json(survey, done))
    else:
        for sentence in (_surveyed(survey), *_told(survey, done)):
            context.console.print(sentence, markup=False, soft_wrap=True)
    sys.exit(_code(survey, done))


@contextmanager
def _opened(context: Context, order: "RelabelSpec") -> "Iterator[RelabelScan]":
    from reviewstream import app
    from reviewstream.core.relabel.scan import RelabelScan

    settings = context.settings
    log, registry = app.open_log(settings.kafka), app.open_registry(settings.registry)
    with closing(app.open_versions()) as newest:
        yield RelabelScan(log, settings.kafka.labelled_topic, registry, newest, order)


def _refuse_spent(survey: "ScanResult") -> None:
    if survey.spent:
        raise ConfigError(
            f"{survey.spent} of these reviews have a label of generation 999, the highest there "
            "is: nothing newer can be published for them; leave them out: --where 'generation<999'"
        )


class _Run:
    """One run: the estimate or the relabelling of the due reviews."""

    def __init__(
        self, context: Context, work: "RelabelScan", order: "RelabelSpec", due: int, shown: Stages
    ) -> None:
        from reviewstream.app import priced

        self._settings = context.settings
        # The options of the request depend only on the order.
        update = {"prompt_version": order.prompt_version}
        self._openai = priced(context.settings.openai).model_copy(update=update)
        self._console = context.console
        self._work = work
        self._order = order
        self._due = due
        self._shown = shown

    def estimated(self) -> "Estimate":
        """Estimate the costs."""
        from reviewstream.app import label_policy
        from reviewstream.core.relabel.relabelling import estimate

        return estimate(self._work.due(), label_policy(self._openai))

    def relabelled(self) -> "Progress":
        """Relabel all due reviews, or stop early on a signal."""
        from reviewstream.core.relabel.relabelling import Progress

        self._progress = Progress()
        if not self._due:
            return self._progress
        try:
            asyncio.run(self._relabel())
        except ReviewStreamError:
            done = self._progress.labelled
            self._console.print(
                f"{done} of {self._due} reviews have their new label; start again to go on."
            )
            raise
        return self._progress

    async def _relabel(self) -> None:
        from reviewstream import app
        from reviewstream.core.delivery.publishing import Publisher
        from reviewstream.core.labelling.shutdown import Cancelled
        from reviewstream.core.relabel.relabelling import Relabeller

        settings = self._settings
        registry = app.open_registry(settings.registry)
        topics = app.find_topics(settings.kafka, settings.registry, registry)
        publisher = Publisher(topics, app.open_record_sink(settings.kafka))
        limits = settings.limits.model_copy(update={"account": self._account()})
        async with app.open_labeller(self._openai, settings.ledger, limits) as labeller:
            relabeller = Relabeller(labeller.label, publisher, self._order)
            with finishing(IN_FLIGHT, in_loop(labeller.end)) as stop, suppress(Cancelled):
                for reviews in self._batches():
                    if stop.is_set():
                        break
                    self._progress = await relabeller.relabel(reviews, self._progress)
                    self._shown.update(
                        "labelled", self._progress.labelled + self._progress.rejected, self._due
                    )

    def _batches(self) -> "Iterator[list[LabelledReview]]":
        return bounded(
            self._work.due(),
            lambda review: len(review.text),
            size=ROUNDS * self._openai.concurrency * self._openai.pack,
            room=CHARACTERS,
        )

    def _account(self) -> str:
        """Return the account: by default one per order, so that a restart has the same budget."""
        if self._settings.limits.account is not None:
            return self._settings.limits.account
        topic, order = self._settings.kafka.labelled_topic, self._order
        generation = "" if order.generation is None else f", generation {order.generation}"
        return f"relabel {topic}: prompt {order.prompt_version}{generation}"


def _as_json(survey: "ScanResult", done: "Estimate | Progress") -> dict[str, Any]:
    return {**msgspec.to_builtins(survey), **msgspec.to_builtins(done)}


def _surveyed(survey: "ScanResult") -> str:
    unreadable = ""
    if survey.unreadable:
        first = ", ".join(survey.places)
        unreadable = f"; {survey.unreadable} records are no labelled reviews (at {first})"
    return (
        f"{survey.reviews} reviews, {survey.selected} selected: {survey.done} have their new "
        f"label already, {survey.due} are to be labelled{unreadable}."
    )


def _told(survey: "ScanResult", done: "Estimate | Progress") -> Iterator[str]:
    from reviewstream.core.relabel.relabelling import Estimate

    if isinstance(done, Estimate):
        yield (
            f"They take about {done.requests} requests, {done.prompt_tokens} tokens in and "
            f"{done.completion_tokens} out, or {_dollars(done.cost_micro_usd)}; what the ledger "
            "has is free."
        )
        return
    yield (
        f"{done.labelled} labelled, of them {done.from_ledger} from the ledger, for "
        f"{_dollars(done.cost_micro_usd)}; {done.changed} have another sentiment now; "
        f"{done.rejected} could not be labelled."
    )
    if (left := survey.due - done.labelled - done.rejected) > 0:
        yield f"Stopped with {left} left; start again to go on."


def _dollars(micro_usd: int) -> str:
    return f"{micro_usd / MILLION:.6f} US dollars"


def _code(survey: "ScanResult", done: "Estimate | Progress") -> int:
    from reviewstream.core.relabel.relabelling import Progress

    left = isinstance(done, Progress) and done.labelled < survey.due
    return FINDINGS if left or survey.unreadable else DONE
