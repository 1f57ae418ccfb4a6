"""The external provider, on servers that are not its own: those of this run's testbed."""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from elasticsearch import Elasticsearch as Client

from reviewstream_testbed import Elasticsearch, Kafka, SchemaRegistry, Testbed
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.providers import OPENAI_API_KEY, VARIABLES

ROOT = Path(__file__).parents[2]
CONTRACTS = (  # a few of each: all of them have passed on these servers already
    "test_kafka_apis.py::TestTopics",
    "test_registry_apis.py::TestReferences",
    "test_elasticsearch_apis.py::TestBulk",
    "test_openai_apis.py",
)


def topics(kafka: Kafka) -> set[str]:
    """Return the topics but for Kafka's own, which it makes when the first group asks for them."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    return {name for name in admin.list_topics(timeout=30).topics if not name.startswith("__")}


def subjects(registry: SchemaRegistry) -> set[str]:
    """Return every subject, those that are only half deleted too."""
    return {*httpx2.get(f"{registry.url}/subjects?deleted=true").json()}


def test_what_was_made_is_removed_and_the_rest_stays(
    kafka: Kafka, schema_registry: SchemaRegistry, elasticsearch: Elasticsearch
) -> None:
    servers = (kafka, schema_registry, elasticsearch)
    environ = {VARIABLES[server.name]: server.address for server in servers}
    parts = [server.name for server in servers]
    with Client(elasticsearch.url) as client:
        with Testbed(parts, provider="external", environ=environ) as bed:
            ours, theirs = f"{bed.prefix}ours", f"theirs-{bed.prefix}"
            names = (ours, theirs)
            admin = AdminClient({"bootstrap.servers": bed.kafka.bootstrap_servers})
            for made in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
                made.result()
            for name in names:
                url = f"{bed.schema_registry.url}/subjects/{name}/versions"
                httpx2.post(url, json={"schema": '"string"'}).raise_for_status()
                client.indices.create(index=name, settings={"number_of_replicas": 0})
        assert topics(kafka) & {*names} == {theirs}
        assert subjects(schema_registry) & {*names} == {theirs}
        assert {*client.indices.get(index="*")} & {*names} == {theirs}
    assert all(server.pid for server in servers)


def test_an_embedded_connect_on_an_external_kafka_leaves_nothing_there(kafka: Kafka) -> None:
    before = topics(kafka)
    environ = {**os.environ, VARIABLES["kafka"]: kafka.bootstrap_servers}
    with Testbed(["kafka_connect"], provider="external", environ=environ) as bed:
        made = topics(kafka) - before
        assert made
        assert {name for name in made if not name.startswith(bed.prefix)} == set()
    assert topics(kafka) == before


def test_the_contracts_hold_on_servers_that_others_run_and_spend_no_money_unasked(
    kafka: Kafka,
    schema_registry: SchemaRegistry,
    elasticsearch: Elasticsearch,
    openai_endpoint: OpenAIEndpoint,
) -> None:
    servers = (kafka, schema_registry, elasticsearch)
    addresses = {VARIABLES[server.name]: server.address for server in servers}
    addresses[VARIABLES["openai_endpoint"]] = openai_endpoint.base_url
    addresses[OPENAI_API_KEY] = openai_endpoint.api_key
    tests = [f"tests/contract/{each}" for each in CONTRACTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    before = openai_endpoint.requests()["statuses"].get("200", 0)
    subjects_before = subjects(schema_registry)
    run = subprocess.run(
        [*command, "--testbed=external"],
        cwd=ROOT,
        env=os.environ | addresses,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5_000:]
    assert "9 skipped" in run.stdout.splitlines()[-1]
    assert openai_endpoint.requests()["statuses"].get("200", 0) == before
    assert subjects(schema_registry) == subjects_before
