"""Endpoints: good ones, bad ones, local ones."""

from __future__ import annotations

import pytest

from facewire.errors import ConfigError
from facewire.link.endpoint import check_endpoint, is_loopback


@pytest.mark.parametrize(
    "endpoint",
    ["", "5555", "tcp://", "tcp://host", "tcp://host:70000", "udp://h:1", "tcp://::1:5555", "tcp://[zz]:1", "ipc://"],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError):
        check_endpoint(endpoint, bind=True)
    with pytest.raises(ConfigError):
        check_endpoint("tcp://127.0.0.1:*", bind=False)


def test_loopback() -> None:
    local = ("tcp://127.0.0.1:5555", "tcp://[::1]:5555", "ipc:///run/x")
    outside = ("tcp://0.0.0.0:5555", "tcp://[2001:db8::1]:5555")
    assert [is_loopback(endpoint) for endpoint in local + outside] == [True] * 3 + [False] * 2
