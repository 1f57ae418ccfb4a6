"""After the setup everything stands, and a second one changes nothing."""

from dataclasses import replace

import pytest

from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.index.setup import PipelineSpec, Services, set_up
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.errors import ConfigError
from reviewstream.testing import MemoryConnect, MemoryIndex, MemoryLog, MemoryRegistry

CONFIG = {"connector.class": MemoryConnect.CLASS}
DEVELOPMENT = PipelineSpec(
    topics=TopicNames(labelled="labelled", rejected="rejected", dead_letter="dlq"),
    auto_register=True,
    index="reviews",
    connector="to-index",
    connector_config=CONFIG,
)
PRODUCTION = replace(DEVELOPMENT, auto_register=False)


class World:
    def __init__(self) -> None:
        self.log = MemoryLog()
        self.registry = MemoryRegistry()
        self.index = MemoryIndex()
        self.connect = MemoryConnect()
        self.services = Services(
            log=self.log, registry=self.registry, index=self.index, connect=self.connect
        )


def test_everything_stands_after_the_setup() -> None:
    world = World()
    lines = set_up(world.services, DEVELOPMENT)
    assert lines[0] == "topics: labelled, rejected, dlq created"
    assert lines[1] == "schemas: labelled-value v1, rejected-value v1"
    assert world.index.mapping == index_mapping(schema_text("labelled_review"))
    assert world.connect.configs == {"to-index": CONFIG}
    assert lines[2:] == ("index: reviews is ready", "connector: to-index is applied")


def test_a_second_setup_changes_nothing() -> None:
    world = World()
    set_up(world.services, DEVELOPMENT)
    lines = set_up(world.services, DEVELOPMENT)
    assert lines[0] == "topics: there already"
    assert len(world.registry.versions("labelled-value")) == 1


def test_a_connector_that_rests_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    set_up(world.services, DEVELOPMENT)
    assert caplog.messages == []
    world.connect.stop("to-index")
    set_up(world.services, DEVELOPMENT)
    [warning] = caplog.messages
    assert "to-index: it is STOPPED and indexes nothing" in warning


def test_outside_of_development_schemas_are_registered_by_a_person() -> None:
    world = World()
    with pytest.raises(ConfigError, match="run `reviewstream schemas register`"):
        set_up(world.services, PRODUCTION)
    assert world.index.mapping is None
    set_up(world.services, DEVELOPMENT)
    assert set_up(world.services, PRODUCTION)[1] == "schemas: registered already"
