"""Checkpoint metadata: ensures that a checkpoint is used by the query that it belongs to."""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.schemas.compatibility import incompatibilities
from reviewstream.core.schemas.schema_files import SchemaName, schema_text
from reviewstream.errors import ConfigError

VERSION: Final = 1
_SCHEMAS: Final[tuple[SchemaName, ...]] = ("labelled_review", "rejected_review")


class Identity(Struct, frozen=True, kw_only=True):
    """Properties of a query that must not change while its checkpoint is used.

    Attributes:
        version: Version of this format.
        query: Spark's id of the query; None until it was started.
        stream: Name under which it writes to Kafka; None in checkpoints older than this field.
        account: Account that pays unless `limits.account` is set; None in checkpoints older than
            this field.
        since: Last micro-batch completed before the stream got its name; -1 if there was none.
        schemas: Avro schemas by name, at the last use of the checkpoint.
    """

    version: int = VERSION
    query: str | None = None
    stream: str | None = None
    account: str | None = None
    since: int = -1
    labelled_topic: str
    rejected_topic: str
    schemas: dict[str, str]


def identity_of(
    topics: TopicNames,
    query: str | None,
    *,
    stream: str | None = None,
    account: str | None = None,
    since: int = -1,
) -> Identity:
    """Return the identity of a query with the current schemas; see `Identity`."""
    return Identity(
        query=query,
        stream=stream,
        account=account,
        since=since,
        labelled_topic=topics.labelled,
        rejected_topic=topics.rejected,
        schemas={name: schema_text(name) for name in _SCHEMAS},
    )


def identity_text(identity: Identity) -> str:
    """Return an identity as JSON."""
    return msgspec.json.encode(identity).decode()


def read_identity(text: bytes | str, where: str) -> Identity:
    """Parse an identity.

    Args:
        text: Output of `identity_text`.
        where: Name of the file, for errors.

    Raises:
        ConfigError: The text is not an identity, or has a later version.
    """
    try:
        found = msgspec.json.decode(text, type=Identity)
    except msgspec.DecodeError as err:
        raise ConfigError(
            f"{where} is damaged ({err}): put back the one of your copy of the checkpoint, or "
            "delete it if the settings are those that the checkpoint began with"
        ) from err
    if found.version != VERSION:
        raise ConfigError(
            f"{where} is of version {found.version}, and this reviewstream reads version "
            f"{VERSION}: upgrade it"
        )
    return found


def check_identity(recorded: Identity, now: Identity, checkpoint: str) -> None:
    """Check that a checkpoint belongs to this query.

    Args:
        recorded: Identity stored beside the checkpoint.
        now: Identity of the query to start, with the query id of the checkpoint.
        checkpoint: Path of the checkpoint, for errors.

    Raises:
        ConfigError: The identities differ; the message lists each difference and the remedy.
    """
    if differences := list(_differences(recorded, now)):
        raise ConfigError(
            f"checkpoint {checkpoint} belongs to another query: {'; '.join(differences)}. Go on "
            "with what it began with, or give this query a checkpoint of its own (spark.checkpoint)"
        )


def _differences(recorded: Identity, now: Identity) -> Iterator[str]:
    for what in ("labelled_topic", "rejected_topic"):
        before, after = getattr(recorded, what), getattr(now, what)
        if before != after:
            yield f"its {what} is {before}, not {after}"
    if recorded.query is not None and recorded.query != now.query:
        yield f"its query is {recorded.query}, not {now.query or 'a new one'}"
    for name, schema in recorded.schemas.items():
        ours = now.schemas.get(name)
        for problem in _problems(schema, ours):
            yield f"its schema {name} does not fit ours ({problem})"


def _problems(before: str, after: str | None) -> tuple[str, ...]:
    """Return the incompatibilities between two schemas, in either direction."""
    if after is None:
        return ("there is none",)
    older = incompatibilities(reader=after, writer=before)
    return older or incompatibilities(reader=before, writer=after)
