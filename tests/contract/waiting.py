"""Waiting for a condition, with a deadline and the last value seen."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(ask: Callable[[], T], wanted: Callable[[T], bool], timeout: float = 60) -> T:
    """Ask until the answer is as wanted, and return it."""
    deadline = time.monotonic() + timeout
    while not wanted(answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:g} s still {answer!r}")
        time.sleep(0.05)
    return answer
