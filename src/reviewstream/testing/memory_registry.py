"""A schema registry in memory."""

import json
from collections.abc import Sequence

from reviewstream.core.schemas.compatibility import incompatibilities
from reviewstream.errors import IncompatibleSchemaError, PermanentError

_PLAIN = ("NONE", "BACKWARD", "FORWARD", "FULL")
_LEVELS = {*_PLAIN, *(f"{level}_TRANSITIVE" for level in _PLAIN[1:])}


class MemoryRegistry:
    """`SubjectRegistry` that checks compatibility by the rules of Avro's specification.

    The default compatibility level is NONE.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._versions: dict[str, list[int]] = {}
        self._levels: dict[str, str] = {}

    def subjects(self) -> Sequence[str]:
        """See `SubjectRegistry.subjects`."""
        return sorted(self._versions)

    def register(self, subject: str, schema: str) -> int:
        """See `SubjectRegistry.register`."""
        known = self.find(subject, schema)
        if known is not None:
            return known
        if problem := self._problem(subject, schema):
            raise IncompatibleSchemaError(f"subject {subject}: {problem}")
        canonical = _canonical(schema)
        if canonical not in self._ids:
            self._ids.append(canonical)
        schema_id = self._ids.index(canonical) + 1
        self._versions.setdefault(subject, []).append(schema_id)
        return schema_id

    def find(self, subject: str, schema: str) -> int | None:
        """See `SubjectRegistry.find`."""
        ids = self._versions.get(subject, [])
        return next((i for i in ids if self._ids[i - 1] == _canonical(schema)), None)

    def schema(self, schema_id: int) -> str:
        """See `SubjectRegistry.schema`."""
        if not 1 <= schema_id <= len(self._ids):
            raise PermanentError(f"no schema {schema_id}")
        return self._ids[schema_id - 1]

    def versions(self, subject: str) -> Sequence[tuple[int, str]]:
        """See `SubjectRegistry.versions`."""
        ids = self._versions.get(subject, [])
        return tuple((number, self._ids[i - 1]) for number, i in enumerate(ids, 1))

    def compatibility(self, subject: str) -> str:
        """See `SubjectRegistry.compatibility`."""
        return self._levels.get(subject, "NONE")

    def set_compatibility(self, subject: str, level: str) -> None:
        """See `SubjectRegistry.set_compatibility`."""
        if level not in _LEVELS:
            raise PermanentError(f"no such level: {level}")
        self._levels[subject] = level

    def _problem(self, subject: str, new: str) -> str | None:
        level = self.compatibility(subject)
        older = [text for _, text in self.versions(subject)]
        for old in older if level.endswith("TRANSITIVE") else older[-1:]:
            if level.startswith(("BACKWARD", "FULL")):
                for problem in incompatibilities(reader=new, writer=old):
                    return problem
            if level.startswith(("FORWARD", "FULL")):
                for problem in incompatibilities(reader=old, writer=new):
                    return problem
        return None


def _canonical(schema: str) -> str:
    return json.dumps(json.loads(schema), sort_keys=True)
