"""What the pipeline needs from the outside, named from the pipeline's side."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from msgspec import Struct

from reviewstream.core.chat import ChatAnswer, ChatRequest, RateLimits
from reviewstream.core.costs import Prices
from reviewstream.core.limits import Amount, Operation, Reply, Terms
from reviewstream.core.markers import Marker
from reviewstream.core.records import Sentiment
from reviewstream.wire.framing import Line, Oversized
from reviewstream.wire.protocol import Hello, Latest

T = TypeVar("T")


class LineReader(Protocol):
    """Reads a review server's file by offset; connects when it is first asked."""

    def hello(self, fingerprint: str | None = None) -> Hello:
        """Return what is served.

        Args:
            fingerprint: Of the file that is meant; None for any.

        Raises:
            TransientError: The server is away; so for every method here.
            SourceReplacedError: It has another file.
        """
        ...

    def latest(
        self, start: int, *, max_rows: int | None = None, max_bytes: int | None = None
    ) -> Latest:
        """Return how far a reader at `start` may go, never backwards.

        Raises:
            ProtocolError: The server's answer is not at or after `start`.
        """
        ...

    def read(self, start: int, end: int) -> Iterator[list[Line | Oversized]]:
        """Read every line whose first byte lies in [start, end), in order.

        Raises:
            ProtocolError: The server sends what is not in the range.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ChatModel(Protocol):
    """Answers one request."""

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        """Return the model's answer, unread.

        Raises:
            ThrottledError: rate limit.
            UnansweredError: timeout, a connection that broke, or a body that is not a completion.
            TransientError: outage.
            StopError: refused credentials; a `LimitError` if the quota is exhausted.
            PermanentError: this request is refused (too long, malformed).
        """
        ...

    async def aclose(self) -> None:
        """Free the connections."""
        ...


class PriceList(Protocol):
    """Lists the prices of models."""

    @property
    def name(self) -> str:
        """Name, version and day of the list, for a person."""
        ...

    def prices(
        self, model: str, provider: str | None, *, prompt_tokens: int | None = None
    ) -> Prices | None:
        """Return the prices of the standard tier, or None if the model is not listed.

        A price that depends on the time of day or on the length of the request is the highest one
        that is possible. A listed model without a price for some kind of token has 0 for it.

        Args:
            model: Name, as a request has it.
            provider: Id of the endpoint's operator; None: the names are taken to be OpenAI's.
            prompt_tokens: Length of the longest request; None: any length.
        """
        ...


class LedgerKey(Struct, frozen=True, kw_only=True):
    """Cache key of a label.

    Attributes:
        model: The one that was asked, by the name that `openai.ledger_name` says.
        prompt_version: Number in `core.prompts`.
        text_sha256: Of the UTF-8 of what the model sees of the text; 32 bytes.
    """

    model: str
    prompt_version: int
    text_sha256: bytes


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """A label that was paid for.

    Attributes:
        model: As the endpoint names it in its answer.
        cost_micro_usd: Millionths of a US dollar.
        labelled_at: UTC.
    """

    sentiment: Sentiment
    confidence: float | None
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_micro_usd: int
    request_id: str | None
    labelled_at: datetime


class LabelLedger(Protocol):
    """Remembers every label bought, and which are being bought just now."""

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """Return the entries that exist.

        Raises:
            TransientError: the ledger is away or busy; so for every method but `release`.
            ConfigError: it is damaged, or not a ledger; so for every method but `release`.
        """
        ...

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """Persist entries. Existing ones are not overwritten; all are durable on return."""
        ...

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """Return those keys that the caller alone may now buy; the others are being bought.

        A claim ends with `release`, and soon after the death of its process.
        """
        ...

    def release(self, keys: Collection[LedgerKey]) -> None:
        """Give claims back; keys that are not claimed are fine."""
        ...

    def prove(self) -> None:
        """See that labels can be written: there is room, and permission.

        To be called before anything is bought. It changes no label and no claim, and costs little
        where it has succeeded before.

        Raises:
            TransientError: the ledger is away, busy, or only a copy that takes no writes.
            ConfigError: it is full, or takes no writes from us.
        """
        ...

    def close(self) -> None:
        """Free the connections, and with them every claim."""
        ...


class LedgerArchive(LabelLedger, Protocol):
    """A ledger that can be looked through."""

    def entries(self) -> Iterator[tuple[LedgerKey, LedgerEntry]]:
        """Return everything that was there at the start of the call, in no order."""
        ...

    def forget(self, keys: Collection[LedgerKey]) -> int:
        """Remove entries, and return how many there were."""
        ...


class RateLimiter(Protocol):
    """One limit and one budget for everyone who asks the model.

    Only `acquire` and `check` raise. What the other methods could not keep is raised by the next
    `acquire` or `check`, so that no answer is lost that was paid for.
    """

    @property
    def tokens_per_minute(self) -> float | None:
        """The smaller of our own limit and the endpoint's, as far as it is known here."""
        ...

    async def acquire(self, most: Amount) -> None:
        """Wait until one request of this much may be made, and reserve that much.

        Raises:
            LimitError: it would overdraw the budget, or the run was ended.
            StopError: what is shared stays away.
            ConfigError: what is shared is damaged.
        """
        ...

    def give_up(self, reserved: Amount) -> None:
        """Give back what was acquired for a request that is not made."""
        ...

    def end(self, why: str) -> None:
        """End every task of this run: a budget or a quota is spent."""
        ...

    async def check(self) -> None:
        """Let nobody pass after the end of the run.

        Raises:
            LimitError: another task has ended it.
            ConfigError: what is shared is damaged.
        """
        ...

    def settle(self, reserved: Amount, used: Amount) -> None:
        """Replace what was reserved for one request by what it used, or may have used."""
        ...

    def throttled(self, retry_after: float | None) -> None:
        """Slow everyone down: the endpoint refused a request for its rate.

        Args:
            retry_after: Seconds that nobody may ask for, or None if the endpoint did not say.
        """
        ...

    def learn(self, limits: RateLimits) -> None:
        """Keep to what the endpoint says that it allows.

        It is told of every answer, of those that say nothing too: nobody need wait for it then.
        """
        ...


