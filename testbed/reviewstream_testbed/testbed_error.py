"""The testbed's exception."""


class TestbedError(Exception):
    """A server is unavailable; the message says why and how to fix it."""

    __test__ = False  # pytest must not collect it
