"""Looking through a ledger: what is in it, taking it elsewhere, and forgetting."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from reviewstream.core.labelling.ports import LedgerArchive, LedgerEntry, LedgerKey
from reviewstream.core.records.batches import batches
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import PermanentError

BATCH: Final = 500  # entries written or forgotten at once: others that write wait for no more
DIGEST: Final = 32  # bytes of a SHA-256

# What records can hold, by their schema: a label that is taken over gets into records.
Int: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
Long: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Holding(Struct, frozen=True, kw_only=True):
    """What a ledger has of one model and prompt.

    Attributes:
        model: The name of the ledger's keys.
        cost_micro_usd: Millionths of a US dollar that the labels cost when they were bought.
        oldest: When the first of them was bought, UTC.
        newest: When the last of them was bought, UTC.
    """

    model: str
    prompt_version: int
    labels: int
    prompt_tokens: int
    completion_tokens: int
    cost_micro_usd: int
    oldest: datetime
    newest: datetime

    def plus(self, other: "Holding") -> "Holding":
        """Return the sum of two of the same model and prompt."""
        return Holding(
            model=self.model,
            prompt_version=self.prompt_version,
            labels=self.labels + other.labels,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_micro_usd=self.cost_micro_usd + other.cost_micro_usd,
            oldest=min(self.oldest, other.oldest),
            newest=max(self.newest, other.newest),
        )


class Selection(Struct, frozen=True, kw_only=True):
    """Some entries of a ledger: those for which everything that is given holds.

    Attributes:
        before: Bought before this moment.
        model: As `Holding` names it.
        request_id: Of the request that they were bought with: all of one pack.
    """

    before: datetime | None = None
    model: str | None = None
    prompt_version: int | None = None
    request_id: str | None = None

    def takes(self, key: LedgerKey, entry: LedgerEntry) -> bool:
        """Say whether an entry is selected."""
        return (
            (self.before is None or entry.labelled_at < self.before)
            and self.model in {None, key.model}
            and self.prompt_version in {None, key.prompt_version}
            and self.request_id in {None, entry.request_id}
        )


class _Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry in an export; `answered_by` is the model as the endpoint names it."""

    model: str
    prompt_version: Int
    text_sha256: str
    sentiment: Sentiment
    confidence: Annotated[float, Meta(ge=0, le=1)] | None
    answered_by: str
    prompt_tokens: Int
    completion_tokens: Int
    cost_micro_usd: Long
    request_id: str | None
    labelled_at: Annotated[datetime, Meta(tz=True)]


_decoder = msgspec.json.Decoder(_Line)


def holdings(ledger: LedgerArchive) -> tuple[Holding, ...]:
    """Sum a ledger up by model and prompt, sorted."""
    sums: dict[tuple[str, int], Holding] = {}
    for key, entry in ledger.entries():
        name = (key.model, key.prompt_version)
        one = _holding(key, entry)
        sums[name] = sums[name].plus(one) if name in sums else one
    return tuple(sums[name] for name in sorted(sums))


def prune(ledger: LedgerArchive, selection: Selection) -> int:
    """Forget the selected entries, and return how many there were."""
    chosen = (key for key, entry in ledger.entries() if selection.takes(key, entry))
    return sum(ledger.forget(batch) for batch in batches(chosen, BATCH))


def export(ledger: LedgerArchive) -> Iterator[bytes]:
    """Return every entry as a line of JSON, without its newline."""
    for key, entry in ledger.entries():
        line = _Line(
            model=key.model,
            prompt_version=key.prompt_version,
            text_sha256=key.text_sha256.hex(),
            sentiment=entry.sentiment,
            confidence=entry.confidence,
            answered_by=entry.model,
            prompt_tokens=entry.prompt_tokens,
            completion_tokens=entry.completion_tokens,
            cost_micro_usd=entry.cost_micro_usd,
            request_id=entry.request_id,
            labelled_at=entry.labelled_at,
        )
        yield msgspec.json.encode(line)


def restore(ledger: LedgerArchive, lines: Iterable[bytes], name: str) -> int:
    """Record the lines of an export; what the ledger has already stays as it is.

    Args:
        ledger: To record in.
        lines: Of the export.
        name: Of its file, for errors.

    Returns:
        How many lines there were.

    Raises:
        PermanentError: a line is not of an export; those before it may be recorded.
    """
    numbered = enumerate(lines, 1)
    read = (_read(f"{name}, line {number}", line) for number, line in numbered if line.strip())
    count = 0
    for batch in batches(read, BATCH):
        ledger.record(dict(batch))
        count += len(batch)
    return count


def _read(place: str, line: bytes) -> tuple[LedgerKey, LedgerEntry]:
    try:
        one = _decoder.decode(line)
        key, labelled_at = _key(one), one.labelled_at.astimezone(UTC)
    # OverflowError: of a date that is none in UTC. The others are one kind since msgspec 0.21.
    except (msgspec.MsgspecError, OverflowError, ValueError) as err:
        raise PermanentError(f"{place} is not of an exported ledger: {err}") from err
    entry = LedgerEntry(
        sentiment=one.sentiment,
        confidence=one.confidence,
        model=one.answered_by,
        prompt_tokens=one.prompt_tokens,
        completion_tokens=one.completion_tokens,
        cost_micro_usd=one.cost_micro_usd,
        request_id=one.request_id,
        labelled_at=labelled_at,
    )
    return key, entry


def _key(line: _Line) -> LedgerKey:
    digest = bytes.fromhex(line.text_sha256)
    if len(digest) != DIGEST:
        raise ValueError(f"text_sha256: {len(digest)} bytes ({DIGEST})")
    return LedgerKey(model=line.model, prompt_version=line.prompt_version, text_sha256=digest)


def _holding(key: LedgerKey, entry: LedgerEntry) -> Holding:
    return Holding(
        model=key.model,
        prompt_version=key.prompt_version,
        labels=1,
        prompt_tokens=entry.prompt_tokens,
        completion_tokens=entry.completion_tokens,
        cost_micro_usd=entry.cost_micro_usd,
        oldest=entry.labelled_at,
        newest=entry.labelled_at,
    )
