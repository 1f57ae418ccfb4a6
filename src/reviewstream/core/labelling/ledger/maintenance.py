"""Maintenance of a ledger: summary, export, import and pruning."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta, Struct

from reviewstream.core.labelling.ports import LedgerArchive, LedgerEntry, LedgerKey
from reviewstream.core.records.batches import batches
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import PermanentError

BATCH: Final = 500  # entries written or removed at once; limits the wait of other writers
DIGEST: Final = 32  # bytes of a SHA-256

# Ranges of the records' schema: imported labels become records.
Int: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
Long: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Holding(Struct, frozen=True, kw_only=True):
    """Summary of a ledger's labels for one model and prompt version.

    Attributes:
        model: Name of the model in ledger keys.
        cost_micro_usd: Total cost of the labels in millionths of a US dollar.
        oldest: Time of the oldest label, UTC.
        newest: Time of the newest label, UTC.
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
        """Return the sum of two summaries of the same model and prompt version."""
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
    """A filter for ledger entries: every given condition must hold.

    Attributes:
        before: Labelled before this time.
        model: Name of the model in ledger keys.
        request_id: Id of the request: selects all labels of one pack.
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
    """One entry of an export; `answered_by` is the model as the endpoint names it."""

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
    """Return a summary per model and prompt version, sorted."""
    sums: dict[tuple[str, int], Holding] = {}
    for key, entry in ledger.entries():
        name = (key.model, key.prompt_version)
        one = _holding(key, entry)
        sums[name] = sums[name].plus(one) if name in sums else one
    return tuple(sums[name] for name in sorted(sums))


def prune(ledger: LedgerArchive, selection: Selection) -> int:
    """Remove the selected entries and return their number."""
    chosen = (key for key, entry in ledger.entries() if selection.takes(key, entry))
    return sum(ledger.forget(batch) for batch in batches(chosen, BATCH))


def export(ledger: LedgerArchive) -> Iterator[bytes]:
    """Yield every entry as a line of JSON, without its newline."""
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
    """Record the lines of an export; existing entries are not overwritten.

    Args:
        ledger: Ledger to write to.
        lines: Lines of the export.
        name: Name of the export's file, for errors.

    Returns:
        Number of lines.

    Raises:
        PermanentError: A line is not a valid entry; those before it may be recorded.
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
    # OverflowError: the date does not exist in UTC. msgspec 0.21 and later raise one kind only.
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
