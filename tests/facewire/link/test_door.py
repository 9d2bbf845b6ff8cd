"""The door: strangers come in as fast as the link can pay for them, and who is in notices nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from facewire.link.door import COST, ROOM, SHARE, Door

RATE = 1000.0
EACH = COST / (SHARE * RATE)
"""Seconds after which one more stranger is paid for."""


@contextmanager
def listening(family: int, address: str) -> Iterator[socket.socket]:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        yield listener


def connects(listener: socket.socket, seconds: float) -> bool:
    with socket.socket(listener.family) as one:
        one.settimeout(seconds)
        try:
            one.connect(listener.getsockname())
        except TimeoutError:
            return False
        listener.accept()[0].close()
        return True


def crowded(door: Door, now: float) -> None:
    door.look(now)
    for fd in range(1000, 1000 + 100):
        door.entered(fd)
    door.look(now)


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_nobody_comes_in_while_it_is_crowded(family: int, address: str) -> None:
    with listening(family, address) as listener:
        door = Door(listener.getsockname()[1], RATE)
        door.opened(listener.fileno())
        good = socket.create_connection(listener.getsockname()[:2])
        with closing(good), closing(listener.accept()[0]) as end:
            assert connects(listener, 5.0)
            crowded(door, 100.0)
            assert not connects(listener, 0.3)
            end.sendall(b"still here")
            assert good.recv(10) == b"still here"
        door.look(100.0 + 0.9 * EACH)
        assert not connects(listener, 0.3)
        door.look(100.0 + 1.1 * EACH)
        assert connects(listener, 5.0)


def test_a_new_listener_is_guarded_as_well() -> None:
    with listening(socket.AF_INET, "127.0.0.1") as listener:
        door = Door(listener.getsockname()[1], RATE)
        crowded(door, 100.0)
        door.opened(listener.fileno())
        assert not connects(listener, 0.3)


def test_who_says_who_he_is_takes_no_place(caplog: pytest.LogCaptureFixture) -> None:
    door = Door(0, RATE)
    door.look(100.0)
    for fd in range(10 * ROOM):
        door.entered(fd)
        door.known(fd)
        door.known(fd)
        door.left(fd)
        door.look(100.0)
        assert door.is_open
    for fd in range(ROOM):
        door.entered(fd)
        door.left(fd)
        door.known(fd)  # somebody else by now
    door.look(100.0)
    assert not door.is_open
    assert ["many strangers" in record.getMessage() for record in caplog.records] == [True]


def test_without_a_ceiling_all_may_come() -> None:
    door = Door(0, 0.0)
    crowded(door, 100.0)
    assert door.is_open
