"""The contract of Confluent's API, on the servers that can be had; the pairs also without one."""

import json
from collections.abc import Iterator

import httpx2
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from reviewstream.errors import IncompatibleSchemaError
from reviewstream.testing import MemoryRegistry
from reviewstream_testbed import SchemaRegistry
from tests.contract.registry_api import (
    DeletesContract,
    ErrorsContract,
    LevelsContract,
    ReferencesContract,
    RegistryApiContract,
)
from tests.contract.registry_differences import KINDS, kind_of
from tests.contract.registry_http import RegistryApi
from tests.contract.schema_pairs import (
    LEVELS,
    PAIRS,
    TRIPLES,
    A,
    Pair,
    Triple,
    field,
    inner,
    record,
)


@pytest.fixture(scope="module")
def api(schema_registry: SchemaRegistry) -> Iterator[RegistryApi]:
    with httpx2.Client(base_url=schema_registry.url, timeout=30) as http:
        root = http.base_url
        yield RegistryApi(http, kind_of(lambda path: http.get(root.join(path)).is_success))


class TestApi(RegistryApiContract):
    pass


class TestReferences(ReferencesContract):
    pass


class TestLevels(LevelsContract):
    pass


class TestErrors(ErrorsContract):
    pass


class TestDeletes(DeletesContract):
    pass


@pytest.fixture
def client(schema_registry: SchemaRegistry) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": schema_registry.url}) as running:
        yield running


class TestOfficialClient:
    """Confluent's own client, against the same server."""

    def test_what_it_registers_it_finds(self, client: SchemaRegistryClient, subject: str) -> None:
        schema = Schema(record(A), "AVRO")
        schema_id = client.register_schema(subject, schema)
        assert client.lookup_schema(subject, schema).schema_id == schema_id
        assert client.get_latest_version(subject).version == 1
        assert client.get_versions(subject) == [1]
        assert client.delete_subject(subject) == [1]
        assert client.delete_subject(subject, permanent=True) == [1]

    @pytest.mark.parametrize("level", LEVELS)
    def test_it_sets_and_gives_a_level(
        self, client: SchemaRegistryClient, subject: str, level: str
    ) -> None:
        client.set_compatibility(subject, level)
        assert client.get_compatibility(subject) == level

    def test_it_follows_references(self, client: SchemaRegistryClient, subject: str) -> None:
        named = json.dumps(inner(A, namespace="contract"))
        client.register_schema(f"{subject}-inner", Schema(named, "AVRO"))
        references = [SchemaReference("contract.Inner", f"{subject}-inner", 1)]
        outer = Schema(record(field("contract.Inner", "i")), "AVRO", references)
        context = SerializationContext(subject.removesuffix("-value"), MessageField.VALUE)
        data = AvroSerializer(client, outer)({"i": {"a": "x"}}, context)
        assert AvroDeserializer(client)(data, context) == {"i": {"a": "x"}}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_registry_in_memory_takes_what_avro_allows(pair: Pair) -> None:
    found = {level: _takes(level, [pair.old], pair.new) for level in LEVELS}
    assert found == {level: pair.allows(level) for level in LEVELS}


@pytest.mark.parametrize("triple", TRIPLES, ids=lambda triple: triple.name)
def test_the_registry_in_memory_asks_the_versions_that_the_level_names(triple: Triple) -> None:
    *older, new = triple.schemas
    found = {level: _takes(level, older, new) for level in LEVELS}
    assert found == {level: triple.allows(level) for level in LEVELS}


def test_every_kind_of_server_differs_from_every_other() -> None:
    assert len({repr(kind).partition(",")[2] for kind in KINDS}) == len(KINDS)


def _takes(level: str, older: list[str], new: str) -> bool:
    registry = MemoryRegistry()
    registry.set_compatibility("s", "NONE")
    for schema in older:
        registry.register("s", schema)
    registry.set_compatibility("s", level)
    try:
        registry.register("s", new)
    except IncompatibleSchemaError:
        return False
    return True
