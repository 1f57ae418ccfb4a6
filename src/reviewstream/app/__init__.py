"""The composition root: settings in, wired objects out.

Importing it loads no adapter: every worker of Spark imports it. Its modules are internal. A name
that is replaced here is seen by callers of `app`, by `prepare` and by `open_only_sink` alone.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from reviewstream.app.documents import (
    connector_config,
    failure_advice,
    open_connect,
    open_index,
    plot_evaluation,
    score,
    without_secrets,
)
from reviewstream.app.label_values import (
    first_options,
    known_prices,
    label_policy,
    limit_key,
    rate_limits,
    suggested_settings,
    tier_prices,
)
from reviewstream.app.model import (
    listed_prices,
    negotiation_of,
    open_labeller,
    open_model,
    open_price_list,
    priced,
    system_clock,
)
from reviewstream.app.review_source import open_file, open_reader, review_server, serving
from reviewstream.app.stores import (
    absolute,
    eviction,
    open_archive,
    open_ledger,
    open_limits,
    open_sorter,
    open_versions,
)
from reviewstream.app.topics import (
    find_marker,
    find_topics,
    identity_of,
    kafka_oauth_login,
    open_log,
    open_record_sink,
    open_registry,
    open_transactional_sink,
    topic_names,
)
from reviewstream.app.vendors import preload
from reviewstream.core.delivery.fencing import FencedSink
from reviewstream.core.delivery.ports import RecordSink
from reviewstream.settings import KafkaSettings, Settings

__all__ = [
    "absolute",
    "connector_config",
    "eviction",
    "failure_advice",
    "find_marker",
    "find_topics",
    "first_options",
    "identity_of",
    "kafka_oauth_login",
    "known_prices",
    "label_policy",
    "limit_key",
    "listed_prices",
    "negotiation_of",
    "open_archive",
    "open_connect",
    "open_file",
    "open_index",
    "open_labeller",
    "open_ledger",
    "open_limits",
    "open_log",
    "open_model",
    "open_only_sink",
    "open_price_list",
    "open_reader",
    "open_record_sink",
    "open_registry",
    "open_sorter",
    "open_transactional_sink",
    "open_versions",
    "plot_evaluation",
    "preload",
    "prepare",
    "priced",
    "rate_limits",
    "review_server",
    "score",
    "serving",
    "suggested_settings",
    "system_clock",
    "tier_prices",
    "topic_names",
    "without_secrets",
]


@contextmanager
def open_only_sink(settings: KafkaSettings, name: str) -> Iterator[RecordSink]:
    """Open a sink that fences all earlier sinks of the name.

    With `at_least_once` there are no transactions, and no sink is fenced.
    """
    if settings.delivery == "at_least_once":
        yield open_record_sink(settings)
        return
    with closing(open_transactional_sink(settings, name)) as sink:
        yield FencedSink(sink, name)


def prepare(settings: Settings) -> tuple[str, ...]:
    """Create the missing topics, schemas, index and connector; see `core.index.setup`."""
    from reviewstream.core.index.setup import PipelineSpec, Services, set_up  # noqa: PLC0415 - for one verb

    services = Services(
        log=open_log(settings.kafka),
        registry=open_registry(settings.registry),
        index=open_index(settings),
        connect=open_connect(settings.connect),
    )
    wanted = PipelineSpec(
        topics=topic_names(settings.kafka),
        auto_register=settings.registry.auto_register,
        index=settings.elasticsearch.index,
        connector=settings.connect.name,
        connector_config=connector_config(settings),
    )
    return set_up(services, wanted)
