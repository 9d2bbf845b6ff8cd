"""What systemd hears: real datagrams on a real socket, with a clock of our own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.service import Notifier


class Manager:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + address[1:] if address[0] == "@" else address)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "n") if request.param == "path" else f"@facewire-test-{os.getpid()}"
    one = Manager(address)
    yield one
    one.close()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_ready_status_stopping(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address})
    notifier.ready()
    notifier.ready()
    notifier.status("25 fps\nREADY=1")
    notifier.status("25 fps READY=1")
    notifier.status("24 fps")
    notifier.stopping()
    assert manager.heard() == ["READY=1", "STATUS=25 fps READY=1", "STATUS=24 fps", "STOPPING=1"]


def test_the_watchdog_is_fed_only_by_alive_and_not_too_often(manager: Manager) -> None:
    clock = Clock()
    environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(environ, clock)
    assert notifier.watchdog_seconds == 20
    assert manager.heard() == []
    for _ in range(100):
        notifier.alive()
    assert manager.heard() == ["WATCHDOG=1"]
    clock.now += 4.9
    notifier.alive()
    assert manager.heard() == []
    clock.now += 0.2
    notifier.alive()
    assert manager.heard() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "-5"},
     {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}],
)  # fmt: skip
def test_without_a_watchdog_nothing_is_fed(manager: Manager, environ: dict[str, str]) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address, **environ})
    assert notifier.watchdog_seconds is None
    notifier.alive()
    assert manager.heard() == []


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "vsock:2:1", "@facewire-nobody-listens"])
def test_no_manager_no_harm(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address} if address else {})
    notifier.ready()
    notifier.status("x \udcff")
    notifier.alive()
    notifier.stopping()


def test_through_the_environment_as_under_systemd(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """With systemd-python installed this goes through the library, without it through our own socket."""
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    notifier = Notifier()
    notifier.ready()
    notifier.status("well")
    assert manager.heard() == ["READY=1", "STATUS=well"]
    manager.close()
    notifier.stopping()
