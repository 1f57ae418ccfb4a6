"""The registry in memory and the real one."""

import pytest

from reviewstream.adapters.registry import ConfluentRegistry
from reviewstream.core.schemas.ports import SchemaRegistry as Port
from reviewstream.settings import RegistrySettings
from reviewstream.testing import MemoryRegistry
from reviewstream_testbed import SchemaRegistry
from tests.contract.schema_registry import SchemaRegistryContract


class TestMemory(SchemaRegistryContract):
    @pytest.fixture
    def registry(self) -> Port:
        return MemoryRegistry()


class TestReal(SchemaRegistryContract):
    @pytest.fixture
    def registry(self, schema_registry: SchemaRegistry) -> Port:
        return ConfluentRegistry(RegistrySettings(url=schema_registry.url))
