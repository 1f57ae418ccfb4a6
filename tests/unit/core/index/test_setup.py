"""After the setup everything stands, and a second one changes nothing."""

import pytest

from reviewstream.core.index.connector import connector_config
from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.index.setup import Services, set_up
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.errors import ConfigError
from reviewstream.settings import ConnectSettings, RegistrySettings, Settings
from reviewstream.testing import MemoryConnect, MemoryIndex, MemoryLog, MemoryRegistry

DEVELOPMENT = Settings(
    registry=RegistrySettings(auto_register=True),
    connect=ConnectSettings(connector_class=MemoryConnect.CLASS),
)
PRODUCTION = DEVELOPMENT.model_copy(update={"registry": RegistrySettings()})


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
    assert lines[0] == "topics: reviews.labelled, reviews.rejected, reviews.labelled.dlq created"
    assert lines[1] == "schemas: reviews.labelled-value v1, reviews.rejected-value v1"
    assert world.index.mapping == index_mapping(schema_text("labelled_review"))
    assert world.connect.configs == {"reviews-elasticsearch": connector_config(DEVELOPMENT)}


def test_a_second_setup_changes_nothing() -> None:
    world = World()
    set_up(world.services, DEVELOPMENT)
    lines = set_up(world.services, DEVELOPMENT)
    assert lines[0] == "topics: there already"
    assert len(world.registry.versions("reviews.labelled-value")) == 1


def test_a_connector_that_rests_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    set_up(world.services, DEVELOPMENT)
    assert caplog.messages == []
    world.connect.stop("reviews-elasticsearch")
    set_up(world.services, DEVELOPMENT)
    [warning] = caplog.messages
    assert "reviews-elasticsearch: it is STOPPED and indexes nothing" in warning


def test_outside_of_development_schemas_are_registered_by_a_person() -> None:
    world = World()
    with pytest.raises(ConfigError, match="run `reviewstream schemas register`"):
        set_up(world.services, PRODUCTION)
    assert world.index.mapping is None
    set_up(world.services, DEVELOPMENT)
    assert set_up(world.services, PRODUCTION)[1] == "schemas: registered already"
