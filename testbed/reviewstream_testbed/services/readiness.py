"""Readiness checks that use the servers' own protocols."""

import http.client
import json
import struct
from contextlib import closing
from socket import create_connection
from typing import Any

from reviewstream_testbed.processes.free_ports import LOOPBACK

_METADATA, _METADATA_VERSION = 3, 4
_PATIENCE = 3.0  # seconds for one answer
_LONG_PATIENCE = 30.0


def answers(port: int, path: str) -> bool:
    """Report whether `GET path` answers 200. The environment's proxies are ignored."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def read_json(port: int, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON response of `GET path`.

    Raises:
        OSError: No response.
        ValueError: The response is not JSON.
    """
    with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=_LONG_PATIENCE)) as connection:
        connection.request("GET", path)
        return json.load(connection.getresponse())


def has_brokers(port: int) -> bool:
    """Report whether the Kafka on this port lists at least one unfenced broker.

    Source: Kafka protocol guide, Metadata (version 4).
    """
    request = struct.pack(">hhih", _METADATA, _METADATA_VERSION, 1, -1)  # -1: no client id
    request += struct.pack(">i?", 0, False)  # noqa: FBT003 - no topics, create none
    try:
        with create_connection((LOOPBACK, port), _PATIENCE) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            _size, _correlation, _throttled, brokers = struct.unpack(
                ">iiii", connection.makefile("rb").read(16)
            )
    except (OSError, struct.error):
        return False
    return bool(brokers > 0)
