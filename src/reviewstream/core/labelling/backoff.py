"""Exponential backoff with jitter."""

MAX_DOUBLINGS = 60  # 2**60 exceeds any cap and is still a finite float


def backoff(attempt: int, *, jitter: float, base: float = 0.5, cap: float = 30.0) -> float:
    """Return the seconds to wait before retry number `attempt` (1 is the first).

    Args:
        attempt: Any integer; values below 1 count as 1.
        jitter: In [0, 1); shortens the wait by up to half, so that workers do not retry together.
        base: Seconds before the first retry.
        cap: Maximum wait in seconds.
    """
    doublings = min(max(attempt, 1) - 1, MAX_DOUBLINGS)
    return min(cap, base * 2.0**doublings) * (1 - jitter / 2)
