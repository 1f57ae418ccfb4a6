"""What a process of its own does within limits: `python -m tests.contract.limits_process`.

Its arguments: what to do, the settings of the ledger as JSON, and two numbers.
"""

import asyncio
import random
import sys
import time
from contextlib import closing

from reviewstream.adapters.system_clock import SystemClock
from reviewstream.app import open_limits
from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.operations import Amount, LimitKey
from reviewstream.core.labelling.limits.shared_limiter import SharedLimiter
from reviewstream.core.labelling.ports import LimitStore
from reviewstream.errors import BudgetExceededError
from reviewstream.settings import LedgerSettings, LimitsSettings

AT_ONCE = 8  # who wait in one process
DEAREST = 100  # micro-dollars


async def ask(store: LimitStore, rate: float, seconds: float) -> int:
    """Ask as often as one may, for some seconds; say when one was let through."""
    terms = LimitKey(model="m", limits=RateLimits(requests_per_minute=rate))
    limiter = SharedLimiter(store, terms, SystemClock())
    end = time.time() + seconds

    async def work() -> None:
        while time.time() < end:
            await limiter.acquire(Amount(tokens=1))
            say(time.time())

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return 0


async def pay(store: LimitStore, budget: float, patience: float) -> int:
    """Spend until the budget is spent; say what each request cost in the end."""
    terms = LimitKey(model="m", account="a", budget_micro_usd=int(budget))
    limiter = SharedLimiter(store, terms, SystemClock(), patience=patience)
    limiter.learn(RateLimits())  # or the processes would ask one after the other
    try:
        while True:
            cost = random.randrange(1, DEAREST)  # noqa: S311 - no secret
            await limiter.acquire(Amount(tokens=1, micro_usd=DEAREST))
            limiter.settle(Amount(tokens=1, micro_usd=DEAREST), Amount(tokens=1, micro_usd=cost))
            say(cost)
    except BudgetExceededError:
        return 3


def say(number: float) -> None:
    sys.stdout.write(f"{number!r}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    role, settings, one, two = sys.argv[1:]
    ledger = LedgerSettings.model_validate_json(settings)
    with closing(open_limits(LimitsSettings(), ledger)) as opened:
        sys.exit(asyncio.run({"ask": ask, "pay": pay}[role](opened, float(one), float(two))))
