"""Ports are free, different, and out of the way of outgoing connections."""

import socket

from hypothesis import given
from hypothesis import strategies as st

from reviewstream_testbed.ports import HIGHEST, LOOPBACK, LOWEST, free_ports, is_free


@given(st.integers(0, 8))
def test_ports_are_free_different_and_never_of_the_outgoing_range(count: int) -> None:
    ports = free_ports(count)
    assert len({*ports}) == count
    assert all(LOWEST <= port < HIGHEST and is_free(port) for port in ports)


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        assert not is_free(server.getsockname()[1])