class LimitStore(Protocol):
    """Keeps what is shared by everyone who asks a model: its pace, and budgets."""

    def apply(self, operation: Operation, terms: Terms) -> Reply:
        """Do an operation of `core.limits`, alone, at the time of the store's own clock.

        Raises:
            TransientError: the store is away or busy.
            ConfigError: it is damaged, or holds something else.
        """
        ...

    def close(self) -> None:
        """Free the connections."""
        ...


class Clock(Protocol):
    """Time and chance."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...

    def jitter(self) -> float:
        """Return a random number in [0, 1)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class OutgoingRecord(Struct, frozen=True, kw_only=True, array_like=True):
    """One Kafka record to be written."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class RecordSink(Protocol):
    """Writes records to a log."""

    def write(self, record: OutgoingRecord) -> None:
        """Queue a record; waits while the queue is full.

        Raises:
            TransientError: the queue stays full, or nobody takes what is in it.
            PermanentError: the record is too large, or the topic does not exist.
        """
        ...

    def flush(self) -> int:
        """Wait until everything queued is acknowledged, and return how many records were.

        Raises:
            TransientError: some records were not acknowledged in time.
            PermanentError: a record was refused.
        """
        ...


class TransactionalSink(Protocol):
    """Writes records and a marker together, or none of them. Of a name, one at a time can write.

    Every method raises a `TransientError` where another sink of the name has been fenced in since,
    or the log is away: a new sink may succeed.
    """

    def fence(self) -> None:
        """Shut out every other sink of this name, and undo what it has not committed."""
        ...

    def marker(self) -> Marker | None:
        """Return the marker that was committed last under this name, or None."""
        ...

    def begin(self) -> None:
        """Begin a transaction; after `fence`."""
        ...

    def write(self, record: OutgoingRecord) -> None:
        """Add a record to the transaction; see `RecordSink.write`."""
        ...

    def commit(self, marker: Marker) -> None:
        """Make the records and the marker visible, all at once.

        Raises:
            TransientError: not done, or nobody knows: the next sink of the name will see.
            PermanentError: a record was refused; nothing is visible.
        """
        ...

    def abort(self) -> None:
        """End the transaction without a trace."""
        ...

    def close(self) -> None:
        """Free the connections; a transaction that is open stays so until somebody fences."""
        ...


class StoredRecord(Struct, frozen=True, kw_only=True):
    """One Kafka record as it was read.

    Attributes:
        stored_at: UTC, to the millisecond; None if the log does not say.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    stored_at: datetime | None = None


