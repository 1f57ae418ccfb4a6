"""What every `SubjectRegistry` must do; subclass it and provide `registry`."""

import json
from typing import Any

import pytest

from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.errors import IncompatibleSchemaError, PermanentError

A = {"name": "a", "type": "string"}
B = {"name": "b", "type": "long", "default": 0}


def record(*fields: dict[str, Any]) -> str:
    return json.dumps(
        {"type": "record", "name": "R", "namespace": "contract", "fields": list(fields)}
    )


class SubjectRegistryContract:
    def test_registering_twice_gives_the_same_id(
        self, registry: SubjectRegistry, subject: str
    ) -> None:
        first = registry.register(subject, record(A))
        assert registry.register(subject, record(A)) == first
        assert len(registry.versions(subject)) == 1

    def test_what_is_registered_is_found_and_nothing_else(
        self, registry: SubjectRegistry, subject: str
    ) -> None:
        assert registry.find(subject, record(A)) is None
        schema_id = registry.register(subject, record(A))
        assert registry.find(subject, record(A)) == schema_id
        assert registry.find(subject, record(A, B)) is None

    def test_a_schema_is_given_by_its_id(self, registry: SubjectRegistry, subject: str) -> None:
        schema_id = registry.register(subject, record(A))
        assert json.loads(registry.schema(schema_id)) == json.loads(record(A))

    def test_an_unknown_id_is_a_permanent_error(self, registry: SubjectRegistry) -> None:
        with pytest.raises(PermanentError, match="2147483647"):
            registry.schema(2**31 - 1)

    def test_a_subject_that_is_not_there_has_no_versions(
        self, registry: SubjectRegistry, subject: str
    ) -> None:
        assert list(registry.versions(subject)) == []
        assert subject not in registry.subjects()

    def test_versions_come_oldest_first(self, registry: SubjectRegistry, subject: str) -> None:
        registry.set_compatibility(subject, "FULL_TRANSITIVE")
        registry.register(subject, record(A))
        registry.register(subject, record(A, B))
        assert subject in registry.subjects()
        found = [(number, json.loads(text)) for number, text in registry.versions(subject)]
        assert found == [(1, json.loads(record(A))), (2, json.loads(record(A, B)))]

    def test_the_level_of_a_subject_is_the_one_that_was_set(
        self, registry: SubjectRegistry, subject: str
    ) -> None:
        registry.set_compatibility(subject, "FULL_TRANSITIVE")
        assert registry.compatibility(subject) == "FULL_TRANSITIVE"

    def test_a_subject_without_a_level_has_the_one_in_force(
        self, registry: SubjectRegistry, subject: str
    ) -> None:
        assert registry.compatibility(subject) in {"NONE", "BACKWARD"}

    def test_a_level_that_does_not_exist_is_a_permanent_error(
        self, registry: SubjectRegistry, subject: str
    ) -> None:
        with pytest.raises(PermanentError, match="LOOSE"):
            registry.set_compatibility(subject, "LOOSE")

    def test_an_incompatible_schema_is_refused_by_name_and_reason(
        self, registry: SubjectRegistry, subject: str
    ) -> None:
        registry.set_compatibility(subject, "FULL_TRANSITIVE")
        registry.register(subject, record(A))
        with pytest.raises(IncompatibleSchemaError) as refused:
            registry.register(subject, record(A, {"name": "c", "type": "int"}))
        assert subject in str(refused.value)
        assert "$.c: is not in the data and has no default" in str(refused.value)
        assert len(registry.versions(subject)) == 1

    def test_transitive_means_every_version_not_the_last(
        self, registry: SubjectRegistry, subject: str
    ) -> None:
        registry.set_compatibility(subject, "FULL_TRANSITIVE")
        registry.register(subject, record(A, B))
        registry.register(subject, record(A))
        with pytest.raises(IncompatibleSchemaError):  # fits version 2, not version 1
            registry.register(subject, record(A, {**B, "type": "string", "default": ""}))
