"""Measures how long the testbed's servers take to get ready, alone and together.

    python -m benchmarks.testbed [--rounds 3] [--json]

Seconds, as medians of the rounds; the class data of earlier runs is there, so all starts are warm.
`own` is what a part took while the others started too, from its own start to its being ready;
`ratio` is all together to the slowest of these, `ratio_alone` to the slowest that starts alone
(with what it needs: Connect with Kafka). Memory is the sum of PSS, each page counted once.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence

import psutil

from benchmarks.command import run
from reviewstream_testbed import Testbed
from reviewstream_testbed.catalog import DEFAULT


def start(parts: Sequence[str], look: Callable[[Testbed], None]) -> float:
    """Return the seconds until the parts are ready; look at them before they end."""
    began = time.perf_counter()
    with Testbed(parts) as bed:
        taken = time.perf_counter() - began
        look(bed)
    return taken


def memory() -> float:
    """Return the MB of all servers and of what watches them."""
    family = psutil.Process().children(recursive=True)
    return sum(process.memory_full_info().pss for process in family) / (1 << 20)


def median(found: Sequence[float]) -> float:
    """Return the median, to two digits."""
    return round(statistics.median(found), 2)


def measure(rounds: int) -> dict[str, object]:
    """Measure all, in turns, so that a busy moment hits everything."""
    alone: dict[str, list[float]] = {part: [] for part in DEFAULT}
    own: dict[str, list[float]] = {part: [] for part in DEFAULT}
    together: list[float] = []
    ratios: list[float] = []
    memories: list[float] = []
    start(DEFAULT, lambda _: None)  # whatever is to be fetched, built or archived is now

    def look(bed: Testbed) -> None:
        memories.append(memory())
        for part, seconds in bed.start_times().items():
            own[part].append(seconds)

    for _ in range(rounds):
        for part, seconds in alone.items():
            seconds.append(start([part], lambda _: None))
        together.append(start(DEFAULT, look))
        ratios.append(together[-1] / max(seconds[-1] for seconds in own.values()))
    return {
        "load": [round(load, 1) for load in os.getloadavg()],
        "alone": {part: median(seconds) for part, seconds in alone.items()},
        "own": {part: median(seconds) for part, seconds in own.items()},
        "together": median(together),
        "ratio": median(ratios),
        "ratio_alone": round(median(together) / max(map(median, alone.values())), 2),
        "memory_mb": round(statistics.median(memories)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    run(parser, lambda options: measure(options.rounds))


if __name__ == "__main__":
    main()
