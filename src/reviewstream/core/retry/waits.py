"""The waits of all retries.

Attributes:
    REQUEST: A request for labels that failed or was throttled. `openai.max_wait` limits each wait,
        and a `Retry-After`, which may be longer than the 30 s; `openai.max_attempts` limits the
        failures.
    PROBE: The probe of an endpoint that fails. `openai.max_wait` limits each wait;
        `openai.startup_timeout` limits the time in all, until the endpoint has answered once.
    STORE: The ledger, or the store of the limits that all tasks share.
    REVIEW_SERVER: The review server. The option `retryTimeout` limits the time in all.
    DELIVERY: A task's transaction in Kafka. `kafka.delivery_timeout` limits the time in all.
    TOPICS: New topics, until each partition has a leader. The timeout of one request to Kafka
        limits the time in all.
    CONNECTOR: Kafka Connect, until a rebalance has ended or a connector runs.
    OPENING: A SQLite file that other processes open. `ledger.timeout` limits the time in all.
"""

import math
from typing import Final

from reviewstream.core.retry.backoff import Backoff

REQUEST: Final = Backoff(first=0.5, longest=30.0, least=1.0)
PROBE: Final = Backoff(first=1.0, longest=math.inf)
STORE: Final = Backoff(first=0.5, longest=5.0, total=90.0)  # Redis elects a primary in less
REVIEW_SERVER: Final = Backoff(first=0.2, longest=5.0, total=600.0)
DELIVERY: Final = Backoff(first=0.2, longest=5.0)
TOPICS: Final = Backoff(first=0.05, longest=0.05)
CONNECTOR: Final = Backoff(first=0.25, longest=0.25, total=90.0)
OPENING: Final = Backoff(first=0.02, longest=0.02)
