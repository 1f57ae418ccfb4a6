"""How Elasticsearches differ: the one place where a test may know which one it talks to.

What a kind lacks is named by test, with the reason. Such a test must fail: should the kind learn
it, the suite says so.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ElasticsearchKind:
    """One kind of server.

    Attributes:
        lacks: Tests that fail on it -> why.
    """

    name: str
    lacks: Mapping[str, str] = field(default_factory=dict)


COMPLETE = ElasticsearchKind(name="Elastic's distribution")
PUBLISHED_JARS = ElasticsearchKind(
    name="the published jars alone",
    lacks={
        "test_a_script_changes_a_document": "the language of scripts is a module of its own",
        "test_an_index_is_copied_into_another": "reindex is a module of its own",
        "test_what_a_query_finds_is_deleted": "delete_by_query is part of the reindex module",
        "test_a_pipeline_changes_what_is_written": "the ingest processors are a module too",
        "test_a_data_stream_takes_documents": "data streams are a module of their own",
        "test_a_policy_of_an_indexs_life_is_kept": "ILM is a plugin of Elastic's own licence",
    },
)


def kind_of(modules: Collection[str]) -> ElasticsearchKind:
    """Return the kind of a server, by the modules that it says are in it."""
    return COMPLETE if "lang-painless" in modules else PUBLISHED_JARS