class RecordLog(Protocol):
    """Keeps records in topics (Kafka), seen from outside of the stream."""

    def ensure(self, topics: Sequence[str]) -> Sequence[str]:
        """Create the topics that do not exist, and return those."""
        ...

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Return the offset after the last record of each partition.

        Raises:
            PermanentError: no such topic.
        """
        ...

    def read_all(self, topic: str) -> Iterator[StoredRecord]:
        """Read every committed record that was there at the start of the call.

        Raises:
            PermanentError: no such topic.
            TransientError: the log stopped answering, or records are hidden by a transaction that
                nobody ends.
        """
        ...


class Sighting(Struct, frozen=True, kw_only=True):
    """A version of a review, and where it was seen.

    Attributes:
        version: `core.versions.external_version`; None where the review was deleted.
        mark: One word of whoever counts.
    """

    review_id: str
    version: int | None
    partition: int
    offset: int
    mark: str = ""


class NewestVersions(Protocol):
    """Knows the newest version of each review, and may know more of them than memory holds."""

    def see(self, sightings: Iterable[Sighting]) -> None:
        """Take note of versions, in the order in which they were written.

        Of two versions of a review the higher one is the newest, of equal ones the later; after
        a deletion there is none, until the next one comes.

        Raises:
            ConfigError: there is no more room on the disk.
        """
        ...

    def newest(self, review_ids: Collection[str]) -> Mapping[str, Sighting]:
        """Return the newest versions of some reviews; of unknown and deleted ones, nothing."""
        ...

    def count(self) -> Mapping[str, int]:
        """Return how many of the newest versions bear each mark."""
        ...

    def close(self) -> None:
        """Forget everything."""
        ...


Row = tuple[int | str, ...]


class Sorter(Protocol):
    """Sorts rows of one width, maybe more of them than memory holds."""

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; a column holds numbers alone (below 2^63), or texts alone.

        Raises:
            ConfigError: there is no more room on the disk.
        """
        ...

    def rows(self) -> Iterator[Row]:
        """Return all rows so far, in ascending order; may be called again."""
        ...

    def close(self) -> None:
        """Forget everything."""
        ...


class SchemaRegistry(Protocol):
    """Keeps schemas by subject (the Confluent Schema Registry's API)."""

    def subjects(self) -> Sequence[str]:
        """Return all subjects, sorted."""
        ...

    def register(self, subject: str, schema: str) -> int:
        """Register an Avro schema (idempotent) and return its id.

        Raises:
            IncompatibleSchemaError: it breaks the subject's level; the message names the subject.
        """
        ...

    def find(self, subject: str, schema: str) -> int | None:
        """Return the id of exactly this schema under the subject, or None."""
        ...

    def schema(self, schema_id: int) -> str:
        """Return a schema's text.

        Raises:
            PermanentError: no such id.
        """
        ...

    def versions(self, subject: str) -> Sequence[tuple[int, str]]:
        """Return (version, schema) of every version, oldest first; empty if there is no subject."""
        ...

    def compatibility(self, subject: str) -> str:
        """Return the level in force for the subject."""
        ...

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the subject's own level, such as FULL_TRANSITIVE."""
        ...


class ConnectorStatus(Struct, frozen=True, kw_only=True):
    """A connector and its tasks.

    Attributes:
        state: RUNNING, FAILED, PAUSED, STOPPED, UNASSIGNED, ...
        tasks: State of each task.
        trace: First failure's stack trace, or None.
    """

    name: str
    state: str
    tasks: tuple[str, ...] = ()
    trace: str | None = None


class ConnectCluster(Protocol):
    """Runs connectors (Kafka Connect's REST API)."""

    def apply(self, name: str, config: Mapping[str, str]) -> None:
        """Create or update a connector; one that is paused or stopped stays so.

        Raises:
            ConfigError: Connect refuses the configuration; names each setting and why.
        """
        ...

    def validate(self, config: Mapping[str, str]) -> Mapping[str, str]:
        """Return setting -> error; empty if the configuration is valid."""
        ...

    def status(self, name: str) -> ConnectorStatus | None:
        """Return the status, or None if there is no such connector."""
        ...

    def pause(self, name: str) -> None:
        """Pause."""
        ...

    def resume(self, name: str) -> None:
        """Resume what was paused or stopped."""
        ...

    def restart(self, name: str) -> None:
        """Restart the connector and its failed tasks."""
        ...

    def delete(self, name: str) -> None:
        """Delete; no such connector is fine."""
        ...


class SearchHit(Struct, frozen=True, kw_only=True):
    """One document found.

    Attributes:
        document: The stored fields.
        fragments: Pieces of the text with the matched words between `pipeline.search.HIGHLIGHT`.
    """

    id: str
    score: float
    document: Mapping[str, Any]
    fragments: tuple[str, ...] = ()


class SearchIndex(Protocol):
    """Keeps documents searchable, behind one alias."""

    def setup(self, mapping: Mapping[str, Any]) -> None:
        """Create template, first index and alias; nothing happens where they exist and agree."""
        ...

    def refresh(self) -> None:
        """Make everything written so far visible to searches."""
        ...

    def count(self) -> int:
        """Return the number of documents."""
        ...

    def versions(self) -> Iterator[tuple[str, int]]:
        """Return the id and the version of every document, in no order."""
        ...

    def search(self, body: Mapping[str, Any], kind: type[T]) -> T:
        """Run a search request and return the answer's body as what it must be.

        Raises:
            ConfigError: It is something else; so for every method here.
        """
        ...
