"""Does everything add up? Every line is in one topic, every labelled review is in the index."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from reviewstream.core.outcomes import Ok
from reviewstream.core.parsing import is_blank, parse_review
from reviewstream.ports import LineReader, RecordLog
from reviewstream.wire.avro import AvroCodec
from reviewstream.wire.framing import Line, Oversized
from reviewstream.wire.schemas import schema_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """Counts of each stage, and the names of what does not fit.

    Attributes:
        read: Lines of the source that are not blank.
        blank: Blank lines of the source.
        labelled: Reviews that the query says it labelled.
        rejected: Records on the topic of rejections.
        published: Records on the topic of labelled reviews.
        distinct: Different review ids among them.
        indexed: Documents.
        missing: Ids of lines that are on no topic, and of labelled reviews that are not in the
            index. A line without a readable id is called by its offset, `@1234`.
        doubled: Ids of lines that are on the topics more than once.
    """

    read: int
    blank: int
    labelled: int
    rejected: int
    published: int
    distinct: int
    indexed: int
    missing: tuple[str, ...]
    doubled: tuple[str, ...]

    @property
    def adds_up(self) -> bool:
        """Say whether nothing is lost and nothing is there twice."""
        return (
            self.read == self.labelled + self.rejected
            and self.labelled == self.published
            and self.indexed == self.distinct
            and not self.missing
            and not self.doubled
        )


@dataclass(slots=True)
class Source:
    """The lines of the source: the offset of each, and the id of those that can be read."""

    blank: int = 0
    ids: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Iterable[Line | Oversized]) -> "Source":
        """Go through the lines."""
        source = cls()
        for line in lines:
            if isinstance(line, Line) and is_blank(line.data):
                source.blank += 1
            else:
                source.ids[line.offset] = _name(line)
        return source


def read_source(reader: LineReader) -> Source:
    """Read everything that the review server has now."""
    reader.hello()
    chunks = reader.read(0, reader.latest(0).head)
    return Source.of(line for lines in chunks for line in lines)


def read_published(log: RecordLog, topic: str) -> Iterator[tuple[str, int]]:
    """Read (review id, offset of its line) of every labelled review on its topic."""
    codec = AvroCodec(schema_text("labelled_review"))
    for record in log.read_all(topic):
        _, fields = codec.decode(record.value or b"")
        yield fields["review_id"], fields["origin"]["offset"]


def read_rejected(log: RecordLog, topic: str) -> Iterator[int]:
    """Read the offset of the line of every rejected review on its topic."""
    codec = AvroCodec(schema_text("rejected_review"))
    for record in log.read_all(topic):
        yield codec.decode(record.value or b"")[1]["origin"]["offset"]


def _name(line: Line | Oversized) -> str:
    outcome = parse_review(line.data) if isinstance(line, Line) else None
    return outcome.value.review_id if isinstance(outcome, Ok) else f"@{line.offset}"


def reconcile(
    source: Source,
    *,
    labelled: int,
    published: Iterable[tuple[str, int]],
    rejected: Iterable[int],
    indexed: Iterable[str],
) -> Reconciliation:
    """Compare the stages.

    Args:
        source: The lines that were served.
        labelled: As the query counted.
        published: (review id, offset) of each record on the topic of labelled reviews.
        rejected: Offset of each record on the topic of rejections.
        indexed: Id of each document.
    """
    records = list(published)
    refused = list(rejected)
    copies = Counter([offset for _, offset in records] + refused)
    ids = {review_id for review_id, _ in records}
    documents = set(indexed)
    return Reconciliation(
        read=len(source.ids),
        blank=source.blank,
        labelled=labelled,
        rejected=len(refused),
        published=len(records),
        distinct=len(ids),
        indexed=len(documents),
        missing=(*_unseen(source.ids, copies), *sorted(ids - documents)),
        doubled=tuple(
            source.ids.get(offset, f"@{offset}") for offset, count in copies.items() if count > 1
        ),
    )


def _unseen(ids: Mapping[int, str], copies: Mapping[int, int]) -> Iterator[str]:
    return (name for offset, name in ids.items() if offset not in copies)
