"""The state of one group of clients: counts, limits, faults and bill."""

from collections import Counter
from typing import Any

from reviewstream_testbed.mock_openai.answering import JUDGES
from reviewstream_testbed.mock_openai.bill import Bill
from reviewstream_testbed.mock_openai.dialect_table import DIALECTS
from reviewstream_testbed.mock_openai.mock_options import Options
from reviewstream_testbed.mock_openai.rate_limits import Allowance, Limits
from reviewstream_testbed.mock_openai.script import Script


class Tenant:
    """State of the clients that share one base URL; a server has many tenants.

    Args:
        options: Initial options.
        now: Current time in seconds, on the clock that is used throughout.

    Attributes:
        options: Current options.
        dialect: Current dialect.
        bill: Requests and their costs.
        misses: Requests without a recorded answer on the cassette.
        allowance: Request and token buckets.
        judge: Source of the opinions.
        script: Scripted faults.
        statuses: Number of finished requests by HTTP status.
        asked: Number of requests per text, by the text's SHA-256; those over a limit do not count.
        met: Number of injected faults by kind.
        limited: Number of 429 responses by reason.
        in_flight: Number of requests in progress.
        peak: Maximum of `in_flight`.
    """

    def __init__(self, options: Options, now: float) -> None:
        self._started = options
        self.in_flight = 0
        self.clear(now)

    def clear(self, now: float) -> None:
        """Reset the state; requests in progress continue."""
        self.options = self._started
        self.dialect = DIALECTS[self.options.dialect]
        self.limit(self.options.limits, now)
        self.judge = JUDGES[self.options.judge]
        self.bill = Bill()
        self.misses = 0
        self.script = Script({})
        self.statuses: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.limited: Counter[str] = Counter()
        self.peak = self.in_flight
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def limit(self, limits: Limits, now: float) -> None:
        """Set other limits, with full buckets."""
        self.options = self.options._replace(limits=limits)
        self.allowance = Allowance(limits, now, tells_usual=self.options.tell_limits)

    def change(self, options: Options, now: float) -> None:
        """Change options; the buckets are refilled if the reported limits change."""
        is_other = options.tell_limits != self.options.tell_limits
        self.options = options
        if is_other:
            self.limit(options.limits, now)

    def counts(self) -> dict[str, Any]:
        """Return the response of `GET /_mock/requests`."""
        return {
            "requests": self.statuses.total() + self.in_flight,
            "statuses": self.statuses,
            "faults": self.met,
            "rate_limited": self.limited,
            "reviews": self.asked,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "misses": self.misses,
        }
