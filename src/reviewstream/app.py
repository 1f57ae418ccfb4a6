# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""The composition root: settings in, wired objects out."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
    suppress,
)
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs
from pydantic import SecretStr

from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import RecordLog, RecordSink, TransactionalSink
from reviewstream.core.index.ports import ConnectCluster, SearchIndex
from reviewstream.core.labelling.agreement import Cells, Scores
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.ledger.retrying_ledger import CLAIM_PATIENCE
from reviewstream.core.labelling.limits.shared_limiter import SharedLimiter, terms_of
from reviewstream.core.labelling.null_objects import NoLedger
from reviewstream.core.labelling.ports import (
    ChatModel,
    LabelLedger,
    LedgerArchive,
    LimitStore,
    PriceList,
)
from reviewstream.core.records.ports import Sorter
from reviewstream.core.relabel.ports import NewestVersions
from reviewstream.core.retry.ports import Clock
from reviewstream.core.schemas.ports import SchemaRegistry
from reviewstream.core.transport.ports import LineReader
from reviewstream.errors import ConfigError
from reviewstream.settings import (
    ConnectSettings,
    KafkaSettings,
    LedgerSettings,
    LimitsSettings,
    OpenAISettings,
    RegistrySettings,
    Settings,
    SourceSettings,
)

if TYPE_CHECKING:
    # Exported, so that callers can annotate the returned objects.
    from reviewstream.adapters.files.review_log import ReviewLog as ReviewLog  # noqa: PLC0414 - exported
    from reviewstream.adapters.tcp.log_server import ReviewServer as ReviewServer  # noqa: PLC0414
    from reviewstream.adapters.tcp.log_server import ServerAddress as ServerAddress  # noqa: PLC0414

LEASE_MARGIN: Final = 30.0  # seconds that a request may take beside its time-out
VENDORS = (
    "openai.chat_completions",
    "kafka.record_sink",
    "kafka.transactions",
    "sqlite.sqlite_ledger",
    "redis.redis_ledger",
    "sqlite.sqlite_limits",
    "redis.redis_limits",
)  # adapters that a Spark task may need
PANDAS: Final = "pandas"  # Arrow imports it with the first array: a second for each new worker

# By address, model and first options: options are negotiated with an endpoint once per process.
_negotiations: dict[tuple[str, str, str], Negotiation] = {}


def preload() -> None:
    """Import every installed vendor package that a Spark task may need."""
    for name in (*(f"reviewstream.adapters.{vendor}" for vendor in VENDORS), PANDAS):
        with suppress(ImportError):
            import_module(name)


