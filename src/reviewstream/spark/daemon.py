"""pyspark's daemon, with our modules loaded before it forks a worker for every task.

Our formats are loaded with the package. Without this module each new worker would import Arrow and
its vendor's client again: seconds, on a busy machine.
"""

import sys
from importlib import import_module
from typing import Final

from pyspark.daemon import manager

from reviewstream import app

TASKS: Final = "pyspark.worker"  # what the daemon of tasks is told to run


def preload(worker: str) -> None:
    """Import what workers of this kind need; none of it may start a thread."""
    import_module(worker)
    if worker == TASKS:
        app.preload()


if __name__ == "__main__":
    preload(sys.argv[1])
    manager()
