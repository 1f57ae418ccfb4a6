"""The clock of tests and the real one; the limiter that limits nothing."""

import pytest

from reviewstream.adapters.system_clock import SystemClock
from reviewstream.core.labelling.ports import RateLimiter
from reviewstream.core.retry.ports import Clock
from reviewstream.testing import FakeClock, NoLimit
from tests.contract.clock import ClockContract
from tests.contract.rate_limiter import RateLimiterContract


class TestFakeClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return FakeClock()


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()


class TestNoLimit(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> RateLimiter:
        return NoLimit()
