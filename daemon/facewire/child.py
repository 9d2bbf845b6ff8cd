"""A daemon as a child process: started, listened to, stopped. It reports as it would to systemd."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 8.0
"""How long a child may take to stop before it is killed."""

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """In the child, before it becomes the daemon: a demo that is killed leaves nothing running (prctl(2), Linux)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """`facewire NAME ARGUMENTS` in a process of its own.

    status: what it told its service manager last; last: the last line of its log. Its NOTIFY_SOCKET is in `directory`.
    prefix: a command that runs it somewhere else, such as in a network namespace.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        directory: Path,
        environ: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.ready = False
        self.status = ""
        self.last = "it said nothing"
        self._unread: deque[str] = deque(maxlen=50)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = directory / f"{name}.notify"
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        environment = {**os.environ, **environ, "NOTIFY_SOCKET": str(path), "PYTHONUNBUFFERED": "1"}
        environment.pop("WATCHDOG_USEC", None)
        environment.pop("JOURNAL_STREAM", None)
        # A session of its own: Ctrl-C reaches the demo alone, which then stops its children in order.
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "facewire", name, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.strip():
                self.last = line.strip()
                self._unread.append(self.last)

    def listen(self) -> None:
        """Take in what it has reported since the last call."""
        with contextlib.suppress(BlockingIOError):
            while True:
                for line in self._socket.recv(4096).decode("utf-8", "replace").splitlines():
                    if line == "READY=1":
                        self.ready = True
                    elif line.startswith("STATUS="):
                        self.status = line.removeprefix("STATUS=")

    def trouble(self) -> str | None:
        """One line if it is gone, None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        self._reader.join(1.0)
        return f"the {self.name} has stopped (exit code {code}): {self.last.removeprefix('facewire: ')}"

    def warnings(self) -> list[str]:
        """Warnings and errors in its log since the last call, without time stamps."""
        found = []
        while self._unread:
            line = self._unread.popleft()
            for level in (" WARNING ", " ERROR "):
                if level in line:
                    found.append(line.split(level, 1)[1].strip().split(": ", 1)[-1])
        return found

    def kill(self) -> None:
        """SIGKILL, without warning."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to one that does not listen."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._socket.close()
