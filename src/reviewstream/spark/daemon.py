"""pyspark's daemon, which imports our modules before it forks a worker for every task.

The package imports our formats. Without this module each new worker would import Arrow and the
vendor clients again, which takes seconds on a busy machine.
"""

import sys
from importlib import import_module
from typing import Final

from pyspark.daemon import manager

from reviewstream import app

TASKS: Final = "pyspark.worker"  # the module that the daemon of tasks runs


def preload(worker: str) -> None:
    """Import the modules that workers of this kind need; no import may start a thread."""
    import_module(worker)
    if worker == TASKS:
        app.preload()


if __name__ == "__main__":
    preload(sys.argv[1])
    manager()
