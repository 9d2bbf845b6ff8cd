"""What a daemon tells its service manager: that it is ready, how it fares, that it is alive.

The watchdog is fed only by `alive()`, and only the place that sees frames flow calls it: a daemon whose threads
run while no picture moves is dead to its owner, and systemd restarts it.

systemd-python does the talking when it is installed; without it the same datagrams are written to
$NOTIFY_SOCKET (sd_notify(3)). Without that variable nothing happens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

_Send = Callable[[str], None]


class Notifier:
    """Talks to systemd. Never raises once built: a daemon must not die because it could not say that it lives.

    `alive()` may be called at any rate; it sends at most four times per watchdog period. `status()` sends a text only
    when it differs from the last.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        environ = os.environ if environ is None else environ
        self._clock = clock
        self._send = _sender(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds = _watchdog_seconds(environ)
        """Period within which `alive()` must be called, or None where no watchdog runs."""
        self._fed = float("-inf")
        self._status = ""
        self._is_ready = False

    def starting(self, text: str, seconds: float = 600.0) -> None:
        """The start takes longer, for a good reason (sd_notify(3), EXTEND_TIMEOUT_USEC)."""
        if not self._is_ready:
            self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}\nSTATUS={' '.join(text.split())}")

    def ready(self) -> None:
        """The daemon does its work from now on. Only the first call is sent."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; line breaks become blanks, for they would end the field."""
        text = " ".join(text.split())
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Frames flow. Feeds the watchdog."""
        if self.watchdog_seconds is None:
            return
        now = self._clock()
        if now - self._fed >= self.watchdog_seconds / 4:
            self._fed = now
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The daemon was asked to stop and does."""
        self._send("STOPPING=1")


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC if it is meant for this process (sd_watchdog_enabled(3)), in seconds."""
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
        meant_for = int(environ.get("WATCHDOG_PID", "0") or "0")
    except ValueError:
        return None
    if microseconds <= 0 or meant_for not in (0, os.getpid()):
        return None
    return microseconds / 1e6


def _sender(address: str) -> _Send:
    if not address:
        return lambda _: None
    if address == os.environ.get("NOTIFY_SOCKET"):
        try:
            from systemd import daemon

            def through_library(state: str) -> None:
                with contextlib.suppress(OSError):
                    daemon.notify(state)

            return through_library
        except ImportError:
            pass
    if address[0] not in "/@":  # VSOCK and the like: not for a local daemon
        return lambda _: None
    target = "\0" + address[1:] if address[0] == "@" else address

    def through_socket(state: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                # A manager that does not read must not stop the daemon.
                out.settimeout(0.5)
                out.sendto(state.encode("utf-8", "replace"), target)
        except OSError:
            pass

    return through_socket
