"""Port of the Schema Registry."""

from collections.abc import Sequence
from typing import Protocol


class SubjectRegistry(Protocol):
    """A registry of schemas by subject (the Confluent Schema Registry's API)."""

    def subjects(self) -> Sequence[str]:
        """Return all subjects, sorted."""
        ...

    def register(self, subject: str, schema: str) -> int:
        """Register an Avro schema (idempotent) and return its id.

        Raises:
            IncompatibleSchemaError: It violates the subject's level; the message names the subject.
        """
        ...

    def find(self, subject: str, schema: str) -> int | None:
        """Return the id of exactly this schema under the subject, or None."""
        ...

    def schema(self, schema_id: int) -> str:
        """Return the text of a schema.

        Raises:
            PermanentError: There is no such id.
        """
        ...

    def versions(self, subject: str) -> Sequence[tuple[int, str]]:
        """Return (version, schema) of every version, oldest first; empty for an unknown subject."""
        ...

    def compatibility(self, subject: str) -> str:
        """Return the compatibility level in force for the subject."""
        ...

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the compatibility level of the subject, such as FULL_TRANSITIVE."""
        ...
