"""Measures how long it takes to compare many reviews, and the most memory that it holds.

    python -m benchmarks.reconcile [--reviews 1000000] [--json]

Source, topics and index are made up on the way, in an order that is not that of the ids; the rest
is what `reviewstream reconcile` does: lines are parsed, records decoded, rows sorted by SQLite. One
line is lost, one record is there twice and one document is missing: these must be found.
"""

import argparse
import os
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from benchmarks.command import run
from reviewstream.app import open_sorter, topic_names
from reviewstream.core.delivery.avro import AvroCodec, to_avro
from reviewstream.core.delivery.ports import StoredRecord
from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.reconcile.services import ReconcileRun, ReconcileServices
from reviewstream.core.records.parsing import to_line
from reviewstream.core.records.reviews import LabelledReview, Origin, Provenance, Review, Sentiment
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.records.versions import external_version
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.core.transport.framing import Line
from reviewstream.settings import KafkaSettings
from reviewstream.testing import MemoryIndex, MemoryRegistry

STEP = 7_368_787  # a prime: takes the numbers in an order of its own
LOST, DOUBLED, NOT_INDEXED = 17, 18, 19
REVIEW = Review(
    review_id="",
    user_id="u" * 22,
    business_id="b" * 22,
    stars=3.0,
    text="The soup was warm and the bread was fresh. " * 10,
    written_at=datetime(2020, 1, 1, tzinfo=UTC),
)
VERSION = external_version(REVIEW.written_at, 0)


def name(number: int) -> str:
    """Return an id of 22 characters, as Yelp's have."""
    return f"{number * STEP % 10**11:011}{number:011}"


class Source:
    """Lines of the same length."""

    def __init__(self, reviews: int) -> None:
        self._reviews = reviews
        self._before, self._after = to_line(structs.replace(REVIEW, review_id="?")).split(b"?", 1)
        self.stride = len(self._before) + 22 + len(self._after) + 1

    def lines(self) -> Iterator[Line]:
        """Return them in order."""
        for number in range(self._reviews):
            data = self._before + name(number).encode() + self._after
            yield Line(number * self.stride, data)


class Log:
    """A `RecordLog` of which no record exists before it is read."""

    def __init__(self, reviews: int, stride: int, topics: TopicNames, schema_id: int) -> None:
        self._reviews = reviews
        self._stride = stride
        self._topics = topics
        self._schema_id = schema_id

    def ensure(self, topics: Sequence[str]) -> Sequence[str]:  # noqa: ARG002 - the port's signature
        """Do nothing."""
        return ()

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Return how many there are."""
        return {0: self._reviews if topic == self._topics.labelled else 0}

    def read_all(self, topic: str) -> Iterator[StoredRecord]:
        """Make the records, as if they came from many partitions."""
        if topic != self._topics.labelled:
            return
        codec, fields = AvroCodec(schema_text("labelled_review")), _fields()
        for at in range(self._reviews):
            number = at * STEP % self._reviews
            origin = {"source": "made-up", "offset": number * self._stride}
            value = codec.encode(
                fields | {"review_id": name(number), "origin": origin}, self._schema_id
            )
            record = StoredRecord(topic=topic, partition=0, offset=at, key=None, value=value)
            yield from [record] * {LOST: 0, DOUBLED: 2}.get(number, 1)


class Index(MemoryIndex):
    """An index of which no document exists before it is read."""

    def __init__(self, reviews: int) -> None:
        super().__init__()
        self.setup(index_mapping(schema_text("labelled_review")))
        self._reviews = reviews

    def count(self) -> int:
        """Return how many there are."""
        return self._reviews - 2

    def versions(self) -> Iterator[tuple[str, int]]:
        """Make them, in yet another order."""
        numbers = (at * STEP % self._reviews for at in range(self._reviews - 1, -1, -1))
        return ((name(one), VERSION) for one in numbers if one not in {LOST, NOT_INDEXED})


def _fields() -> dict[str, Any]:
    return to_avro(
        LabelledReview.of(
            REVIEW,
            sentiment=Sentiment.NEUTRAL,
            confidence=0.5,
            provenance=Provenance(model="m", prompt_version=1, labelled_at=REVIEW.written_at),
            origin=Origin(source="made-up", offset=0),
        )
    )


def measure(reviews: int) -> dict[str, Any]:
    """Compare, and look at what it took."""
    registry, topics, source = MemoryRegistry(), topic_names(KafkaSettings()), Source(reviews)
    schema_id = registry.register("reviews.labelled-value", schema_text("labelled_review"))
    log = Log(reviews, source.stride, topics, schema_id)
    before = _peak()
    began = time.perf_counter()
    stages = ReconcileServices(log=log, registry=registry, index=Index(reviews), topics=topics)
    sums = ReconcileRun(stages, open_sorter).run("made-up", source.lines())
    seconds = time.perf_counter() - began
    if [(one.fault.value, one.id) for one in sums.named] != [
        ("missing", name(LOST)),
        ("doubled", name(DOUBLED)),
        ("missing", name(NOT_INDEXED)),
    ]:
        raise SystemExit(f"found the wrong ones: {sums.named}")
    return {
        "load": [round(load, 1) for load in os.getloadavg()],
        "reviews": reviews,
        "seconds": round(seconds, 1),
        "peak_before_mib": before,
        "peak_mib": _peak(),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10  # KiB on Linux


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=1_000_000)
    run(parser, lambda options: measure(options.reviews))


if __name__ == "__main__":
    main()
