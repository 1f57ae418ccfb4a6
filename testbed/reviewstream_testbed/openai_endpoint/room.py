"""Counts, limits, faults and bill of one group of clients."""

from collections import Counter
from typing import Any

from reviewstream_testbed.openai_endpoint.answering import JUDGES
from reviewstream_testbed.openai_endpoint.bill import Bill
from reviewstream_testbed.openai_endpoint.dialect_table import DIALECTS
from reviewstream_testbed.openai_endpoint.options import Options
from reviewstream_testbed.openai_endpoint.rate_limits import Allowance, Limits
from reviewstream_testbed.openai_endpoint.script import Script


class Room:
    """Counts, limits and faults of the clients that share one base URL; one of many in a server.

    Args:
        options: How it begins.
        now: Seconds on the clock that is used throughout.

    Attributes:
        options: Its present options.
        dialect: Its present dialect.
        bill: Its requests and their costs.
        misses: Requests that the cassette holds no answer to.
        allowance: Requests and tokens that are left.
        judge: Source of the opinions.
        script: The faults to come.
        statuses: Finished requests by their HTTP status.
        asked: Texts by their SHA-256; those in requests over the limit were not asked about.
        met: Faults by their kind.
        limited: Requests answered 429, by the reason.
        in_flight: Requests that are being answered.
        peak: The most of them at one time.
    """

    def __init__(self, options: Options, now: float) -> None:
        self._started = options
        self.in_flight = 0
        self.clear(now)

    def clear(self, now: float) -> None:
        """Begin anew; the requests that are being answered stay."""
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
        """Begin anew with full buckets of other limits."""
        self.options = self.options._replace(limits=limits)
        self.allowance = Allowance(limits, now, tells_usual=self.options.tell_limits)

    def change(self, options: Options, now: float) -> None:
        """Behave otherwise; an allowance begins anew if other limits are told."""
        is_other = options.tell_limits != self.options.tell_limits
        self.options = options
        if is_other:
            self.limit(options.limits, now)

    def counts(self) -> dict[str, Any]:
        """Return what `GET /_mock/requests` answers."""
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
