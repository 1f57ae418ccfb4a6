import pytest

from reviewstream.core.transport.hosts import is_loopback, numeric


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_known_by_every_name(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "0.0.0.0", "::", "kafka", "", "localhost.example"])  # noqa: S104 - asked about
def test_every_other_host_may_be_another_machine(host: str) -> None:
    assert not is_loopback(host)


def test_localhost_is_one_address_and_others_stay_as_they_are() -> None:
    assert [numeric(host) for host in ("localhost", "::1", "kafka")] == [
        "127.0.0.1",
        "::1",
        "kafka",
    ]
