# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""The model, its prices, and a labeller that uses it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import Final

from msgspec import structs

from reviewstream.app.label_values import label_policy, limit_key
from reviewstream.app.stores import open_ledger, open_limits
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.labeller import Labeller
from reviewstream.core.labelling.ledger.retrying_ledger import CLAIM_PATIENCE
from reviewstream.core.labelling.limits.shared_limiter import SharedLimiter
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel, PriceList
from reviewstream.core.retry.ports import Clock
from reviewstream.settings import LedgerSettings, LimitsSettings, OpenAISettings

LEASE_MARGIN: Final = 30.0  # seconds that a request may take beside its time-out

# By address, model and first options: options are negotiated with an endpoint once per process.
_negotiations: dict[tuple[str, str, str], Negotiation] = {}


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
    policy, terms = label_policy(settings), structs.replace(limit_key(settings, limits), run=run)
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


def negotiation_of(policy: LabelPolicy) -> Negotiation:
    """Return this process's negotiation state of an endpoint and model."""
    key = policy.endpoint, policy.model, repr((policy.options, sorted(policy.auto)))
    return _negotiations.setdefault(key, Negotiation(policy.options, policy.auto))


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