def open_file(
    file: str,
    *,
    member: str | None = None,
    name: str | None = None,
    follow: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> "ReviewLog":
    """Return a review file as a log; see `adapters.files.review_files.open_log`."""
    from reviewstream.adapters.files.review_files import open_log

    return open_log(file, member=member, name=name, follow=follow, progress=progress)


def review_server(
    *,
    tls_cert: Path | None,
    tls_key: Path | None,
    token: SecretStr | None,
    **options: Any,  # noqa: ANN401 - the fields of `ServeOptions`, which checks them
) -> Callable[["ReviewLog"], "ReviewServer"]:
    """Return a factory of the log's review server; options are validated before it is called.

    Raises:
        ConfigError: An option is wrong; the message says how to correct it.
    """
    from reviewstream.adapters.tcp.access import ServerAuth
    from reviewstream.adapters.tcp.log_server import ReviewServer, ServeOptions

    auth = ServerAuth(tls_cert=tls_cert, tls_key=tls_key, token=token)
    return partial(ReviewServer, options=ServeOptions(auth=auth, **options))


def serving(file: Path) -> AbstractContextManager["ServerAddress"]:
    """Serve a file on loopback until the block ends."""
    from reviewstream.adapters.tcp.log_server import serving

    return serving(file)


def open_reader(settings: SourceSettings, *, timeout: float) -> LineReader:
    """Return a reader of the review server; it connects on first use."""
    from reviewstream.adapters.tcp.access import ClientAuth
    from reviewstream.adapters.tcp.client import ReviewClient

    access = ClientAuth(tls=settings.tls, ca_location=settings.ca_location, token=settings.token)
    return ReviewClient(settings.host, settings.port, timeout=timeout, access=access)


@asynccontextmanager
async def open_labeller(
    settings: OpenAISettings, ledger: LedgerSettings, limits: LimitsSettings, *, run: str = ""
) -> AsyncIterator[Labeller]:
    """Open a labeller on the running event loop; its connections are closed with the context.

    Args:
        settings: Settings of the model.
        ledger: Settings of the label ledger.
        limits: Limits shared by all requests to the model, with or without a ledger.
        run: Name of the run: labellers of one run end together when a budget or a quota is spent.
            Empty: this labeller ends alone.
    """
    from reviewstream.adapters.openai.chat_completions import OpenAIChat
    from reviewstream.adapters.openai.http_client import timeout_of
    from reviewstream.adapters.system_clock import SystemClock
    from reviewstream.adapters.threads import SerialThread

    settings = priced(settings)
    policy, terms = LabelPolicy.of(settings), structs.replace(terms_of(settings, limits), run=run)
    model, clock, patience = OpenAIChat.connect(settings), SystemClock(), timeout_of(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(model.aclose)
        labels = stack.enter_context(closing(open_ledger(ledger)))
        shared = stack.enter_context(closing(open_limits(limits, ledger)))
        of_labels, of_limits = (stack.enter_context(closing(SerialThread())) for _ in range(2))
        limiter = SharedLimiter(
            shared, terms, clock, patience=patience + LEASE_MARGIN, offload=of_limits
        )
        yield Labeller(
            model,
            labels,
            limiter,
            clock,
            policy,
            negotiation=negotiation_of(policy),
            offload=of_labels,
            patience=max(CLAIM_PATIENCE, 2 * patience),
        )


@asynccontextmanager
async def open_model(settings: OpenAISettings) -> AsyncIterator[ChatModel]:
    """Open the model alone on the running event loop, without limits or a ledger.

    Raises:
        ConfigError: The key is missing, or the address or the certificates cannot be used.
    """
    from reviewstream.adapters.openai.chat_completions import OpenAIChat

    model = OpenAIChat.connect(settings)
    try:
        yield model
    finally:
        await model.aclose()


def system_clock() -> Clock:
    """Return the clock of this machine."""
    from reviewstream.adapters.system_clock import SystemClock

    return SystemClock()


def open_price_list() -> PriceList | None:
    """Return the installed price list, or None if no list is installed."""
    from reviewstream.adapters.openai.prices import open_price_list

    return open_price_list()


def listed_prices(settings: OpenAISettings) -> Prices | None:
    """Return the listed prices of the model at its endpoint, or None if they are unknown."""
    from reviewstream.adapters.openai.prices import listed_prices

    return listed_prices(settings)


def priced(settings: OpenAISettings) -> OpenAISettings:
    """Return settings with the listed prices of the model where the user set none."""
    from reviewstream.adapters.openai.prices import priced

    return priced(settings)


def negotiation_of(policy: LabelPolicy) -> Negotiation:
    """Return this process's negotiation state of an endpoint and model."""
    key = policy.endpoint, policy.model, repr((policy.options, sorted(policy.auto)))
    return _negotiations.setdefault(key, Negotiation(policy.options, policy.auto))


def absolute(
    ledger: LedgerSettings, limits: LimitsSettings
) -> tuple[LedgerSettings, LimitsSettings]:
    """Return settings that name the same ledger and limits in every process of this machine."""
    if ledger.url is not None:  # no file is used
        return ledger, limits
    if ledger.file is None:
        from reviewstream.adapters.sqlite.sqlite_ledger import default_file

        file = str(default_file())
    else:
        file = _absolute(ledger.file)
    shared = f"{file}-limits" if limits.file is None else _absolute(limits.file)
    return ledger.model_copy(update={"file": file}), limits.model_copy(update={"file": shared})


def _absolute(file: str) -> str:
    try:
        return str(Path(file).expanduser().absolute())
    except (OSError, RuntimeError) as err:
        raise ConfigError(
            f"{file}: there is no such home folder: write the path without ~ (ledger.file,"
            " limits.file)"
        ) from err


def open_ledger(settings: LedgerSettings) -> LabelLedger:
    """Return the ledger, or an empty one that stores nothing if the ledger is disabled."""
    return open_archive(settings) if settings.enabled else NoLedger()


def open_archive(settings: LedgerSettings) -> LedgerArchive:
    """Return the ledger, for reading all of its entries.

    Raises:
        ConfigError: The ledger is disabled.
    """
    if not settings.enabled:
        raise ConfigError(
            "the ledger is switched off: ledger.enabled (REVIEWSTREAM_LEDGER__ENABLED)"
        )
    if settings.url is not None:
        from reviewstream.adapters.redis.redis_ledger import RedisLedger

        return RedisLedger(
            settings.url.get_secret_value(), timeout=settings.timeout, lease=settings.lease
        )
    from reviewstream.adapters.sqlite.sqlite_ledger import SqliteLedger

    ledger, _ = absolute(settings, LimitsSettings())
    return SqliteLedger(Path(str(ledger.file)), timeout=settings.timeout)


def eviction(settings: LedgerSettings) -> str:
    """Return a warning if the Redis of ledger and limits may evict keys; empty: it does not.

    Raises:
        ReviewStreamError: Redis is unavailable, or refuses the request.
    """
    if settings.url is None:
        return ""
    from reviewstream.adapters.redis.connection import RedisClient

    asked = RedisClient(settings.url.get_secret_value(), timeout=settings.timeout)
    with closing(asked.client):
        return asked.eviction()


def open_limits(limits: LimitsSettings, ledger: LedgerSettings) -> LimitStore:
    """Return the store of the rate limits of each model and the budget of each account."""
    if ledger.url is not None:
        from reviewstream.adapters.redis.redis_limits import RedisLimits

        return RedisLimits(ledger.url.get_secret_value(), timeout=ledger.timeout)
    from reviewstream.adapters.sqlite.sqlite_limits import SqliteLimits

    _, shared = absolute(ledger, limits)
    return SqliteLimits(Path(str(shared.file)), timeout=ledger.timeout)


def open_record_sink(settings: KafkaSettings) -> RecordSink:
    """Return a sink with a separate producer."""
    from reviewstream.adapters.kafka.record_sink import KafkaRecordSink

    return KafkaRecordSink(settings)


def open_transactional_sink(settings: KafkaSettings, name: str) -> TransactionalSink:
    """Return a sink with a separate producer; only one sink per name can be active."""
    from reviewstream.adapters.kafka.transactions import KafkaTransactionalSink

    return KafkaTransactionalSink(settings, name)


def find_marker(settings: KafkaSettings, name: str) -> Marker | None:
    """Return the newest marker of a name, or None, without fencing other sinks."""
    from reviewstream.adapters.kafka.transactions import find_marker

    return find_marker(settings, name)


@contextmanager
def open_only_sink(settings: KafkaSettings, name: str) -> Iterator[RecordSink]:
    """Open a sink that fences all earlier sinks of the name.

    With `at_least_once` there are no transactions, and no sink is fenced.
    """
    from reviewstream.core.delivery.fencing import FencedSink

    if settings.delivery == "at_least_once":
        yield open_record_sink(settings)
        return
    with closing(open_transactional_sink(settings, name)) as sink:
        yield FencedSink(sink, name)


def kafka_oauth_login(settings: KafkaSettings) -> dict[str, str | None]:
    """Return librdkafka's settings of a login by OpenID Connect; empty without a token URL."""
    from reviewstream.adapters.kafka.configuration import oauth_login

    return oauth_login(settings)


def open_registry(settings: RegistrySettings) -> SchemaRegistry:
    """Return a client of the Schema Registry."""
    from reviewstream.adapters.registry import ConfluentRegistry

    return ConfluentRegistry(settings)


def open_log(settings: KafkaSettings) -> RecordLog:
    """Return the topics, to create them and to read their records."""
    from reviewstream.adapters.kafka.record_log import KafkaLog

    return KafkaLog(settings)


def open_versions() -> NewestVersions:
    """Return a temporary store of the newest versions; it ends with this process."""
    from reviewstream.adapters.sqlite.sqlite_versions import SqliteVersions

    return SqliteVersions()


def open_sorter(width: int) -> Sorter:
    """Return a temporary sorter of rows of `width` values; it ends with this process."""
    from reviewstream.adapters.sqlite.sqlite_sorter import SqliteSorter

    return SqliteSorter(width)


def score(cells: Cells) -> Scores:
    """Return the scores of a confusion matrix with at least one document."""
    from reviewstream.adapters.scores import score

    return score(cells)


def plot_evaluation(
    path: Path, *, title: str, cells: Cells, months: Sequence[tuple[str, Scores]]
) -> None:
    """Draw an evaluation to a file; see `adapters.plots.plot_evaluation`."""
    from reviewstream.adapters.plots import plot_evaluation

    plot_evaluation(path, title=title, cells=cells, months=months)


def open_connect(settings: ConnectSettings) -> ConnectCluster:
    """Return a client of Kafka Connect."""
    from reviewstream.adapters.connect import KafkaConnectCluster

    return KafkaConnectCluster(settings)


def open_index(settings: Settings) -> SearchIndex:
    """Return the index of the labelled reviews."""
    from reviewstream.adapters.elasticsearch_index import ElasticsearchIndex

    return ElasticsearchIndex(settings.elasticsearch)


def prepare(settings: Settings) -> tuple[str, ...]:
    """Create the missing topics, schemas, index and connector; see `core.index.setup`."""
    from reviewstream.core.index.setup import Services, set_up

    services = Services(
        log=open_log(settings.kafka),
        registry=open_registry(settings.registry),
        index=open_index(settings),
        connect=open_connect(settings.connect),
    )
    return set_up(services, settings)
