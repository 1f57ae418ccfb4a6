import json

import pytest
from msgspec import structs

from reviewstream.app import topic_names
from reviewstream.core.delivery.checkpoint_metadata import (
    Identity,
    check_identity,
    identity_of,
    identity_text,
    read_identity,
)
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.errors import ConfigError
from reviewstream.settings import KafkaSettings

TOPICS = topic_names(KafkaSettings())
NOW = identity_of(TOPICS, "q1")


def complaint(recorded: Identity, now: Identity = NOW) -> str:
    with pytest.raises(ConfigError) as caught:
        check_identity(recorded, now, "/c")
    text = str(caught.value)
    assert text.startswith("checkpoint /c belongs to another query: ")
    assert text.endswith(
        ". Go on with what it began with, or give this query a checkpoint of its own "
        "(spark.checkpoint)"
    )
    return text.partition(": ")[2].partition(". Go on")[0]


def test_an_identity_is_read_as_it_was_written() -> None:
    assert read_identity(identity_text(NOW), "f") == NOW


def test_one_that_lacks_what_was_not_kept_then_or_has_what_is_not_known_yet_is_read() -> None:
    paid = identity_of(TOPICS, "q1", account="/data/checkpoint")
    fields = json.loads(identity_text(paid))
    assert read_identity(json.dumps(fields | {"later": 1}), "f") == paid
    del fields["account"], fields["stream"]
    assert read_identity(json.dumps(fields), "f") == NOW
    check_identity(paid, NOW, "/c")  # who pays may change


def test_the_same_again_is_fine_and_so_is_one_that_was_never_started() -> None:
    check_identity(NOW, NOW, "/c")
    check_identity(structs.replace(NOW, query=None), NOW, "/c")


def test_another_topic_is_named() -> None:
    other = identity_of(TopicNames(labelled="l", rejected="r", dead_letter="d"), "q1")
    assert complaint(other) == (
        "its labelled_topic is l, not reviews.labelled; "
        "its rejected_topic is r, not reviews.rejected"
    )


def test_another_query_is_named() -> None:
    assert complaint(structs.replace(NOW, query="q0")) == "its query is q0, not q1"


def test_a_checkpoint_that_lost_what_spark_wrote_is_named() -> None:
    fresh = structs.replace(NOW, query=None)
    assert complaint(NOW, fresh) == "its query is q1, not a new one"


def schema_with(**changes: object) -> Identity:
    schema = json.loads(NOW.schemas["labelled_review"])
    schema["fields"] = [
        field | changes if field["name"] == "stars" else field for field in schema["fields"]
    ]
    schemas = {**NOW.schemas, "labelled_review": json.dumps(schema)}
    return structs.replace(NOW, schemas=schemas)


def test_a_schema_that_does_not_fit_is_named_with_its_field() -> None:
    assert complaint(schema_with(type="string")) == (
        "its schema labelled_review does not fit ours ($.stars: string cannot be read as double)"
    )


def test_a_schema_that_only_its_new_readers_understand_is_refused_too() -> None:
    found = complaint(schema_with(type="float"))
    assert "its schema labelled_review does not fit ours ($.stars: double" in found


def test_a_schema_that_says_the_same_in_other_words_is_fine() -> None:
    check_identity(schema_with(doc="From one to five."), NOW, "/c")


def test_a_schema_that_there_is_no_more_is_named() -> None:
    gone = structs.replace(NOW, schemas={**NOW.schemas, "old": '"string"'})
    assert complaint(gone) == "its schema old does not fit ours (there is none)"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version":1}'])
def test_a_damaged_file_is_named_with_the_way_out(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^/c/f is damaged \(.*put back the one of your copy"):
        read_identity(text, "/c/f")


def test_a_file_of_a_later_version_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"/c/f is of version 2, .* reads version 1: upgrade it"):
        read_identity(identity_text(structs.replace(NOW, version=2)), "/c/f")
