"""Ctrl-C is the driver's business."""

import signal
import threading


def ignore_interrupts() -> None:
    """Ignore SIGINT in a Python worker of Spark.

    A terminal sends Ctrl-C to Spark's workers too, and pyspark lets them die of it: the running
    micro-batch would fail, where the driver wants to end it in order.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
