"""The one error of the testbed."""


class TestbedError(Exception):
    """A server cannot be had; the message says why and what helps."""

    __test__ = False  # not a test class, whatever its name
