"""How long to wait before trying again."""

MAX_DOUBLINGS = 60  # two to this many is far over any cap, and still a finite float


def backoff(attempt: int, *, jitter: float, base: float = 0.5, cap: float = 30.0) -> float:
    """Return the seconds to wait before retry number `attempt` (1 is the first).

    Args:
        attempt: Any integer; below 1 counts as 1.
        jitter: In [0, 1): shortens the wait by up to half, so that workers do not return together.
        base: Seconds before the first retry.
        cap: Seconds; no wait is longer.
    """
    doublings = min(max(attempt, 1) - 1, MAX_DOUBLINGS)
    return min(cap, base * 2.0**doublings) * (1 - jitter / 2)
