"""What one group of clients has asked, and the faults that it meets."""

from collections import Counter
from typing import Any

from reviewstream_testbed.openai_endpoint import faults


class Room:
    """Counts and faults of the clients that share one base URL; one of many in a server.

    Attributes:
        script: The faults to come.
        statuses: Finished requests by their HTTP status.
        asked: Texts by their SHA-256.
        met: Faults by their kind.
        in_flight: Requests that are being answered.
        peak: The most of them at one time.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.clear()

    def clear(self) -> None:
        """Forget all but the requests that are being answered."""
        self.script = faults.Script({})
        self.statuses: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.peak = self.in_flight
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def counts(self) -> dict[str, Any]:
        """Return what `GET /_mock/requests` answers."""
        return {
            "requests": self.statuses.total() + self.in_flight,
            "statuses": self.statuses,
            "faults": self.met,
            "reviews": self.asked,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }
