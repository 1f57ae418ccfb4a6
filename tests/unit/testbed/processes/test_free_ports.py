"""Ports are free, different, and out of the way of outgoing connections."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream_testbed.processes.free_ports import CANDIDATES, LOOPBACK, free_ports, is_free
from reviewstream_testbed.testbed_error import TestbedError


@given(st.integers(0, 8))
def test_ports_are_free_different_and_never_of_the_outgoing_range(count: int) -> None:
    ports = free_ports(count)
    assert len({*ports}) == count
    assert all(port in CANDIDATES and is_free(port) for port in ports)


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_a_port_in_use_is_not_given_out() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(TestbedError, match="1 free ports wanted, 0 found"):
            free_ports(1, range(port, port + 1))
