"""Schemas are registered under our level, and whatever does not fit is named."""

import json
from pathlib import Path

import pytest

from reviewstream.app import topic_names
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.schemas.registered import (
    LEVEL,
    SchemaFinding,
    check_schemas,
    misfits,
    own_schema,
    register_schemas,
    registered_schema,
    registered_schemas,
    subjects,
)
from reviewstream.core.schemas.schema_files import SCHEMA_NAMES, released_schemas, schema_text
from reviewstream.errors import ConfigError, IncompatibleSchemaError
from reviewstream.settings import KafkaSettings
from reviewstream.testing import MemoryRegistry

TOPICS = topic_names(KafkaSettings())
LABELLED = "reviews.labelled-value"


def older(**field: object) -> str:
    """Return yesterday's schema: today's with another first field."""
    schema = json.loads(schema_text("labelled_review"))
    schema["fields"][0] = {"name": "review_id", "type": "string", **field}
    return json.dumps(schema)


def test_a_subject_is_named_after_its_topic() -> None:
    topics = TopicNames(labelled="l", rejected="r", dead_letter="d")
    assert subjects(topics) == {"l-value": "labelled_review", "r-value": "rejected_review"}


def test_registering_sets_our_level_and_gives_version_and_id() -> None:
    registry = MemoryRegistry()
    first, second = register_schemas(registry, TOPICS)
    assert (first.subject, first.version) == (LABELLED, 1)
    assert registry.schema(second.id) == json.dumps(
        json.loads(schema_text("rejected_review")), sort_keys=True
    )
    assert {registry.compatibility(subject) for subject in registry.subjects()} == {LEVEL}


def test_registering_twice_changes_nothing() -> None:
    registry = MemoryRegistry()
    assert register_schemas(registry, TOPICS) == register_schemas(registry, TOPICS)


def test_a_schema_that_does_not_fit_is_refused_even_if_the_registry_would_take_it() -> None:
    registry = MemoryRegistry()
    registry.register(LABELLED, older(type="long"))
    with pytest.raises(IncompatibleSchemaError, match=rf"{LABELLED}.*v1: \$\.review_id: long"):
        register_schemas(registry, TOPICS)


def test_a_compatible_change_is_the_next_version() -> None:
    registry = MemoryRegistry()
    registry.register(LABELLED, older(default=""))
    assert register_schemas(registry, TOPICS)[0].version == 2


def test_what_is_registered_is_shown_and_what_is_not_is_left_out() -> None:
    registry = MemoryRegistry()
    assert registered_schemas(registry, TOPICS) == ()
    assert registered_schemas(registry, TOPICS) == register_schemas(registry, TOPICS)[:0]
    registered = register_schemas(registry, TOPICS)
    assert registered_schemas(registry, TOPICS) == registered


def test_a_check_finds_nothing_where_everything_fits() -> None:
    registry = MemoryRegistry()
    register_schemas(registry, TOPICS)
    assert check_schemas(registry, TOPICS) == ()


def test_a_check_names_what_is_not_registered() -> None:
    findings = check_schemas(MemoryRegistry(), TOPICS)
    assert [each.where for each in findings] == [LABELLED, "reviews.rejected-value"]
    assert "run `reviewstream schemas register`" in findings[0].problem


def test_a_check_names_another_level() -> None:
    registry = MemoryRegistry()
    register_schemas(registry, TOPICS)
    registry.set_compatibility(LABELLED, "BACKWARD")
    (finding,) = check_schemas(registry, TOPICS)
    assert finding.problem.startswith("its level is BACKWARD, not FULL_TRANSITIVE")


def test_a_check_names_a_version_that_does_not_fit() -> None:
    registry = MemoryRegistry()
    registry.register(LABELLED, older(type="long"))
    register = SchemaFinding(
        where=LABELLED,
        problem="does not fit version 1: $.review_id: long cannot be read as string "
        "(the new one reading old records)",
    )
    assert register in check_schemas(registry, TOPICS)


def test_a_check_names_a_released_version_that_does_not_fit(tmp_path: Path) -> None:
    registry = MemoryRegistry()
    register_schemas(registry, TOPICS)
    (tmp_path / "released").mkdir()
    for name in SCHEMA_NAMES:
        (tmp_path / f"{name}.avsc").write_text(schema_text(name))
    (tmp_path / "released" / "labelled_review.v7.avsc").write_text(older(type="int"))
    findings = check_schemas(registry, TOPICS, directory=tmp_path)
    assert {each.where for each in findings} == {"labelled_review"}
    assert findings[0].problem.startswith("does not fit released version 7: $.review_id: int")


def test_both_directions_are_compared() -> None:
    assert [problem.partition(" (")[2] for problem in misfits('"int"', '"long"')] == [
        "the new one reading old records)"
    ]
    assert [problem.partition(" (")[2] for problem in misfits('"long"', '"int"')] == [
        "the old one reading new records)"
    ]


def test_our_schema_is_given_by_its_name_as_today_or_as_released() -> None:
    assert own_schema("labelled_review") == schema_text("labelled_review")
    assert own_schema("rejected_review@1") == dict(released_schemas("rejected_review"))[1]
    assert own_schema("other@1") is None


@pytest.mark.parametrize("version", ["", "0", "999", "latest"])
def test_a_version_that_was_never_released_is_named_with_those_there_are(version: str) -> None:
    with pytest.raises(ConfigError, match=f"labelled_review has no version {version}; it has 1"):
        own_schema(f"labelled_review@{version}")


def test_a_registered_schema_is_the_latest_or_the_version_that_is_asked_for() -> None:
    registry = MemoryRegistry()
    for schema in ('"int"', '"long"'):
        registry.register("a@b", schema)
        registry.register("plain", schema)
    assert registered_schema(registry, "plain") == '"long"'
    assert registered_schema(registry, "plain@1") == registered_schema(registry, "a@b@1") == '"int"'


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("plain@7", "subject plain has no version 7; it has 1"),
        ("away", "subject away has no version latest; it has no version at all"),
        ("odd", "subject odd, version 1, is not an Avro schema"),
    ],
)
def test_what_the_registry_does_not_have_is_one_sentence(reference: str, problem: str) -> None:
    registry = MemoryRegistry()
    registry.register("plain", '"int"')
    registry.register("odd", '{"type": "object"}')
    with pytest.raises(ConfigError, match=problem):
        registered_schema(registry, reference)
