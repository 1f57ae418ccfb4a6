"""The registry in memory and the real one."""

import pytest

from reviewstream.adapters.registry import ConfluentRegistry
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.settings import RegistrySettings
from reviewstream.testing import MemoryRegistry
from reviewstream_testbed import SchemaRegistry
from tests.contract.schema_registry import SubjectRegistryContract


class TestMemory(SubjectRegistryContract):
    @pytest.fixture
    def registry(self) -> SubjectRegistry:
        return MemoryRegistry()


class TestReal(SubjectRegistryContract):
    @pytest.fixture
    def registry(self, schema_registry: SchemaRegistry) -> SubjectRegistry:
        return ConfluentRegistry(RegistrySettings(url=schema_registry.url))
