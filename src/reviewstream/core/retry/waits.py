"""The waits of all retries.

Attributes:
    STORE: The ledger, or the store of the limits that all tasks share.
"""

from typing import Final

from reviewstream.core.retry.backoff import Backoff

STORE: Final = Backoff(first=0.5, longest=5.0, total=90.0)  # Redis elects a primary in less
